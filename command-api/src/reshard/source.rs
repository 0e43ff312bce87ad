//! The old log: its commits in the order of the copy, each with whether the processes are done with it.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::log::{
    Commit, EventLog, Offset, ReadError,
    follow::{self, Follower},
    progress::Progress,
};
use tokio::time::Instant;

use super::{error::ReshardError, merge::Merge};

/// Records read in one go.
const RECORDS_MAX: usize = 256;
/// How long nothing may come of a shard that has more.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Source {
    log: Arc<dyn EventLog>,
    shards: BTreeMap<ShardId, OldShard>,
    merge: Merge,
}

struct OldShard {
    follower: Follower,
    /// As it was when the copy began.
    range: Range<Offset>,
    /// The processes are done with what stands before.
    settled: Offset,
}

/// A commit that is to be copied.
pub(super) struct Old {
    pub(super) shard: ShardId,
    pub(super) commit: Commit,
    /// The processes have done what it asks for.
    pub(super) is_settled: bool,
}

impl Source {
    pub(super) async fn open(
        log: &Arc<dyn EventLog>,
        progress: &Progress,
    ) -> Result<Self, ReshardError> {
        let mut shards = BTreeMap::new();
        for shard in (0..log.shard_count()).map(ShardId::new) {
            let range = log.range(shard).await?;
            if range.start > 0 {
                return Err(ReshardError::SourceCutOff { shard });
            }
            let settled = settled(&**log, shard, progress).await?;
            let follower = Follower::open(&**log, shard, None).await?;
            shards.insert(shard, OldShard { follower, range, settled });
        }
        let merge = Merge::of(shards.keys().copied());
        Ok(Self { log: Arc::clone(log), shards, merge })
    }

    /// None at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Old>, ReshardError> {
        while let Some(shard) = self.merge.wants() {
            let Some(old) = self.shards.get_mut(&shard) else {
                self.merge.end(shard);
                continue;
            };
            match old.read(shard).await? {
                Some(commits) => self.merge.feed(shard, commits),
                None => self.merge.end(shard),
            }
        }
        let Some((shard, commit)) = self.merge.next() else { return Ok(None) };
        let settled = self.shards.get(&shard).map_or(0, |old| old.settled);
        let is_settled = commit.next_offset <= settled;
        Ok(Some(Old { shard, commit, is_settled }))
    }

    /// Records that have been read, and all.
    pub(super) fn passed(&self) -> (u64, u64) {
        let sum = |of: fn(&OldShard) -> Offset| {
            let sum: Offset = self.shards.values().map(of).sum();
            sum.cast_unsigned()
        };
        (sum(|old| old.follower.next_offset()), sum(|old| old.range.end))
    }

    /// Nobody has written since the copy began: then no claim came either, and the epochs are what they were.
    pub(super) async fn check_untouched(&mut self) -> Result<(), ReshardError> {
        // Exclusively, for a reader cannot be shared over an await.
        for (&shard, old) in &mut self.shards {
            if self.log.range(shard).await? != old.range {
                return Err(ReshardError::SourceInUse { shard });
            }
        }
        Ok(())
    }
}

impl OldShard {
    /// Some more commits; none when all of them have come.
    async fn read(&mut self, shard: ShardId) -> Result<Option<Vec<Commit>>, ReshardError> {
        let mut silent_since = Instant::now();
        while self.follower.next_offset() < self.range.end {
            let before = self.follower.next_offset();
            let commits = self.follower.next(RECORDS_MAX).await?;
            if self.follower.next_offset() > self.range.end {
                return Err(ReshardError::SourceInUse { shard });
            }
            if !commits.is_empty() {
                return Ok(Some(commits));
            }
            if self.follower.next_offset() > before {
                silent_since = Instant::now();
            } else if silent_since.elapsed() > SILENCE_MAX {
                let silence = "its records do not come".into();
                return Err(ReadError::Unavailable(silence).into());
            }
        }
        Ok(None)
    }
}

/// How far the processes are. Where nothing is stored they begin anew, in the source as in the target.
async fn settled(
    log: &dyn EventLog,
    shard: ShardId,
    progress: &Progress,
) -> Result<Offset, ReshardError> {
    let Some(stored) = progress.load(shard).await? else { return Ok(0) };
    let found = follow::log_id(log, shard).await?;
    match stored.log_id {
        Some(expected) if found != Some(expected) => {
            Err(ReadError::Recreated { expected, found }.into())
        }
        _ => Ok(stored.next_offset),
    }
}
