//! How a shard stands, for readiness, metrics and operators.

use domain::shard::ShardId;
use infra::{log::Offset, membership::Member};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    pub shard: ShardId,
    pub phase: Phase,
    pub epoch: Offset,
    pub seq: u64,
    pub next_offset: Offset,
    /// Commands whose outcome is not settled, and reads that are not proven.
    pub pending: usize,
    /// Aggregates in memory.
    pub streams: usize,
    /// Outcomes kept for retries.
    pub remembered: usize,
    /// The log has not answered for a while: new commands are refused.
    pub stalled: bool,
}

/// A shard as its owner and this node see it.
#[derive(Clone, Debug)]
pub struct ShardView {
    pub shard: ShardId,
    pub owner: Option<Member>,
    /// `None` if the owner is not known or does not answer.
    pub at_owner: Option<ShardStatus>,
    pub here: ShardStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not served here: the log is followed, or the next claim has not been sent.
    Idle,
    /// A claim is on its way to the log.
    Claiming,
    /// The log is read up to the own claim.
    Replaying,
    Serving,
}

impl ShardStatus {
    #[must_use]
    pub fn serves(&self) -> bool {
        self.phase == Phase::Serving && !self.stalled
    }
}
