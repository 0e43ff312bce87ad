//! The events of the log as Delta Lake tables: one of all events, and one of each type.
//!
//! Lines of a replay come in ([`event`]), wait in memory until they are worth a file ([`batch`]), become columns
//! ([`shred`]) and files ([`file`]), and then versions of tables ([`tables`], each by [`standing`] over [`delta`]). Where to go on with the
//! replay is kept beside the tables ([`place`]).
//!
//! Tables may stand at different places, and the kept cursor may be older than any of them. It is never ahead of one:
//! it is stored when all tables have what is before it. Files of a day are put together when there are many ([`compact`]).
//!
//! **Invariant:** every event is in its tables once, whatever is killed, and however many export into the same
//! tables at once. Each table tells by itself what it has; nothing else is believed.

pub(crate) mod batch;
pub(crate) mod columns;
mod compact;
pub(crate) mod delta;
mod error;
mod event;
mod file;
mod identity;
pub(crate) mod place;
mod shred;
mod standing;
mod tables;

use std::{mem, sync::Arc};

use futures_util::FutureExt;
use infra::{
    clock::Clock,
    task::{self, Task},
};
use object_store::{ObjectStore, path::Path};

use batch::{Buffer, EVENTS};
use columns::Catalogue;
pub(crate) use error::ExportError;
use identity::Identity;
use place::Kept;
use standing::Written;
use tables::Tables;

/// Lines are held until they are so long together. Some 40,000 events, which are some megabytes in a file. Beside them
/// there are those that are being written, a batch of columns and the finished file for each table that is.
const FLUSH_BYTES: usize = 24 << 20;

/// Where a replay is behind some lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) cursor: String,
    pub(crate) log: Option<String>,
    pub(crate) shards: u32,
}

/// An export on its way.
pub(crate) struct Export {
    query: String,
    catalogue: Arc<Catalogue>,
    flush_bytes: usize,
    identity: Option<Identity>,
    /// Whether there was a place to go on from.
    goes_on: bool,
    buffer: Buffer,
    cursor: Option<String>,
    writer: Writer,
    written: Written,
}

/// While some lines are written, the next are read.
enum Writer {
    Idle(Box<Tables>),
    Busy(Task<(Box<Tables>, Result<(), ExportError>)>),
    /// It has panicked.
    Gone,
}

impl Export {
    /// Goes on where one into the same place has ended.
    ///
    /// # Errors
    /// The place is none for tables, or of another export.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        root: Path,
        query: String,
        catalogue: Catalogue,
        clock: Clock,
    ) -> Result<Self, ExportError> {
        let catalogue = Arc::new(catalogue);
        let mut tables = Tables::new(store, root, Arc::clone(&catalogue), clock);
        let kept = tables.find(&query).await?;
        // A type that had no table then has events before the cursor. The other tables know what they have.
        let has_all = |kept: &&Kept| catalogue.types().all(|name| kept.types.contains(name));
        let cursor = kept.as_ref().filter(has_all).map(|kept| kept.cursor.clone());
        let goes_on = kept.is_some();
        let identity = kept.map(|kept| Identity { log: kept.log, query: kept.query });
        let (buffer, written) = (Buffer::default(), Written::default());
        let writer = Writer::Idle(Box::new(tables));
        let flush_bytes = FLUSH_BYTES;
        Ok(Self {
            query,
            catalogue,
            flush_bytes,
            identity,
            goes_on,
            buffer,
            cursor,
            writer,
            written,
        })
    }

    #[cfg(test)]
    pub(crate) fn flush_at(mut self, bytes: usize) -> Self {
        self.flush_bytes = bytes;
        self
    }

    /// Behind what has been taken.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// What has been committed by this export.
    pub(crate) const fn written(&self) -> Written {
        self.written
    }

    /// Takes the lines before a cursor, and begins to write when there are enough.
    ///
    /// # Errors
    /// They are none of this log, or what was to be written before could not be.
    pub(crate) async fn take(&mut self, lines: &[u8], mark: Mark) -> Result<(), ExportError> {
        let Mark { cursor, log, shards } = mark;
        match (&self.identity, log) {
            (Some(identity), Some(log)) if identity.log != log => {
                return Err(match self.goes_on {
                    true => ExportError::OtherLog { table: EVENTS.to_owned() },
                    false => ExportError::LogChanged,
                });
            }
            (Some(_), _) => {}
            (None, Some(log)) => {
                self.identity = Some(Identity { log, query: self.query.clone() });
            }
            (None, None) if lines.is_empty() => return Ok(()),
            (None, None) => return Err(ExportError::NoLog),
        }
        let catalogue = &self.catalogue;
        self.buffer.push(lines, shards.max(1), |name| catalogue.has(name))?;
        self.cursor = Some(cursor);
        if self.buffer.bytes() >= self.flush_bytes { self.begin_to_write().await } else { Ok(()) }
    }

    /// Commits everything that was taken.
    pub(crate) async fn flush(&mut self) -> Result<(), ExportError> {
        self.begin_to_write().await?;
        self.settled().await.map(drop)
    }

    /// Puts the small files of each day together, where there are at least so many; tells how many went.
    pub(crate) async fn compact(&mut self, files_min: usize) -> Result<u64, ExportError> {
        let Some(identity) = self.identity.clone() else { return Ok(0) };
        self.settled().await?.compact(&identity, files_min).await
    }

    /// One flush at a time: where the one before has not ended, this waits, and so does who sends lines.
    async fn begin_to_write(&mut self) -> Result<(), ExportError> {
        self.settled().await?;
        let (Some(identity), Some(cursor)) = (self.identity.clone(), self.cursor.clone()) else {
            return Ok(());
        };
        let Writer::Idle(mut tables) = mem::replace(&mut self.writer, Writer::Gone) else {
            return Err(ExportError::Aborted);
        };
        let full = self.buffer.take();
        self.writer = Writer::Busy(task::spawn(
            "export",
            async move {
                let result = tables.write(identity, full, cursor).await;
                (tables, result)
            }
            .boxed(),
        ));
        Ok(())
    }

    /// The tables, when nothing is being written.
    async fn settled(&mut self) -> Result<&mut Tables, ExportError> {
        if let Writer::Busy(task) = &mut self.writer {
            let (tables, result) = task.await?;
            self.written = tables.written();
            self.writer = Writer::Idle(tables);
            result?;
        }
        match &mut self.writer {
            Writer::Idle(tables) => Ok(tables),
            Writer::Busy(_) | Writer::Gone => Err(ExportError::Aborted),
        }
    }
}

#[cfg(test)]
mod tests;
