use domain::{
    addressed::Addressed,
    id::CommandId,
    stock::{self, Stock},
};
use std::time::Duration;

use infra::{
    clock::Clock,
    log::memory::MemoryLog,
    shutdown::Shutdown,
    task::{self, Task},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::engine::{Cluster, Node, ShardError, Stores, Submission};

const ONLY: ShardId = ShardId::new(0);

struct Served {
    engine: Engine,
    log: Arc<dyn EventLog>,
    _shards: Vec<Task<Result<(), ShardError>>>,
}

impl Served {
    async fn start() -> Self {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
        let node = Node { name: "test".to_owned(), url: "http://test".to_owned() };
        let (cluster, stores) = (Cluster::alone(&node), Stores::in_memory());
        let (engine, shards) = Engine::new(&log, &node, &Clock::System, cluster, &stores);
        let run = |shard: crate::engine::Shard| task::spawn("shard", shard.run(Shutdown::new()));
        let _shards = shards.into_iter().map(run).collect();
        engine.served_here(ONLY, true).await;
        Self { engine, log, _shards }
    }

    async fn receive(&self, keys: std::ops::Range<u128>) {
        for key in keys {
            let command_id = CommandId::new(Uuid::from_u128(key));
            let receive = stock::Command::receive(1);
            let addressed = Addressed::to::<Stock>(&"A".parse().expect("a SKU"), receive);
            let submission = Submission::new(addressed, command_id, "test".into());
            let deadline = Instant::now() + Duration::from_secs(20);
            self.engine.submit(submission, deadline).await.expect("an answer");
        }
    }

    async fn stream(&self, commits_max: usize) -> CommitStream {
        let stream =
            CommitStream::open(&self.engine, &self.log, ONLY, None).await.expect("a stream");
        CommitStream { commits_max, ..stream }
    }

    /// All that a reader of the log comes to.
    async fn in_log(&self) -> Vec<Commit> {
        let end = self.log.range(ONLY).await.expect("a range").end;
        let mut follower = Follower::open(&*self.log, ONLY, None).await.expect("a follower");
        let mut commits = Vec::new();
        while follower.next_offset() < end {
            commits.extend(follower.next(100).await.expect("commits"));
        }
        commits
    }
}

async fn read(stream: &mut CommitStream, until: Offset) -> Vec<Commit> {
    let mut commits = Vec::new();
    while stream.checkpoint().next_offset < until {
        commits.extend(stream.next(7).await.expect("commits"));
    }
    commits
}

#[tokio::test]
async fn each_commit_comes_once_from_the_log_and_then_from_the_machine() {
    let served = Served::start().await;
    served.receive(1..50).await;
    let mut stream = served.stream(1_000).await;
    let until = |served: &Served| served.engine.next_offset(ONLY);
    let mut commits = stream.next(7).await.expect("commits");
    served.receive(50..100).await;
    commits.extend(read(&mut stream, until(&served)).await);
    served.receive(100..150).await;
    commits.extend(read(&mut stream, until(&served)).await);
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
        commits.extend(read(&mut stream, served.engine.next_offset(ONLY)).await);
    }
    assert_eq!(commits, served.in_log().await);
}
