//! What is wrong with a store, by what is to be done about it: the only place that judges errors of
//! the database and of the system below it.
//!
//! **Invariant:** only what proves that the stored bytes are not what was written throws a store
//! away. Whatever else is wrong, known here or not, is waited for: the data lies there as it was.
//! **Invariant:** an entry that cannot be decoded is neither: it is told as such, and concerns nobody
//! but who asks for it.

use std::io;

use infra::{log::BoxError, task::TaskFailed, telemetry::chain};

use super::super::SubmitError;

/// Nothing can be said of what is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses: no room, no descriptors, a disk that fails, a folder in use; or the
    /// database has closed itself over one of these. To be tried again.
    #[error("the state store cannot be used for now")]
    Io(#[source] BoxError),
    /// What lies there is not what was written. Only the log helps.
    #[error("the state store is damaged")]
    Corrupt(#[source] BoxError),
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum OpenError {
    /// What is there is no use: written by another release, for another shard, or damaged.
    #[error("{0}")]
    Useless(String),
    /// It may be of use another time: the disk is full, or another process has it open.
    #[error("the state store cannot be opened")]
    Unavailable(#[source] BoxError),
}

/// Why a machine does not know what its store should have told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Untold {
    /// It is there in a form that this release cannot read, or follows from an event that it cannot.
    Unreadable,
    /// The store could not be read: nothing that follows from it may be used.
    StoreFailed,
}

impl From<Untold> for SubmitError {
    fn from(why: Untold) -> Self {
        match why {
            Untold::Unreadable => Self::StreamUnreadable,
            // The shard opens its store again, after which it knows.
            Untold::StoreFailed => Self::Busy,
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Io(source) => Self::Unavailable(source),
            StoreError::Corrupt(source) => {
                Self::Useless(format!("it is damaged: {}", chain(&*source)))
            }
        }
    }
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        use fjall::{Error, LsmError};
        let is_damage = match &error {
            Error::Io(error) | Error::Storage(LsmError::Io(error)) => proves_damage(error),
            Error::JournalRecovery(_)
            | Error::InvalidVersion(_)
            | Error::Decompress(_)
            | Error::InvalidTrailer
            | Error::InvalidTag(_)
            | Error::Unrecoverable
            | Error::Storage(
                LsmError::Decompress(_)
                | LsmError::InvalidVersion(_)
                | LsmError::Unrecoverable
                | LsmError::ChecksumMismatch { .. }
                | LsmError::InvalidTag(_)
                | LsmError::InvalidTrailer
                | LsmError::InvalidHeader(_)
                | LsmError::Utf8(_),
            ) => true,
            // `Poisoned`: it has closed itself over an error of the system. `Locked`: in use.
            _ => false,
        };
        if is_damage { Self::Corrupt(error.into()) } else { Self::Io(error.into()) }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        if proves_damage(&error) { Self::Corrupt(error.into()) } else { Self::Io(error.into()) }
    }
}

impl StoreError {
    /// Opening it did not end. The database asserts some of what it reads, and now and then what the
    /// system gives it, which shows in the message as `Debug` shows an error of the system.
    pub(super) fn of_opening(error: TaskFailed) -> Self {
        let is_damage = match &error {
            TaskFailed::Panicked { message, .. } => !message.contains("Os {"),
            TaskFailed::Stopped { .. } => false,
        };
        if is_damage { Self::Corrupt(error.into()) } else { Self::Io(error.into()) }
    }
}

/// A file of the store is shorter than what was written to it, or gone, or holds something else.
/// All else that the system says is about the system.
fn proves_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | InvalidData | NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIO: i32 = 5;
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOMEM: i32 = 12;
    const EINTR: i32 = 4;
    const EAGAIN: i32 = 11;
    const ENOSPC: i32 = 28;
    const EDQUOT: i32 = 122;
    const EROFS: i32 = 30;
    const EACCES: i32 = 13;
    const ESTALE: i32 = 116;

    #[test]
    fn whatever_the_system_refuses_is_waited_for() {
        let numbers =
            [EIO, EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN, ENOSPC, EDQUOT, EROFS, EACCES, ESTALE];
        for number in numbers {
            let error = || io::Error::from_raw_os_error(number);
            let all = [
                StoreError::from(error()),
                fjall::Error::Io(error()).into(),
                fjall::Error::Storage(fjall::LsmError::Io(error())).into(),
            ];
            for found in all {
                assert!(matches!(found, StoreError::Io(_)), "{number}: {found:?}");
            }
        }
        for error in [fjall::Error::Poisoned, fjall::Error::Locked] {
            assert!(matches!(StoreError::from(error), StoreError::Io(_)));
        }
    }

    #[test]
    fn what_is_not_what_was_written_is_damage() {
        let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let all = [
            StoreError::from(cut_off()),
            fjall::Error::Storage(fjall::LsmError::Io(cut_off())).into(),
            fjall::Error::Unrecoverable.into(),
            fjall::Error::InvalidVersion(None).into(),
            fjall::Error::Storage(fjall::LsmError::InvalidHeader("Block")).into(),
            fjall::Error::Io(io::Error::from(io::ErrorKind::NotFound)).into(),
        ];
        for found in all {
            assert!(matches!(found, StoreError::Corrupt(_)), "{found:?}");
        }
    }
}
