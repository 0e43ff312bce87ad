//! What a projection is, as data: a name, tables, views, and how streams become rows.
//!
//! A projection knows nothing of batches, checkpoints, transactions or retries: the projector has
//! those. Adding one is one file beside this one and its line in `lib.rs`.

use domain::{StreamType, id::StreamId};
use infra::freshness;

use crate::{
    Flat,
    cell::Table,
    entry::EntryTable,
    row::{self, Key, Row, Slot},
};

/// A read model: its tables, and what streams make of them.
///
/// In SQL, `{schema}` stands for the schema of the version at hand, so that the same projection can
/// live beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    pub name: &'static str,
    /// Grows with each change of the tables or of what is made of an event.
    pub version: i32,
    /// Its tables and indexes, as they are created in an empty schema.
    pub tables: &'static str,
    /// Its stable views in schema `read`: name and query.
    pub views: &'static [(&'static str, &'static str)],
    /// What analysts see of it, in schema `analytics`.
    pub analytics: &'static [Flat],
    /// How streams become rows: a fold for each of the tables that have a row per stream, and for streams
    /// whose single events are kept. Shards are read in no order, so each fold has rows of its own, and
    /// where they meet is a view.
    pub folds: &'static [Fold],
}

/// What the streams of one type make: of a table with a row per stream, of sums, of entries.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// The streams whose events it folds; it never sees another.
    pub stream: StreamType,
    /// The tables of rows that many streams share.
    pub sums: &'static [fn() -> Table],
    /// The tables that have a row for each of the events. Several folds may share one.
    pub entries: &'static [&'static EntryTable],
    rows: Option<Rows>,
}

/// A row per stream.
#[derive(Clone, Copy, Debug)]
struct Rows {
    table: fn() -> Table,
    slot: fn(&str) -> Option<Box<dyn Slot>>,
}

impl Projection {
    /// The name that its positions go by.
    #[must_use]
    pub const fn shown(&self) -> freshness::Projection {
        freshness::Projection(self.name)
    }

    /// Types of streams whose events one of the folds wants.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamType> {
        self.folds.iter().map(|fold| fold.stream).collect()
    }

    /// The tables of entries, each once.
    #[must_use]
    pub fn entries(&self) -> Vec<&'static EntryTable> {
        let mut tables: Vec<&'static EntryTable> = Vec::new();
        for table in self.folds.iter().flat_map(|fold| fold.entries) {
            if tables.iter().all(|known| known.name != table.name) {
                tables.push(table);
            }
        }
        tables
    }

    /// Whether one of the folds wants the events of a stream.
    #[must_use]
    pub fn wants(&self, stream: &StreamId) -> bool {
        self.folds.iter().any(|fold| Some(fold.stream) == stream.stream_type())
    }
}

impl Fold {
    #[must_use]
    pub const fn of<R: Row>(stream: StreamType) -> Self {
        let slot = |key: &str| R::Key::parse(key).map(row::slot::<R>);
        Self { stream, sums: &[], entries: &[], rows: Some(Rows { table: Table::of::<R>, slot }) }
    }

    /// Of streams that have no row, so that whatever stands in the log follows on what was there: also
    /// events that this release cannot read.
    #[must_use]
    pub const fn of_entries(stream: StreamType, entries: &'static [&'static EntryTable]) -> Self {
        Self { stream, sums: &[], entries, rows: None }
    }

    /// Its events add to these tables, too, which are no other fold's.
    #[must_use]
    pub const fn adding(self, sums: &'static [fn() -> Table]) -> Self {
        Self { sums, ..self }
    }

    /// Each event that goes into the row of its stream leaves a row in these tables, too.
    #[must_use]
    pub const fn appending(self, entries: &'static [&'static EntryTable]) -> Self {
        Self { entries, ..self }
    }

    /// The table that has a row per stream, if there is one. The stream's key is its first column.
    #[must_use]
    pub fn table(&self) -> Option<Table> {
        self.rows.map(|rows| (rows.table)())
    }

    #[must_use]
    pub const fn has_rows(&self) -> bool {
        self.rows.is_some()
    }

    /// Whether its events leave rows in this table.
    #[must_use]
    pub fn appends_to(&self, table: &EntryTable) -> bool {
        self.entries.iter().any(|own| own.name == table.name)
    }

    /// A place for the row of the stream with this key, still empty; none if the tables have no such rows,
    /// or cannot store such a key.
    #[must_use]
    pub fn slot(&self, key: &str) -> Option<Box<dyn Slot>> {
        (self.rows?.slot)(key)
    }
}
