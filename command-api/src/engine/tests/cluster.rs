//! Several nodes over one log in memory: any of them takes any command.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use domain::{id::Sku, shard::ShardId, stock::Stock};
use futures_util::future::join_all;
use infra::{
    clock::Clock,
    log::{EventLog, Nonce, memory::MemoryLog},
    membership::{Beat, Heard, Member, Roster, memory::MemoryBeats},
    shutdown::Shutdown,
    task::{self, Task},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    super::{
        Answered, Ask, Cluster, Consistency, Engine, Outcome, ShardStatus, Stores, SubmitError,
        forward::{PeerError, Peers},
        ownership::Ownership,
        testing::node,
    },
    ONLY, Running, code, committed, receive,
    restart::Watched,
    submit,
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
    async fn ask(&self, peer: &Member, ask: &Ask, wait: Duration) -> Result<Answered, PeerError> {
        let asked = self.engine(peer)?.ask_here(ask.clone(), Instant::now() + wait).await;
        // That the outcome is unknown is not the word of a node that has crashed meanwhile.
        self.engine(peer)?;
        Ok(asked?)
    }

    async fn shards(&self, peer: &Member, _: Duration) -> Result<Vec<ShardStatus>, PeerError> {
        Ok(self.engine(peer)?.status())
    }
}

struct Started {
    name: &'static str,
    engine: Engine,
    draining: Shutdown,
    running: Running,
    ownership: Task<()>,
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

    fn start(&self, name: &'static str) -> Started {
        self.start_on(Arc::clone(&self.log), name)
    }

    fn start_on(&self, log: Arc<dyn EventLog>, name: &'static str) -> Started {
        let (ownership, view) = Ownership::new(self.beats.subscribe(), node(name));
        let cluster = Cluster { view, peers: Arc::new(self.peers.clone()), standby_replicas: 1 };
        let stores = Stores::in_memory();
        let running = Running::start(&log, &node(name), &Clock::System, cluster, &stores);
        let (engine, draining) = (running.engine.clone(), Shutdown::new());
        let ready = engine.clone();
        let ready = async move { ready.caught_up(&*log).await };
        let beating = ownership.run(ready, draining.clone(), running.shutdown.clone());
        let ownership = task::spawn("ownership", async { beating.await.unwrap() });
        self.peers.0.lock().unwrap().insert(name.to_owned(), engine.clone());
        Started { name, engine, draining, running, ownership }
    }

    fn crash(&self, node: Started) {
        self.peers.0.lock().unwrap().remove(node.name);
        drop(node);
    }

    async fn stop(&self, node: Started) {
        node.draining.request();
        node.engine.handed_over().await;
        node.running.stop().await;
        node.ownership.await.unwrap();
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
async fn until_serving(node: &Started) {
    let shards = (0..node.engine.shard_count()).map(ShardId::new);
    let served = shards.map(|shard| Box::pin(node.engine.served_here(shard, true)));
    futures_util::future::select_all(served).await;
}

#[tokio::test]
async fn any_node_takes_any_command() {
    let nodes = Nodes::new();
    let running = [nodes.start("a"), nodes.start("b"), nodes.start("c")];
    load(&running[0].engine).await;
    nodes.assert_all_once().await;
    let codes: Vec<_> = (0..COMMANDS).map(|key| code(&format!("S{key}"))).collect();
    let streams = codes.iter().map(Sku::stock_stream).collect();
    for node in &running {
        let read = node.engine.read_many(&streams, Consistency::Linearizable).await.unwrap();
        assert!(codes.iter().all(|code| read.get::<Stock>(code).unwrap().revision == 1));
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

#[tokio::test]
async fn a_node_that_comes_takes_over_what_it_has_read() {
    let nodes = Nodes::new();
    let serves = nodes.start("a");
    load(&serves.engine).await;
    let open = Shutdown::new();
    let comes = nodes.start_on(Watched::shut(&nodes.log, &open), "b");
    let mut view = serves.engine.cluster.view.clone();
    view.wait_for(|view| view.members().len() == 2).await.unwrap();
    // Commands whose outcomes are known are answered where the shards are served.
    timeout(Duration::from_secs(5), load(&serves.engine)).await.expect("all shards are served");
    open.request();
    until_serving(&comes).await;
    load(&comes.engine).await;
    nodes.assert_all_once().await;
}

#[tokio::test]
async fn an_answer_waits_for_the_processes_of_whoever_serves_the_shard() {
    let nodes = Nodes::new();
    let (asks, serves) = (nodes.start("a"), nodes.start("b"));
    until_serving(&serves).await;
    let stream_of = |sku: &String| code(sku).stock_stream();
    let is_there = |sku: &String| serves.engine.owns(serves.engine.shard_of(&stream_of(sku)));
    let sku = (0..).map(|n| format!("S{n}")).find(is_there).unwrap();
    let shard = serves.engine.shard_of(&stream_of(&sku));
    let ask = |key| {
        let mut submission = receive(&sku, key);
        submission.awaits_reactions = true;
        submit(&asks.engine, submission)
    };
    let until_decided = async |key| {
        while !committed(&*nodes.log).await.contains_key(&key) {
            tokio::task::yield_now().await;
        }
        nodes.log.range(shard).await.unwrap().end
    };

    let following = serves.engine.reactions(shard).follow(0);
    let mut asking = pin!(ask(1));
    let end = tokio::select! {
        _ = &mut asking => panic!("the processes have not read it"),
        end = until_decided(1) => end,
    };
    following.read([].into_iter(), end);
    assert!(matches!(asking.await.unwrap().outcome, Outcome::Committed { .. }));

    let mut asking = pin!(ask(2));
    let end = tokio::select! {
        _ = &mut asking => panic!("the processes have not read it"),
        end = until_decided(2) => end,
    };
    // The other node's processes go on from here.
    let (answer, _following) = tokio::join!(asking, async {
        nodes.stop(serves).await;
        asks.engine.reactions(shard).follow(end)
    });
    assert!(matches!(answer.unwrap().outcome, Outcome::Committed { .. }));
    assert_eq!(committed(&*nodes.log).await, [(1, 1), (2, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_last_heir_goes_too_hands_over_no_longer() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let wants = |a, b| {
        let mut roster = Roster::default();
        for (node, draining) in [("a", a), ("b", b)] {
            let beat = Beat::new(&format!("http://{node}"), Nonce(1), draining);
            roster.hear(Heard { node: node.to_owned(), beat: Some(beat), at: 0 });
        }
        roster.view()
    };
    let (tell, view) = watch::channel(wants(false, true));
    let cluster = Cluster { view, peers: Arc::new(LocalPeers::default()), standby_replicas: 1 };
    let running = Running::start(&log, &node("a"), &Clock::System, cluster, &Stores::in_memory());
    let engine = &running.engine;
    engine.served_here(ONLY, true).await;

    tell.send_replace(wants(true, false));
    let mut handing_over = pin!(engine.handed_over());
    assert_eq!(futures_util::poll!(&mut handing_over), Poll::Pending);
    // Before the shard has looked at the view that gave it away.
    tell.send_replace(wants(true, true));
    timeout(Duration::from_secs(60), handing_over).await.expect("there is nobody to wait for");
    assert!(engine.status().iter().all(ShardStatus::serves));
}
