//! The events of the log as Delta Lake tables: one of all events, and one of each type.
//!
//! Lines of a replay come in ([`event`]), wait in memory until they are worth a file ([`batch`]), become columns
//! ([`shred`]) and files ([`file`]), and then versions of tables ([`standing`] over [`delta`]). Where to go on with the
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
mod event;
mod file;
pub(crate) mod place;
mod shred;
mod standing;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use infra::{clock::Clock, task::TaskFailed};
use object_store::{ObjectStore, path::Path};

use batch::{Buffer, EVENTS};
use columns::Catalogue;
use delta::{
    DeltaError, Table,
    schema::{Clash, InvalidSchema},
};
use event::InvalidLine;
use file::FileError;
use place::Kept;
use standing::{Standing, Written};

/// Lines are held until they are so long together. Some 50,000 events, which are some megabytes in a file. Beside them
/// there are one batch of columns and the finished file for each table that is being written.
const FLUSH_BYTES: usize = 32 << 20;
/// Tables that are written at once, as machines have processors.
const TABLES_AT_ONCE: usize = 2;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error(transparent)]
    Line(#[from] InvalidLine),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Failed(#[from] TaskFailed),
    #[error("table {table} holds events of another log; export to another place")]
    OtherLog { table: String },
    #[error("the log that is read became another one under way")]
    LogChanged,
    #[error(
        "what is read does not tell which log it is of: nothing has claimed its first shard yet"
    )]
    NoLog,
    #[error(
        "table {table} is of another export, of {}: ask for the same, or export to another place",
        asked(query)
    )]
    OtherQuery { table: String, query: String },
    #[error("table {table} was not made by an export")]
    NotOurs { table: String },
    #[error("{place} holds no place of an export: {why}")]
    NoPlace { place: String, why: String },
    #[error(
        "table {table} was removed or set back since: remove {place}, too, so that it is written again from \
         the beginning"
    )]
    Missing { table: String, place: String },
    #[error("others write to table {table} so often that this export gets no turn")]
    Crowded { table: String },
    #[error("table {table}: {source}")]
    Schema { table: String, source: InvalidSchema },
    #[error("table {table} does not fit its events any more: {source}")]
    Clash { table: String, source: Clash },
    #[error("{0} is a Delta table itself; give the folder that is to hold the tables")]
    IsTable(String),
}

impl ExportError {
    /// Whether what was asked for is wrong: asking again gives the same answer.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Delta(error) => error.is_final() && !matches!(error, DeltaError::Gone { .. }),
            Self::OtherLog { .. }
            | Self::OtherQuery { .. }
            | Self::NotOurs { .. }
            | Self::NoPlace { .. }
            | Self::Missing { .. }
            | Self::Schema { .. }
            | Self::Clash { .. }
            | Self::IsTable(_) => true,
            Self::Line(_)
            | Self::File(_)
            | Self::Failed(_)
            | Self::LogChanged
            | Self::NoLog
            | Self::Crowded { .. } => false,
        }
    }
}

fn asked(query: &str) -> &str {
    if query.is_empty() { "everything" } else { query }
}

/// What is exported: whose events, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id of the log.
    pub(crate) log: String,
    pub(crate) query: String,
}

impl Identity {
    /// How a table names a shard of this log.
    fn app_id(&self, shard: u32) -> String {
        format!("tradewind/{}/{shard}", self.log)
    }
}

/// Where a replay is behind some lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) cursor: String,
    pub(crate) log: Option<String>,
    pub(crate) shards: u32,
}

/// An export on its way.
pub(crate) struct Export {
    store: Arc<dyn ObjectStore>,
    root: Path,
    query: String,
    catalogue: Catalogue,
    clock: Clock,
    flush_bytes: usize,
    kept: Option<Kept>,
    identity: Option<Identity>,
    buffer: Buffer,
    cursor: Option<String>,
    tables: BTreeMap<String, Standing>,
    written: Written,
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
        let mut export = Self {
            store,
            root,
            query,
            catalogue,
            clock,
            flush_bytes: FLUSH_BYTES,
            kept: None,
            identity: None,
            buffer: Buffer::default(),
            cursor: None,
            tables: BTreeMap::new(),
            written: Written::default(),
        };
        export.check_root().await?;
        let Some(kept) = Kept::load(&export.store, &export.root).await? else { return Ok(export) };
        if kept.query != export.query {
            let table = "events".to_owned();
            return Err(ExportError::OtherQuery { table, query: kept.query });
        }
        let identity = Identity { log: kept.log.clone(), query: kept.query.clone() };
        export.identity = Some(identity.clone());
        for (name, version) in &kept.tables {
            let standing = export.standing(name);
            if standing.version(&identity).await?.is_none_or(|found| found < *version) {
                let place = Kept::path(&export.root).to_string();
                return Err(ExportError::Missing { table: name.clone(), place });
            }
        }
        // A type that had no table then has events before the cursor. The other tables know what they have.
        if export.catalogue.types().all(|name| kept.types.contains(name)) {
            export.cursor = Some(kept.cursor.clone());
        }
        export.kept = Some(kept);
        Ok(export)
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

