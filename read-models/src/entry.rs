//! Rows of single events: each is written once, beside those that are there, and never changed.
//!
//! What an event leaves here follows from the event alone, read or not: neither the row of its stream nor
//! what this release understands of its data plays a part.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{
    envelope::Provenance,
    id::{EventId, StreamId},
};

use crate::cell::{Cell, Column, Get, Table};

/// A table that has a row for each event of some streams.
#[derive(Debug)]
pub struct EntryTable {
    pub name: &'static str,
    /// So many of the first columns tell a row from all others. The first of all is the stream's key.
    pub keys: usize,
    pub columns: &'static [(&'static str, Get<Entry>)],
    /// It is partitioned by when events were recorded: whoever writes makes a table for each month.
    pub is_parted_by_month: bool,
}

/// An event as it stands in the log, with whatever an operator has put in the place of its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: EventId,
    pub stream: StreamId,
    pub revision: i64,
    pub recorded_at: DateTime<Utc>,
    /// In the version that was written.
    pub event_type: Arc<str>,
    pub data: Bytes,
    pub place: Place,
    pub provenance: Provenance,
}

/// Where an event stands, in the types of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub shard: i32,
    /// The offset after its commit: who has seen that far has seen it.
    pub next_offset: i64,
    /// Of its commit in the shard.
    pub seq: i64,
    /// Its own in the commit.
    pub index: i32,
}

impl EntryTable {
    #[must_use]
    pub fn table(&self) -> Table {
        let columns = self.columns.iter().map(|(name, get)| Column { name, kind: get.kind() });
        Table { name: self.name, keys: self.keys, columns: columns.collect() }
    }

    /// The row of an event, in the order of the table's columns.
    ///
    /// # Errors
    /// If its data are no text.
    pub fn cells<'e>(&self, entry: &'e Entry) -> Result<Vec<Cell<'e>>, serde_json::Error> {
        self.columns.iter().map(|(_, get)| get.cell(entry)).collect()
    }
}
