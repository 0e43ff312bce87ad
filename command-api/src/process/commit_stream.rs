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

    /// The next commits, as [`Follower::next`]: up to `max`, or those of as many records. None if none came
    /// for a while.
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
mod tests {
    use infra::log::{contract, memory::MemoryLog};

    use super::*;
    use crate::engine::testing::{Running, receive, submit};

    const ONLY: ShardId = ShardId::new(0);

    struct Served {
        log: Arc<dyn EventLog>,
        running: Running,
    }

    impl Served {
        async fn start() -> Self {
            let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
            let running = Running::on(&log);
            running.engine.served_here(ONLY, true).await;
            Self { log, running }
        }

        async fn receive(&self, keys: std::ops::Range<u128>) {
            for key in keys {
                submit(&self.running.engine, receive("A", key)).await.expect("an answer");
            }
        }

        async fn stream(&self, commits_max: usize) -> CommitStream {
            let stream = CommitStream::open(&self.running.engine, &self.log, ONLY, None);
            CommitStream { commits_max, ..stream.await.expect("a stream") }
        }

        /// What comes until the stream is where the machine is.
        async fn read(&self, stream: &mut CommitStream) -> Vec<Commit> {
            let (until, mut commits) = (self.running.engine.next_offset(ONLY), Vec::new());
            while stream.checkpoint().next_offset < until {
                commits.extend(stream.next(7).await.expect("commits"));
            }
            commits
        }

        /// All that a reader of the log comes to.
        async fn in_log(&self) -> Vec<Commit> {
            let commits = contract::commits(&*self.log, ONLY, None).await;
            commits.into_iter().map(|(commit, _)| commit).collect()
        }
    }

    #[tokio::test]
    async fn each_commit_comes_once_from_the_log_and_then_from_the_machine() {
        let served = Served::start().await;
        served.receive(1..50).await;
        let mut stream = served.stream(1_000).await;
        let mut commits = stream.next(7).await.expect("commits");
        for keys in [50..100, 100..150] {
            served.receive(keys).await;
            commits.extend(served.read(&mut stream).await);
        }
        assert!(matches!(stream.source, Source::Machine(_)));
        assert_eq!(commits, served.in_log().await);
    }

    #[tokio::test]
    async fn who_falls_behind_misses_nothing() {
        let served = Served::start().await;
        let mut stream = served.stream(3).await;
        let mut commits = Vec::new();
        for round in 0..10 {
            served.receive(round * 10 + 1..round * 10 + 11).await;
            commits.extend(served.read(&mut stream).await);
        }
        assert_eq!(commits, served.in_log().await);
    }
}
