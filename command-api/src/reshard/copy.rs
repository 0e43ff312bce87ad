//! Copies one log into another one.

use std::{collections::BTreeMap, sync::Arc};

use domain::shard::ShardId;
use infra::{
    clock::Clock,
    log::{BarrierRecord, CommitBody, EventLog, Nonce, Place, progress::Progress},
};

use super::{
    error::ReshardError,
    parked::ParkedSteps,
    plan::Plan,
    source::{Old, Source},
    target::NewShard,
};
use crate::engine::OUTCOMES_KEPT;

/// Two logs, and how far the processes are in each.
pub(super) struct Reshard {
    pub(super) source: Arc<dyn EventLog>,
    pub(super) source_progress: Progress,
    pub(super) target: Arc<dyn EventLog>,
    pub(super) target_progress: Progress,
    pub(super) clock: Clock,
}

/// What a finished run has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    /// That this run has appended to the target.
    pub(super) appended: u64,
    /// That stood there already.
    pub(super) found: u64,
}

impl Reshard {
    /// Copies what is not copied yet, and tells `passed` how many records of how many it has read.
    ///
    /// # Errors
    /// What has been copied by then stands in the target, and the next run goes on there.
    pub(super) async fn run(
        &self,
        mut passed: impl FnMut(u64, u64),
    ) -> Result<Copied, ReshardError> {
        let mut source = Source::open(&self.source, &self.source_progress).await?;
        let mut target = self.open_target().await?;
        let began_at = match target.get_mut(&ShardId::new(0)) {
            Some(first) => first.began().await?.started_at,
            None => self.clock.now(),
        };
        // The same in each run. All that is kept longer is forgotten by whoever reads it.
        let outcomes_since = began_at.minus(OUTCOMES_KEPT);
        let (from, to) = (self.source.shard_count(), self.target.shard_count());
        let plan = Plan { from, to, outcomes_since };
        let (mut parked, mut copied) = (ParkedSteps::default(), Copied::default());
        while let Some(Old { shard, commit, is_settled }) = source.next().await? {
            parked.note(&commit.body)?;
            for new in plan.shards(shard, &commit.body)? {
                if let Some(new) = target.get_mut(&new) {
                    copied.count(new.put(commit.body.clone(), is_settled).await?);
                }
            }
            let (read, all) = source.passed();
            passed(read, all);
        }
        source.check_untouched().await?;
        match parked.open() {
            0 => {}
            open => return Err(ReshardError::StepsParked(open)),
        }
        for new in target.values_mut() {
            copied.count(new.put(last(began_at), true).await?);
        }
        for (shard, new) in &mut target {
            if let Some(settled) = new.finish().await? {
                self.target_progress.store(*shard, settled).await?;
            }
        }
        source.check_untouched().await?;
        Ok(copied)
    }

    async fn open_target(&self) -> Result<BTreeMap<ShardId, NewShard>, ReshardError> {
        let mut shards = BTreeMap::new();
        for shard in (0..self.target.shard_count()).map(ShardId::new) {
            shards.insert(shard, NewShard::open(&self.target, shard, &self.clock).await?);
        }
        Ok(shards)
    }
}

/// Ends the copy in each shard: so there is no shard without a commit, in which no reader could tell the
/// positions of this log from those of another one.
fn last(recorded_at: domain::timestamp::Timestamp) -> CommitBody {
    let place = Place { epoch: -1, claim: Nonce(0), seq: 0, index: 0, count: 1 };
    CommitBody::Barrier(BarrierRecord { place, recorded_at, outcomes: Vec::new() })
}

impl Copied {
    const fn count(&mut self, was_found: bool) {
        if was_found { self.found += 1 } else { self.appended += 1 }
    }
}
