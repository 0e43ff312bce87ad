//! Why there is no copy.

use domain::shard::ShardId;
use infra::{
    codec,
    log::{AppendError, OpenError, ReadError, progress::ProgressError},
};

use super::plan::Misplaced;

/// The source is as it was, and nothing that is in the target by then has to be copied again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReshardError {
    #[error(
        "shard {shard} of the source is being written to: stop all nodes of the command API, then \
         run this again"
    )]
    SourceInUse { shard: ShardId },
    #[error("shard {shard} of the source no longer holds its first records")]
    SourceCutOff { shard: ShardId },
    /// Where their events stand would be wrong in the target.
    #[error(
        "{0} steps of processes are parked, which hold where their events stand in the source: \
         start the nodes again, retry or skip the steps (command-api steps list), stop the nodes, \
         then run this again; it goes on where it is"
    )]
    StepsParked(usize),
    #[error("an event about parked steps cannot be read by this release")]
    Unreadable(#[from] codec::DecodeError),
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    #[error(
        "shard {shard} of the target holds something else than this copy, from its commit {seq} \
         on: name another topic, or remove this one"
    )]
    TargetDiffers { shard: ShardId, seq: u64 },
    #[error(
        "shard {shard} of the target has been claimed by {node:?}: it is in use, or was made for \
         something else"
    )]
    TargetInUse { shard: ShardId, node: String },
    #[error(
        "somebody else writes to shard {shard} of the target, or what an earlier run wrote came \
         late: run this again"
    )]
    TargetMoved { shard: ShardId },
    #[error(
        "it is not known what became of a record for shard {shard} of the target ({reason}): run \
         this again"
    )]
    InDoubt { shard: ShardId, reason: String },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Progress(#[from] ProgressError),
}