    /// Takes the lines before a cursor, and writes when there are enough.
    pub(crate) async fn take(&mut self, lines: &[u8], mark: Mark) -> Result<(), ExportError> {
        let Mark { cursor, log, shards } = mark;
        match (&self.identity, log) {
            (Some(identity), Some(log)) if identity.log != log => {
                return Err(match &self.kept {
                    Some(_) => ExportError::OtherLog { table: EVENTS.to_owned() },
                    None => ExportError::LogChanged,
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
        if self.buffer.bytes() >= self.flush_bytes { self.flush().await } else { Ok(()) }
    }

    /// Commits everything that was taken.
    pub(crate) async fn flush(&mut self) -> Result<(), ExportError> {
        let (Some(identity), Some(cursor)) = (self.identity.clone(), self.cursor.clone()) else {
            return Ok(());
        };
        if !self.buffer.is_empty() {
            let full = self.buffer.take();
            for name in full.rows.keys() {
                self.standing(name);
            }
            let now = self.clock.now();
            let mut rows = full.rows;
            let writes = self.tables.iter_mut().filter_map(|(name, standing)| {
                let rows = rows.remove(name)?;
                let is_events = name == EVENTS;
                let (identity, lines) = (&identity, &full.lines);
                Some(
                    async move {
                        let written = standing.write(identity, lines, rows, now).await?;
                        Ok::<_, ExportError>((is_events, written))
                    }
                    .boxed(),
                )
            });
            let writes: Vec<_> = writes.collect();
            let written: Vec<_> =
                stream::iter(writes).buffer_unordered(TABLES_AT_ONCE).try_collect().await?;
            for (is_events, written) in written {
                self.written.rows += if is_events { written.rows } else { 0 };
                self.written.files += written.files;
                self.written.bytes += written.bytes;
            }
        }
        self.keep(identity, cursor).await
    }

    /// Puts the small files of each day together, where there are at least so many; tells how many went.
    pub(crate) async fn compact(&mut self, files_min: usize) -> Result<u64, ExportError> {
        let (Some(identity), now) = (self.identity.clone(), self.clock.now()) else { return Ok(0) };
        let mut compacted = 0;
        for standing in self.tables.values_mut() {
            compacted += standing.compact(&identity, files_min, now).await?;
        }
        Ok(compacted)
    }

    async fn keep(&mut self, identity: Identity, cursor: String) -> Result<(), ExportError> {
        let versions = self.tables.iter().filter_map(|(name, standing)| {
            Some((name.clone(), standing.snapshot.as_ref()?.version))
        });
        let Identity { log, query } = identity;
        let types = self.catalogue.types().map(ToOwned::to_owned).collect();
        let kept = Kept { log, query, cursor, types, tables: versions.collect() };
        if self.kept.as_ref() != Some(&kept) {
            kept.store(&self.store, &self.root).await?;
            self.kept = Some(kept);
        }
        Ok(())
    }

    fn standing(&mut self, name: &str) -> &mut Standing {
        let (store, root, catalogue) = (&self.store, &self.root, &self.catalogue);
        self.tables.entry(name.to_owned()).or_insert_with(|| {
            let table = Table::new(Arc::clone(store), root.clone().join(name));
            Standing::new(table, catalogue.columns(name))
        })
    }

    async fn check_root(&self) -> Result<(), ExportError> {
        let log = self.root.clone().join("_delta_log");
        let first = self.store.list(Some(&log)).next().await;
        match first.transpose() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(ExportError::IsTable(self.root.to_string())),
            Err(error) => Err(delta::storage("listing", &log, error).into()),
        }
    }
}

#[cfg(test)]
mod tests;
