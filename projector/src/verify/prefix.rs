//! The log up to the checkpoints of a version, read once more from its beginning.

use std::sync::Arc;

use domain::shard::ShardId;
use infra::log::{
    Checkpoint, CommitBody, EventLog, EventRecord, Offset, ReadError, follow::Follower,
};
use read_models::Projection;

const RECORDS_MAX: usize = 2_000;

/// One shard up to a checkpoint.
pub(super) struct Prefix {
    follower: Follower,
    end: Checkpoint,
    projection: Projection,
}

impl Prefix {
    pub(super) async fn open(
        log: &Arc<dyn EventLog>,
        shard: ShardId,
        end: Checkpoint,
        projection: Projection,
    ) -> Result<Self, ReadError> {
        // Of the same log, or what it makes says nothing about the rows.
        let start = Checkpoint { log_id: end.log_id, ..Checkpoint::START };
        let follower = Follower::open(&**log, shard, Some(start)).await?;
        Ok(Self { follower, end, projection })
    }

    /// Records of the shard that have been passed.
    pub(super) fn passed(&self) -> i64 {
        self.follower.next_offset()
    }

    /// Hands the next events over, each with the end of its commit; false at the end.
    pub(super) async fn next(
        &mut self,
        mut take: impl FnMut(&EventRecord, Offset),
    ) -> Result<bool, ReadError> {
        if self.follower.checkpoint().next_offset >= self.end.next_offset {
            return Ok(false);
        }
        for commit in self.follower.next(RECORDS_MAX).await? {
            if let CommitBody::Events(records) = &commit.body
                && commit.next_offset <= self.end.next_offset
            {
                let wanted = records.iter().filter(|it| self.projection.wants(&it.stream));
                wanted.for_each(|record| take(record, commit.next_offset));
            }
        }
        Ok(true)
    }
}
