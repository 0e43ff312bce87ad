//! What a shard's machine is told, and what it asks for. Plain data on both sides.

use std::sync::Arc;

use domain::{id::StreamId, timestamp::Timestamp};
use infra::log::{
    Checkpoint, Commit, DeliveryError, LogRecord, Nonce, Offset, OutgoingRecord, Report, Ticket,
};

use super::{Answer, Submission, SubmitError};

/// Names a request between the machine and its shell, which holds the way back to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

#[derive(Debug)]
pub enum Input {
    /// The shell opened a fresh writer and appends a claim with this nonce.
    ClaimSent {
        nonce: Nonce,
        now: Timestamp,
    },
    /// The log's answer to the claim.
    ClaimReported {
        result: Result<Option<Offset>, DeliveryError>,
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
    /// The writer did not take a record: nothing that follows it may be sent.
    AppendFailed,
    /// Records that [`Effect::Fetch`] asked for, in offset order.
    Fetched {
        records: Vec<LogRecord>,
    },
    /// No more inputs are at hand: send what has gathered.
    Drained {
        now: Timestamp,
    },
    Ticked {
        now: Timestamp,
    },
    /// This node should own the shard.
    Appointed,
    /// Another node should own the shard: let go of it as soon as nothing is under way.
    Resigned,
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
    /// Drop the writer with all its later reports, and do not claim.
    LetGo,
    /// Drop the writer with all its later reports, open a fresh one and claim the shard.
    TakeOver {
        reason: TakeOverReason,
    },
    /// The request waits for the answer of one that came before it with the same command.
    Joined {
        request: RequestId,
    },
    Append {
        records: Vec<(OutgoingRecord, Ticket)>,
    },
    /// Read the log from `from` up to but without `to`.
    Fetch {
        from: Offset,
        to: Offset,
    },
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
