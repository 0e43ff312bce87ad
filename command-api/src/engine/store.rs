//! Where a shard's aggregates, outcomes and place in the log outlive the process.
//!
//! The log is the truth and a store only saves the reading of it. So a store is written behind what
//! the shard's reader machine has emitted and may lag; it is never synced; and one that is damaged, or
//! of something else, is thrown away and the log read again. [`error`] tells what is damage: a system
//! that refuses is waited for, and an entry that cannot be decoded stops nothing but itself.
//!
//! [`disk`] keeps it in files, [`memory`] stands in for that in tests and simulations, and [`open`]
//! finds out whether what was kept belongs to the log that is there. What is in files can be copied
//! and put in place elsewhere, which is what [`snapshots`](super::snapshots) do.
//!
//! **Invariant:** a store holds the fold of the log up to its checkpoint, no less and no more: a
//! batch is applied as a whole or not at all.
//! **Invariant:** loads are answered from what was written, so the machine that asks stays a
//! function of its inputs.

mod disk;
mod encoding;
mod error;
mod header;
mod memory;
pub(super) mod open;
mod state_store;
#[cfg(test)]
pub(super) mod testing;

use std::sync::Arc;

use domain::shard::ShardId;
use infra::{config, log::BoxError};

use super::snapshots::{Rows, SnapshotRepository};

pub use error::StoreError;
pub(super) use error::{OpenError, Untold};
pub use header::Header;
pub use memory::MemoryStore;
pub use state_store::{
    Batch, ChangedState, Deadline, Head, Known, Remembered, Row, Size, StateStore, StoreCopy,
    StoredState, Table, TakeRow, Unread, UnreadEvent, Unreadable, Upcoming, Written,
};

/// Opens the stores of shards.
pub(super) trait Source: Send + Sync {
    fn open(&self, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError>;

    /// Removes what a shard has stored. Nobody may have it open.
    fn discard(&self, shard: ShardId) -> Result<(), StoreError>;

    /// Overwrites an entry of a closed store.
    #[cfg(test)]
    fn spoil(&self, _: ShardId, _: Table, _: &[u8], _: &[u8]) {}

    /// Puts a copy in the place of what a shard has stored, as a whole or not at all. Nobody may
    /// have it open.
    fn restore(&self, _: ShardId, _: &Head, _: &mut Rows) -> Result<(), BoxError> {
        Err("a store in memory has nothing to put a copy in".into())
    }
}

/// How shards keep their state.
#[derive(Clone)]
pub struct Stores {
    pub(super) source: Arc<dyn Source>,
    shard_count: u32,
    pub(super) cache_bytes: usize,
    pub(super) repository: Option<Arc<SnapshotRepository>>,
}

impl Stores {
    /// In files: what the services use.
    #[must_use]
    pub fn on_disk(settings: &config::Store, shard_count: u32) -> Self {
        let config::Store { path, cache_bytes } = settings;
        let share = cache_bytes / usize::try_from(shard_count.max(1)).unwrap_or(usize::MAX);
        // A block of the store holds states packed and many at a time; the rest is for states that
        // are ready to use.
        let block_bytes = share / 4;
        let source = disk::DiskSource::new(path.clone(), shard_count, block_bytes);
        let (source, cache_bytes) = (Arc::new(source), share - block_bytes);
        Self { source, shard_count, cache_bytes, repository: None }
    }

    /// With a place for snapshots.
    #[must_use]
    pub fn with_depot(self, repository: Option<SnapshotRepository>) -> Self {
        Self { repository: repository.map(Arc::new), ..self }
    }

    /// What the store of a shard says that it is.
    pub(super) fn header(&self, shard: ShardId) -> Header {
        Header::of(shard, self.shard_count)
    }

    /// In memory, shared by clones: a restart within one process finds what was stored.
    #[must_use]
    pub fn in_memory() -> Self {
        let source = Arc::new(memory::MemorySource::default());
        Self { source, shard_count: 0, cache_bytes: usize::MAX, repository: None }
    }
}
