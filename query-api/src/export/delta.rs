//! Delta Lake tables, as far as somebody needs them who appends: the protocol's versions 1 (readers) and
//! 2 (writers), with transactions of applications.
//!
//! A table is a folder of Parquet files and a log of JSON files beside them, which says which of those
//! count. Whoever writes the log's next file has made the table's next version: storage lets it be made
//! once only, and that is all that two writers need to know of one another.
//!
//! **Invariant:** what an uncommitted file holds is never read by anybody. A commit is whole or absent.

pub(crate) mod action;
mod checkpoint;
mod error;
pub(crate) mod schema;
mod snapshot;
mod table;

pub(crate) use action::{Action, Add, Txn};
pub(crate) use error::{DeltaError, storage};
pub(crate) use schema::{Field, Kind};
pub(crate) use snapshot::Snapshot;
pub(crate) use table::{Committed, Table};
