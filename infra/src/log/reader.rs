//! The reader machine: which records of a shard count, and where commits begin and end. Pure.
//!
//! Everyone who reads the log runs it over the full sequence of records, so all of them agree on
//! what happened. Writers never delete or overwrite what went wrong; the machine passes over it:
//! records of a deposed writer, doubled ones, and the remains of commits whose rest never came.
//!
//! **Invariant:** a checkpoint is taken from an emitted commit only. There `partial` is empty, so
//! that whoever resumes has lost nothing that it would have to remember.
//!
//! **Invariant:** the numbers of emitted commits are gapless and ascend by one, whatever is read.

use serde::{Deserialize, Serialize};

use super::{
    LogId, Nonce, Offset,
    mistake::{Mistake, Mistakes},
    record::{BarrierRecord, Body, ClaimRecord, EventRecord, ForeignReason, LogRecord, Place},
};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// Where a reader goes on, taken from an emitted commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub log_id: Option<LogId>,
    pub next_offset: Offset,
    pub epoch: Offset,
    pub claim: Option<Nonce>,
    pub last_seq: u64,
}

impl Checkpoint {
    /// Before the first record.
    pub const START: Self =
        Self { log_id: None, next_offset: 0, epoch: -1, claim: None, last_seq: 0 };
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self::START
    }
}

/// What a record meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Stepped {
    /// A new epoch began; what was partial is gone.
    Claimed { epoch: Offset, claim: ClaimRecord },
    /// An event whose commit is not complete yet.
    Partial,
    /// The record completed a commit.
    Commit(Commit),
    /// The record does not count.
    Ignored(Ignored),
}

/// A commit: all of its records, or it would not be one.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub epoch: Offset,
    pub seq: u64,
    /// The offset after its last record.
    pub next_offset: Offset,
    pub body: CommitBody,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CommitBody {
    /// At least one, all of one command.
    Events(Vec<EventRecord>),
    Barrier(BarrierRecord),
}

/// Why a record does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Its writer had been deposed, or never owned the shard.
    StaleEpoch,
    /// Its commit was emitted before.
    Duplicate,
    /// A commit before its own is missing.
    Gap,
    /// It does not continue the commit that is under way.
    OutOfPlace,
    Foreign(ForeignReason),
}

impl Ignored {
    /// For metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StaleEpoch => "stale_epoch",
            Self::Duplicate => "duplicate",
            Self::Gap => "gap",
            Self::OutOfPlace => "out_of_place",
            Self::Foreign(reason) => reason.as_str(),
        }
    }
}

/// The records do not follow one another: something is missing, and whatever is made of the rest
/// would be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has a hole: expected offset {expected}, found {found}")]
pub struct Halt {
    pub expected: Offset,
    pub found: Offset,
}

/// Events that room is made for before they are there: of a commit only its first one tells how many.
const RESERVED_MAX: usize = 64;

/// The machine of one shard.
#[derive(Clone, Debug)]
pub struct Reader {
    /// After the last record, counted or not.
    at: Checkpoint,
    /// After the last emitted commit.
    emitted: Checkpoint,
    partial: Vec<EventRecord>,
    mistakes: Mistakes,
}

impl Reader {
    #[must_use]
    pub fn start() -> Self {
        Self::resume(Checkpoint::START)
    }

    #[must_use]
    pub fn resume(checkpoint: Checkpoint) -> Self {
        let (partial, mistakes) = (Vec::new(), Mistakes::default());
        Self { at: checkpoint, emitted: checkpoint, partial, mistakes }
    }

