//! What a projection is, as data: a name, tables, views, and how streams become rows.
//!
//! A projection knows nothing of batches, checkpoints, transactions or retries: the projector has
//! those. Adding one is one file beside this one and its line in `lib.rs`.

use domain::{StreamType, id::StreamId};
use infra::freshness;

use crate::{
    cell::Table,
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
    /// How streams become rows: a fold for each of the tables that have a row per stream. Shards are
    /// read in no order, so each fold has rows of its own, and where they meet is a view.
    pub folds: &'static [Fold],
}

/// What the streams of one type make of one table with a row per stream.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// The streams whose events it folds; it never sees another.
    pub stream: StreamType,
    /// The table that has a row per stream. The stream's key is its first column.
    pub table: fn() -> Table,
    /// The tables of rows that many streams share.
    pub sums: &'static [fn() -> Table],
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
        Self { stream, table: Table::of::<R>, sums: &[], slot }
    }

    /// Its events add to these tables, too, which are no other fold's.
    #[must_use]
    pub const fn adding(self, sums: &'static [fn() -> Table]) -> Self {
        Self { sums, ..self }
    }

    /// A place for the row of the stream with this key, still empty; none if the tables cannot store
    /// such a key.
    #[must_use]
    pub fn slot(&self, key: &str) -> Option<Box<dyn Slot>> {
        (self.slot)(key)
    }
}
