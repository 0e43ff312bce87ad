//! What a shard's machine is told, and what it asks for. Plain data on both sides.

use std::{collections::VecDeque, sync::Arc};

use domain::{id::StreamId, timestamp::Timestamp};
use infra::log::{
    Checkpoint, ClaimRecord, Commit, LogRecord, Offset, OutgoingRecord, Report, Ticket,
};

use super::{Answer, Submission, SubmitError};

/// Names a request between the machine and its shell, which holds the way back to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a node is to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Owner,
    /// Follows the log, to take over when the owner goes.
    Standby,
    Away,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Standby => "standby",
            Self::Away => "away",
        }
    }
}

#[derive(Debug)]
pub enum Input {
    /// This node should be something else to the shard than before.
    RoleChanged {
        role: Role,
        now: Timestamp,
    },
    /// There is a fresh writer, as [`Effect::Claim`] wants it, and this is what to claim with. Its nonce
    /// is all the randomness that the machine gets.
    ClaimReady {
        claim: ClaimRecord,
        now: Timestamp,
    },
    Submitted {
        request: RequestId,
        submission: Arc<Submission>,
        now: Timestamp,
    },
    /// Somebody wants to read what the log has confirmed by now.
    Asked {
        request: RequestId,
        now: Timestamp,
    },
    /// Reports follow that arrived at this time.
    Heard {
        now: Timestamp,
    },
    /// One record's delivery, from the current writer.
    Reported {
        report: Report,
    },
    /// The writer had no room for these, which are the last of an [`Effect::Append`].
    QueueFull {
        records: VecDeque<(OutgoingRecord, Ticket)>,
    },
    /// There is no writer, or it did not take a record: nothing that follows it may be sent.
    AppendFailed,
    /// Records that [`Effect::Read`] asked for, in offset order; it may be more than that.
    Fetched {
        records: Vec<LogRecord>,
    },
    /// Time has passed; [`Input::Drained`] follows.
    Ticked {
        now: Timestamp,
    },
    /// No more inputs are at hand: do what is due, and send what has gathered.
    Drained {
        now: Timestamp,
    },
}

#[derive(Debug, PartialEq)]
pub enum Effect {
    /// The log contradicts what this machine has read: it must not go on.
    Halt {
        reason: String,
    },
    /// A stream cannot be served any more: somebody must act.
    Unreadable {
        stream: StreamId,
        detail: String,
    },
    /// A command was refused because readers could not have read what it came to: a bug, and
    /// somebody must act.
    NotReadable {
        stream: StreamId,
        detail: String,
    },
    /// Open a writer and answer with [`Input::ClaimReady`], and with [`Input::AppendFailed`] behind it if
    /// there is none.
    Claim {
        reason: TakeOverReason,
    },
    /// Drop the writer with all its later reports, for another node should own the shard.
    LetGo,
    /// Drop the writer with all its later reports: its epoch has ended in doubt.
    GiveUp {
        reason: TakeOverReason,
    },
    /// The request waits for the answer of one that came before it with the same command.
    Joined {
        request: RequestId,
    },
    /// A group of so many records is closed, and its last one is this.
    Grouped {
        records: usize,
        last: Ticket,
    },
    Append {
        records: VecDeque<(OutgoingRecord, Ticket)>,
    },
    /// Read the log from `from` up to but without `to`, or until [`Effect::StopReading`].
    Read {
        from: Offset,
        to: Option<Offset>,
    },
    StopReading,
    /// For who listens to this machine.
    Emitted {
        commit: Commit,
        checkpoint: Checkpoint,
    },
    Reply {
        request: RequestId,
        result: Result<Answer, SubmitError>,
    },
    /// The confirmed states are new enough for who [`Input::Asked`], or there will be no such states.
    ReplyRead {
        request: RequestId,
        result: Result<(), SubmitError>,
    },
}

/// Why a shard claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOverReason {
    /// The shard should be this node's.
    Appointed,
    /// It is not known whether the last claim landed, or another record stands at its offset.
    ClaimUnknown,
    /// A record was reported as not delivered.
    DeliveryFailed,
    /// A record was reported as delivered without its offset, or out of its place.
    OffsetUnknown,
    /// The writer did not take a record.
    AppendFailed,
    /// The log has been silent for too long.
    Watchdog,
    /// Another writer has claimed the shard.
    Deposed,
}

impl TakeOverReason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Appointed => "appointed",
            Self::ClaimUnknown => "claim_unknown",
            Self::DeliveryFailed => "delivery_failed",
            Self::OffsetUnknown => "offset_unknown",
            Self::AppendFailed => "append_failed",
            Self::Watchdog => "watchdog",
            Self::Deposed => "deposed",
        }
    }
}
