//! Snapshots: copies of shards' stores in object storage, for nodes that have none.
//!
//! The owner of a shard leaves one now and then ([`upload`]); a node without a usable store of a
//! shard that it is to serve or to follow takes the newest ([`fetch`]) and replays only what came
//! after it. [`depot`] is the place, [`format`] the bytes.
//!
//! A snapshot is as little a second truth as a store is. What is wrong with one, or doubtful, ends in
//! taking the next older one, and then in reading the log from its beginning.
//!
//! **Invariant:** what a snapshot held is in a store only after all its MACs have been seen to match,
//! and what is in place then is looked at as any store that was found at the start.

mod depot;
mod fetch;
mod format;
mod signing;
#[cfg(test)]
mod tests;
mod upload;

pub use depot::{Depot, DepotError};
pub(super) use fetch::fetch;
pub(super) use format::Rows;
pub(super) use upload::Uploader;
