//! The commits of a shard, for a follower at the node that serves it.
//!
//! A follower reads the log until it has caught up with the node's own machine, and from there on takes
//! the commits from the machine, which has them already: nothing is read twice. If it falls behind, the
//! machine goes on without it, and it reads the log again.

use std::sync::Arc;

use domain::shard::ShardId;
use infra::{
    log::{Checkpoint, Commit, EventLog, Offset, ReadError, follow::Follower},
    telemetry::emit,
};
use tokio::sync::mpsc;

use crate::{
    engine::{Emitted, Engine, Listening},
    metrics::FellBehind,
};

/// Commits that wait for a follower which reads them from the machine.
const COMMITS_MAX: usize = 8_192;

/// A follower that is further behind stays with the log, for it would fall behind again at once.
const RECORDS_BEHIND_MAX: Offset = 4_096;

pub(super) struct CommitStream {
    engine: Engine,
    log: Arc<dyn EventLog>,
    shard: ShardId,
    checkpoint: Checkpoint,
    commits_max: usize,
    source: Source,
}

enum Source {
    Log {
        follower: Box<Follower>,
        /// What the machine emits meanwhile.
        ahead: Option<Listening>,
    },
    Machine(mpsc::Receiver<Emitted>),
}

impl CommitStream {
    /// # Errors
    /// As [`Follower::open`].
    pub(super) async fn open(
        engine: &Engine,
        log: &Arc<dyn EventLog>,
        shard: ShardId,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Self, ReadError> {
        let follower = Follower::open(&**log, shard, checkpoint).await?;
        Ok(Self {
            engine: engine.clone(),
            log: Arc::clone(log),
            shard,
            checkpoint: follower.checkpoint(),
            commits_max: COMMITS_MAX,
            source: Source::Log { follower: Box::new(follower), ahead: None },
        })
    }

    /// The next commits: up to `max`, or those of as many records. None if none came for a while.
    ///
    /// # Errors
    /// As [`Follower::next`].
    pub(super) async fn next(&mut self, max: usize) -> Result<Vec<Commit>, ReadError> {
        loop {
            match &mut self.source {
                Source::Log { follower, ahead } => {
                    if ahead.is_none() && is_near(&self.engine, self.shard, follower.next_offset())
                    {
                        *ahead = self.engine.listen(self.shard, self.commits_max).await;
                    }
                    let reached = self.checkpoint.next_offset;
                    if let Some(ahead) = ahead.take_if(|it| it.from.next_offset <= reached) {
                        self.source = Source::Machine(ahead.emitted);
                        continue;
                    }
                    let commits = follower.next(max).await?;
                    self.checkpoint = follower.checkpoint();
                    return Ok(commits);
                }
                Source::Machine(emitted) => {
                    let mut news = Vec::new();
                    if emitted.recv_many(&mut news, max).await > 0 {
                        return Ok(self.take(news));
                    }
                    emit(FellBehind { shard: self.shard });
                    let (log, checkpoint) = (&*self.log, Some(self.checkpoint));
                    let follower = Follower::open(log, self.shard, checkpoint).await?;
                    self.source = Source::Log { follower: Box::new(follower), ahead: None };
                }
            }
        }
    }

    /// After the last commit that was returned.
    pub(super) const fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    fn take(&mut self, news: Vec<Emitted>) -> Vec<Commit> {
        // The log may have got further than the first commit from the machine.
        let reached = self.checkpoint.next_offset;
        let news = news.into_iter().filter(|it| it.checkpoint.next_offset > reached);
        news.map(|Emitted { commit, checkpoint, .. }| {
            self.checkpoint = checkpoint;
            commit
        })
        .collect()
    }
}

fn is_near(engine: &Engine, shard: ShardId, next_offset: Offset) -> bool {
    engine.next_offset(shard) - next_offset <= RECORDS_BEHIND_MAX
}

#[cfg(test)]
mod tests;