    /// A reader that breaks a rule.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn with_mistakes(self, mistakes: Mistakes) -> Self {
        Self { mistakes, ..self }
    }

    /// Passes over records that nobody reads.
    #[cfg(feature = "simulation")]
    pub fn skip_to(&mut self, offset: Offset) {
        self.at.next_offset = offset;
    }

    /// Takes the next record of the shard.
    ///
    /// # Errors
    /// The record is not the one at [`Self::next_offset`]. The machine has not moved.
    pub fn step(&mut self, record: LogRecord) -> Result<Stepped, Halt> {
        let LogRecord { offset, body } = record;
        if offset != self.at.next_offset {
            return Err(Halt { expected: self.at.next_offset, found: offset });
        }
        self.at.next_offset += 1;
        Ok(match body {
            Body::Claim(claim) => self.begin_epoch(offset, claim),
            Body::Event(event) => match self.check_event(&event) {
                Ok(()) => self.take_event(*event),
                Err(reason) => Stepped::Ignored(reason),
            },
            Body::Barrier(barrier) => match self.check_barrier(&barrier) {
                Ok(()) => self.emit(barrier.place.seq, CommitBody::Barrier(barrier)),
                Err(reason) => Stepped::Ignored(reason),
            },
            Body::Foreign(reason) => Stepped::Ignored(Ignored::Foreign(reason)),
        })
    }

    /// Where another reader goes on from the last emitted commit.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = self.emitted;
        if self.mistakes.has(Mistake::CheckpointWithoutEpoch) {
            (checkpoint.epoch, checkpoint.claim) = (-1, None);
        }
        if self.mistakes.has(Mistake::CheckpointInsideCommit) {
            checkpoint.next_offset = self.at.next_offset;
        }
        checkpoint
    }

    /// Offset of the record that must come next.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.at.next_offset
    }

    /// Offset of the newest claim, -1 before the first.
    #[must_use]
    pub fn epoch(&self) -> Offset {
        self.at.epoch
    }

    #[must_use]
    pub fn claim(&self) -> Option<Nonce> {
        self.at.claim
    }

    /// Number of the last emitted commit, 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.at.last_seq
    }

    #[must_use]
    pub fn log_id(&self) -> Option<LogId> {
        self.at.log_id
    }

    fn begin_epoch(&mut self, offset: Offset, claim: ClaimRecord) -> Stepped {
        self.at.log_id = self.at.log_id.or(Some(claim.nonce));
        self.at.epoch = offset;
        self.at.claim = Some(claim.nonce);
        // What the deposed writer had not finished never counts. `last_seq` stays: numbers belong
        // to the shard, not to the writer.
        if !self.mistakes.has(Mistake::PartialKeptOverClaim) {
            self.partial.clear();
        }
        Stepped::Claimed { epoch: offset, claim }
    }

    fn check_event(&self, event: &EventRecord) -> Result<(), Ignored> {
        let Place { index, count, .. } = event.place;
        self.check_commit(&event.place)?;
        let follows = usize::try_from(index).is_ok_and(|index| index == self.partial.len())
            || self.mistakes.has(Mistake::ReaderIgnoresIndex);
        let agrees = self.partial.first().is_none_or(|first| {
            first.place.count == count && first.provenance.command_id == event.provenance.command_id
        });
        if follows && index < count && agrees { Ok(()) } else { Err(Ignored::OutOfPlace) }
    }

    fn check_barrier(&self, barrier: &BarrierRecord) -> Result<(), Ignored> {
        let Place { index, count, .. } = barrier.place;
        self.check_commit(&barrier.place)?;
        let alone = self.partial.is_empty() && index == 0 && count == 1;
        if alone { Ok(()) } else { Err(Ignored::OutOfPlace) }
    }

    fn check_commit(&self, place: &Place) -> Result<(), Ignored> {
        let current = place.epoch == self.at.epoch && Some(place.claim) == self.at.claim;
        if !current && !self.mistakes.has(Mistake::ReaderIgnoresEpoch) {
            Err(Ignored::StaleEpoch)
        } else if place.seq == self.at.last_seq && self.mistakes.has(Mistake::ReaderTakesLastSeq) {
            Ok(())
        } else if place.seq <= self.at.last_seq {
            Err(Ignored::Duplicate)
        } else if place.seq - self.at.last_seq > 1 && !self.mistakes.has(Mistake::ReaderTakesGap) {
            Err(Ignored::Gap)
        } else {
            Ok(())
        }
    }

    fn take_event(&mut self, event: EventRecord) -> Stepped {
        let Place { seq, index, count, .. } = event.place;
        let complete = index + 1 == count;
        if self.partial.is_empty() {
            // Of its very size: most commits have one event, and there are many of them.
            self.partial.reserve_exact(usize::try_from(count).unwrap_or(1).min(RESERVED_MAX));
        }
        self.partial.push(event);
        if complete {
            let events = std::mem::take(&mut self.partial);
            self.emit(seq, CommitBody::Events(events))
        } else {
            Stepped::Partial
        }
    }

    fn emit(&mut self, seq: u64, body: CommitBody) -> Stepped {
        self.at.last_seq = seq;
        self.emitted = self.at;
        let Checkpoint { epoch, next_offset, .. } = self.at;
        Stepped::Commit(Commit { epoch, seq, next_offset, body })
    }
}
