//! What a store does, and what it is told and tells.

use std::{collections::BTreeSet, sync::Arc};

use domain::{
    id::{CommandId, StreamId},
    timestamp::Timestamp,
};
use infra::{
    codec,
    log::{BoxError, Checkpoint, Offset, RequestHash, record::EventRecord},
};
use serde::{Deserialize, Serialize};

use super::{
    super::{Outcome, Snapshot},
    error::StoreError,
    header::Header,
};

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
    pub(in crate::engine) header: Header,
    pub(in crate::engine) checkpoint: Checkpoint,
}

/// Keys and values as [`encoding`] has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    pub(in crate::engine) table: Table,
    pub(in crate::engine) key: &'a [u8],
    pub(in crate::engine) value: &'a [u8],
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
    pub(in crate::engine) const ALL: [Self; 3] = [Self::States, Self::Outcomes, Self::Deadlines];
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
    pub(super) event_type: Arc<str>,
    pub(super) value: Vec<u8>,
}

impl UnreadEvent {
    pub(in crate::engine) fn of(record: &EventRecord) -> Arc<Self> {
        let (event_type, value) = (Arc::clone(&record.event_type), record.value.to_vec());
        Arc::new(Self { event_type, value })
    }

    /// Whether this process can read it.
    pub(super) fn is_readable(&self, stream: &StreamId) -> bool {
        codec::decode_value(&self.event_type, stream, &self.value).is_ok()
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub(in crate::engine) request_hash: RequestHash,
    pub(in crate::engine) outcome: Outcome,
    pub(in crate::engine) next_offset: Offset,
    pub(in crate::engine) recorded_at: Timestamp,
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
