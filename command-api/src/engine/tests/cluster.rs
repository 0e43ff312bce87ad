//! Several nodes over one log in memory: any of them takes any command.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::id::StreamId;
use futures_util::future::join_all;
use infra::{
    clock::Clock,
    log::{EventLog, memory::MemoryLog},
    membership::{Member, memory::MemoryBeats},
    shutdown::Shutdown,
    task::{self, Task},
};
use tokio::time::Instant;

use super::{
    super::{
        Answer, Cluster, Engine, Node, ShardStatus, Snapshot, Stores, Submission, SubmitError,
        forward::{PeerError, Peers},
        ownership::Ownership,
    },
    committed, receive, submit,
};

const COMMANDS: u128 = 200;

/// Nodes reach each other by calls; one that has crashed answers nobody.
#[derive(Clone, Default)]
struct LocalPeers(Arc<Mutex<BTreeMap<String, Engine>>>);

impl LocalPeers {
    fn engine(&self, peer: &Member) -> Result<Engine, PeerError> {
        let engines = self.0.lock().unwrap();
        engines.get(&peer.node).cloned().ok_or(PeerError::Refused(SubmitError::NotOwner))
    }
}

#[async_trait]
impl Peers for LocalPeers {
    async fn submit(
        &self,
        peer: &Member,
        submission: &Submission,
        wait: Duration,
    ) -> Result<Answer, PeerError> {
        let engine = self.engine(peer)?;
        Ok(engine.submit_here(Arc::new(submission.clone()), Instant::now() + wait).await?)
    }

    async fn read(
        &self,
        peer: &Member,
        streams: &[StreamId],
        _: Duration,
    ) -> Result<Vec<Snapshot>, PeerError> {
        let engine = self.engine(peer)?;
        let shard = engine.shard_of(&streams[0]);
        Ok(engine.read_here(shard, streams.to_vec()).await?)
    }

    async fn shards(&self, peer: &Member, _: Duration) -> Result<Vec<ShardStatus>, PeerError> {
        Ok(self.engine(peer)?.status())
    }
}

struct Running {
    name: &'static str,
    engine: Engine,
    draining: Shutdown,
    left: Shutdown,
    tasks: Vec<Task<()>>,
}

struct Nodes {
    log: Arc<dyn EventLog>,
    beats: MemoryBeats,
    peers: LocalPeers,
}

impl Nodes {
    fn new() -> Self {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(8));
        Self { log, beats: MemoryBeats::new(Clock::System), peers: LocalPeers::default() }
    }

    fn start(&self, name: &'static str) -> Running {
        let node = Node { name: name.to_owned(), url: format!("http://{name}") };
        let (ownership, view) = Ownership::new(self.beats.subscribe(), node.clone());
        let cluster = Cluster { view, peers: Arc::new(self.peers.clone()) };
        let (engine, shards) =
            Engine::new(&self.log, &node, &Clock::System, cluster, &Stores::in_memory());
        let (draining, left) = (Shutdown::new(), Shutdown::new());
        let beating = ownership.run(draining.clone(), left.clone());
        let mut tasks = vec![task::spawn("ownership", async { beating.await.unwrap() })];
        tasks.extend(shards.into_iter().map(|shard| {
            let run = shard.run(left.clone());
            task::spawn("shard", async { run.await.unwrap() })
        }));
        self.peers.0.lock().unwrap().insert(name.to_owned(), engine.clone());
        Running { name, engine, draining, left, tasks }
    }

    fn crash(&self, node: Running) {
        self.peers.0.lock().unwrap().remove(node.name);
        drop(node.tasks);
    }

    async fn stop(&self, node: Running) {
        node.draining.request();
        node.engine.handed_over().await;
        node.left.request();
        for task in node.tasks {
            task.await.unwrap();
        }
        self.peers.0.lock().unwrap().remove(node.name);
    }

    /// Every command is in the log once, whichever nodes it went through.
    async fn assert_all_once(&self) {
        let committed = committed(&*self.log).await;
        assert_eq!(committed, (0..COMMANDS).map(|key| (key, 1)).collect());
    }
}

/// Commands on many shards through one node, one after the other per lane.
async fn load(engine: &Engine) {
    let lanes = (0..10).map(|lane| async move {
        for key in (0..COMMANDS).filter(|key| key % 10 == lane) {
            submit(engine, receive(&format!("S{key}"), key)).await.expect("an answer");
        }
    });
    join_all(lanes).await;
}

/// Waits until some shard is served by the node, so that losing it matters.
async fn until_serving(node: &Running) {
    let shards = (0..node.engine.shard_count()).map(domain::shard::ShardId::new);
    let served = shards.map(|shard| Box::pin(node.engine.served_here(shard, true)));
    futures_util::future::select_all(served).await;
}

#[tokio::test]
async fn any_node_takes_any_command() {
    let nodes = Nodes::new();
    let running = [nodes.start("a"), nodes.start("b"), nodes.start("c")];
    load(&running[0].engine).await;
    nodes.assert_all_once().await;
    let streams: Vec<_> =
        (0..COMMANDS).map(|key| receive(&format!("S{key}"), key).stream).collect();
    for node in &running {
        let read = node.engine.read_many(&streams).await.unwrap();
        assert!(read.iter().all(|snapshot| snapshot.revision == 1));
        let served = node.engine.status().iter().filter(|status| status.serves()).count();
        assert!(served < 8, "{} serves all shards alone", node.name);
        for shard in node.engine.shards().await {
            assert!(shard.at_owner.unwrap().serves());
        }
    }
}

#[tokio::test]
async fn a_crash_of_an_owner_loses_and_doubles_nothing() {
    let nodes = Nodes::new();
    let (survivor, lost) = (nodes.start("a"), nodes.start("b"));
    until_serving(&lost).await;
    tokio::join!(load(&survivor.engine), async {
        let some = submit(&survivor.engine, receive("S0", 0)).await;
        assert!(some.is_ok());
        nodes.crash(lost);
    });
    nodes.assert_all_once().await;
    assert!(survivor.engine.status().iter().all(ShardStatus::serves));
}

#[tokio::test]
async fn a_node_that_leaves_hands_over_first() {
    let nodes = Nodes::new();
    let (stays, leaves) = (nodes.start("a"), nodes.start("b"));
    until_serving(&leaves).await;
    let engine = leaves.engine.clone();
    // Through the node that goes: it takes to the other one what it no longer owns.
    tokio::join!(load(&engine), nodes.stop(leaves));
    nodes.assert_all_once().await;
    assert!(stays.engine.status().iter().all(ShardStatus::serves));
}
