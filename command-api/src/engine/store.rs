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
mod memory;
pub(super) mod open;
#[cfg(test)]
pub(super) mod testing;

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    id::{CommandId, StreamId},
    shard::ShardId,
    timestamp::Timestamp,
};
use infra::{
    codec, config,
    log::{BoxError, Checkpoint, record::EventRecord},
};
use serde::{Deserialize, Serialize};

use super::{
    Snapshot,
    snapshots::{Depot, Rows},
};

pub use super::dedup::Known;
pub use encoding::Header;
pub(super) use error::OpenError;
pub use error::StoreError;
pub use memory::MemoryStore;

/// When time changes a stream next; in this order they come due.
pub type Deadline = (Timestamp, StreamId);

/// One shard's store.
pub trait StateStore: Send + Sync {
    /// Up to where the log is folded in; none before the first write.
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// None for a stream without events.
    fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError>;

    /// What became of a command, however long ago: its age is for the caller to judge.
    fn outcome(&self, command_id: CommandId) -> Result<Option<Remembered>, StoreError>;

    /// The next `max` deadlines after one, or from the first on.
    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Upcoming, StoreError>;

    /// Applies a batch, which blocks. After an error the same batch must be written again before
    /// any other.
    fn write(&self, batch: &Batch) -> Result<Written, StoreError>;

    fn size(&self) -> Size;

    /// The aggregates whose states were made by another fold than this release's, or could not be made by
    /// the one that wrote them and can be now: they must be forgotten and folded anew.
    fn outdated(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(BTreeSet::new())
    }

    /// Has the store say, whatever comes, that states of these aggregates are none of any release, until
    /// [`StateStore::renew`]. Blocks.
    fn distrust(&self, aggregates: &BTreeSet<String>) -> Result<(), StoreError> {
        let _ = aggregates;
        Ok(())
    }

    /// Removes the states of an aggregate, which blocks. Nobody may trust them by then.
    fn forget(&self, aggregate: &str) -> Result<(), StoreError> {
        let _ = aggregate;
        Ok(())
    }

    /// No state is outdated any more.
    fn renew(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// All that is in the store at this moment, for a snapshot. None before the first write, and of a
    /// store in memory, which would not gain from it.
    fn copy(&self) -> Result<Option<Box<dyn StoreCopy>>, StoreError> {
        Ok(None)
    }
}

/// A store as it was at one moment, whatever has been written since.
pub trait StoreCopy: Send {
    fn head(&self) -> &Head;

    /// Reads all rows, which blocks, sorted by table and key.
    fn rows(&self, take: &mut TakeRow<'_>) -> Result<(), BoxError>;
}

pub type TakeRow<'a> = dyn FnMut(Row<'_>) -> Result<(), BoxError> + 'a;

/// What a copy is of, and up to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub(super) header: Header,
    pub(super) checkpoint: Checkpoint,
}

/// Keys and values as [`encoding`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub(super) table: Table,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

/// What a store holds beside its head. The numbers are those of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    States = 1,
    Outcomes = 2,
    Deadlines = 3,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::States, Self::Outcomes, Self::Deadlines];
}

#[derive(Clone, Debug, PartialEq)]
pub struct StoredState {
    pub snapshot: Result<Snapshot, Unread>,
    /// Its size in the store.
    pub bytes: usize,
}

/// Why there is no state of a stream, which is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The first event of the stream that could not be read.
    Event(Arc<UnreadEvent>),
    /// What the store had of it could not be decoded, which says why.
    Entry(Arc<str>),
    /// It was so when the store had it last.
    Unknown,
}

/// What a later release tries to read.
#[derive(Debug, PartialEq, Eq)]
pub struct UnreadEvent {
    event_type: Arc<str>,
    value: Vec<u8>,
}

impl UnreadEvent {
    pub(super) fn of(record: &EventRecord) -> Arc<Self> {
        let (event_type, value) = (Arc::clone(&record.event_type), record.value.to_vec());
        Arc::new(Self { event_type, value })
    }

    /// Whether this process can read it.
    fn is_readable(&self, stream: &StreamId) -> bool {
        codec::decode_value(&self.event_type, stream, &self.value).is_ok()
    }
}

/// What the store has under a command id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    Known(Known),
    /// The command has an outcome, which cannot be decoded.
    Unreadable {
        /// None if not even that can be told.
        recorded_at: Option<Timestamp>,
        detail: String,
    },
}

/// Deadlines in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Upcoming {
    pub deadlines: Vec<Deadline>,
    /// Why entries between them were passed over.
    pub unreadable: Vec<String>,
}

/// An entry that cannot be decoded, for operators.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    State { stream: StreamId, detail: Arc<str> },
    Outcome { command_id: CommandId, detail: String },
    Deadline { detail: String },
}

/// All that a stretch of the log has changed.
#[derive(Debug)]
pub struct Batch {
    /// The end of that stretch.
    pub checkpoint: Checkpoint,
    pub states: Vec<ChangedState>,
    pub outcomes: Vec<(CommandId, Arc<Known>)>,
    /// Outcomes recorded before this are of no use to anyone.
    pub forget_before: Timestamp,
}

#[derive(Debug)]
pub struct ChangedState {
    pub stream: StreamId,
    pub snapshot: Result<Snapshot, Unread>,
    /// As the batch before left it.
    pub old_deadline: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Written {
    /// The size of each state of the batch.
    pub state_bytes: Vec<usize>,
    /// Of the batch, what had no encoding: it is in the store as such.
    pub unreadable: Vec<Unreadable>,
    pub size: Size,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub bytes: u64,
    /// About how many; those that are of no use any more may be among them.
    pub outcomes: usize,
}

/// Opens the stores of shards.
pub(super) trait Source: Send + Sync {
    fn open(&self, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError>;

    /// Removes what a shard has stored. Nobody may have it open.
    fn discard(&self, shard: ShardId) -> Result<(), StoreError>;

    /// What a shard's store says that it is.
    fn header(&self, shard: ShardId) -> Header;

    /// Overwrites an entry of a closed store.
    #[cfg(test)]
    fn spoil(&self, _: ShardId, _: Table, _: &[u8], _: &[u8]) {}

    /// Puts a copy in the place of what a shard has stored, as a whole or not at all. Nobody may
    /// have it open.
    fn restore(&self, shard: ShardId, head: &Head, rows: &mut Rows) -> Result<(), BoxError>;
}

/// How shards keep their state.
#[derive(Clone)]
pub struct Stores {
    source: Arc<dyn Source>,
    cache_bytes: usize,
    depot: Option<Arc<Depot>>,
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
        Self { source: Arc::new(source), cache_bytes: share - block_bytes, depot: None }
    }

    /// With a place for snapshots.
    #[must_use]
    pub fn with_depot(self, depot: Option<Depot>) -> Self {
        Self { depot: depot.map(Arc::new), ..self }
    }

    pub(super) const fn depot(&self) -> Option<&Arc<Depot>> {
        self.depot.as_ref()
    }

    /// What the store of a shard says that it is.
    pub(super) fn header(&self, shard: ShardId) -> Header {
        self.source.header(shard)
    }

    pub(super) fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    pub(super) const fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// In memory, shared by clones: a restart within one process finds what was stored.
    #[must_use]
    pub fn in_memory() -> Self {
        let source = Arc::new(memory::MemorySource::default());
        Self { source, cache_bytes: usize::MAX, depot: None }
    }
}
