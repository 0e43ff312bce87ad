//! Why a batch is not applied.

use super::is_about_data;

/// What keeps a batch from being applied.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It ended before it knew whether the batch is written; the stored checkpoint tells the next one.
    Stopped,
    /// The stored checkpoint, or its count of changes to the dead letters, is another.
    Lost,
    /// A crash of PostgreSQL has emptied the tables of a version that is being built.
    WipedOut,
    /// Some of its events do not apply; none of it is in.
    Unfit,
    /// PostgreSQL does not get it done in time; none of it is in.
    TooMuch,
    /// More would be parked than may be.
    Full(String),
    /// What is wrong cannot be put aside.
    Stuck(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Whether the same batch may work later. What PostgreSQL refuses because of the data or of the
/// statement itself (class 42) it will refuse again; a full disk, a server that stops, recovers or
/// has no connection left, a lock or a time that ran out will pass.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        error if is_about_data(error) => false,
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| code.starts_with("42")),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::BeginFailed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether the server stopped a statement that took too long.
pub(super) fn is_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("57014")
}
