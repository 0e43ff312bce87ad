//! What runs behind the doors: reaches the log, then runs the engine and the process managers.

use std::{sync::Arc, time::Duration};

use infra::{
    clock::Clock,
    config, descriptors,
    http::health::Condition,
    log::{
        EventLog,
        kafka::{ConnectError, KafkaLog},
        progress::Progress,
    },
    membership::{
        kafka::KafkaBeats,
        seal::{PeerKey, Sealer},
    },
    retry::Policy,
    shutdown::Shutdown,
    task::Tasks,
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::{
    engine::{
        Cluster, Engine, Node, ShardStatus, SnapshotRepository, Stores, forward::HttpPeers,
        ownership::Ownership,
    },
    http::EngineSlot,
    payment::Desk,
    process::Managers,
    settings::Meeting,
};

/// The consumer group that holds how far the process managers have come.
pub(crate) const PROGRESS_GROUP: &str = "tradewind.process";
/// How long the engine may take to settle what is pending.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(15);
/// How often readiness is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Rear {
    pub(crate) kafka: config::Kafka,
    pub(crate) node: Node,
    pub(crate) meeting: Option<Meeting>,
    /// Requested when this node wants no shard any more.
    pub(crate) draining: Shutdown,
    pub(crate) store: config::Store,
    pub(crate) snapshots: config::Snapshots,
    /// That may be under way at once, here and at each other node.
    pub(crate) requests_max: usize,
    pub(crate) clock: Clock,
    /// Filled once the log has been reached.
    pub(crate) engine: EngineSlot,
    pub(crate) desk: Desk,
    pub(crate) reachable: Condition,
    pub(crate) served: Condition,
}

impl Rear {
    /// Runs until the shutdown is requested.
    pub(crate) async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let (log, progress) = tokio::select! {
            reached = self.reach() => reached?,
            () = shutdown.requested() => return Ok(()),
        };
        let mut tasks = Tasks::new(shutdown.clone());
        let (cluster, ownership) = match &self.meeting {
            Some(meeting) => {
                let (cluster, ownership) = self.meet(meeting).await?;
                (cluster, Some(ownership))
            }
            None => (Cluster::alone(&self.node), None),
        };
        let mut repository = SnapshotRepository::open(&self.snapshots)?;
        match &self.meeting {
            Some(meeting) => {
                repository =
                    repository.map(|repository| repository.with_key(PeerKey::new(&meeting.secret)));
            }
            None if repository.is_some() => warn!(
                "without node.peer_secret anybody who can write where snapshots lie can make one \
                 that this node believes"
            ),
            None => {}
        }
        let stores = Stores::on_disk(&self.store, log.shard_count()).with_depot(repository);
        let (engine, shards) = Engine::new(&log, &self.node, &self.clock, cluster, &stores);
        self.engine.fill(engine.admitting(self.requests_max));
        if let Some(ownership) = ownership {
            let (engine, log) = (engine.clone(), Arc::clone(&log));
            let ready = async move { engine.caught_up(&*log).await };
            let run = ownership.run(ready, self.draining, shutdown.clone());
            tasks.spawn_critical("ownership", told(run));
        }
        let managers =
            Managers { engine: engine.clone(), log, progress, desk: self.desk, clock: self.clock };
        for shard in shards {
            tasks.spawn_critical("shard", told(shard.run(shutdown.clone())));
        }
        for follow in managers.followers() {
            tasks.spawn_critical("process managers", told(follow.run(shutdown.clone())));
        }
        tasks.spawn_critical("readiness", look(engine, self.served, shutdown.clone()));
        Ok(tasks.run(DRAIN_WAIT_MAX).await?)
    }

    /// Joins the other nodes.
    async fn meet(&self, meeting: &Meeting) -> anyhow::Result<(Cluster, Ownership)> {
        let (key, clock) = (PeerKey::new(&meeting.secret), self.clock.clone());
        let beats = KafkaBeats::open(&self.kafka, &meeting.topic, key.clone(), clock.clone());
        let beats = Box::new(beats.await?);
        let (ownership, view) = Ownership::new(beats, self.node.clone());
        let sealer = Sealer::new(key, &self.node.name, clock);
        let peers = Arc::new(HttpPeers::new(sealer, descriptors::for_peer(self.requests_max))?);
        let standby_replicas = meeting.standby_replicas;
        Ok((Cluster { view, peers, standby_replicas }, ownership))
    }

    /// Tries until the brokers answer and the topic is there.
    async fn reach(&self) -> anyhow::Result<(Arc<dyn EventLog>, Progress)> {
        let mut waits = Policy::PATIENT.waits();
        let mut told = String::new();
        loop {
            let reason = match KafkaLog::connect(&self.kafka, &self.kafka.topic).await {
                Ok(log) => {
                    let progress = Progress::open(&self.kafka, PROGRESS_GROUP, &self.kafka.topic)?;
                    self.reachable.met();
                    info!("reached the event log");
                    return Ok((Arc::new(log), progress));
                }
                Err(
                    error @ (ConnectError::NoTopic(_)
                    | ConnectError::Denied(_)
                    | ConnectError::Refused(_)
                    | ConnectError::Unavailable(_)),
                ) => error.to_string(),
            };
            self.reachable.unmet(format!("waiting for the event log: {reason}"));
            if told != reason {
                warn!("waiting for the event log: {reason}");
                told = reason;
            }
            waits.wait().await;
        }
    }
}

/// With an error that tells its causes, too.
async fn told<E: std::error::Error + Send + Sync + 'static>(
    run: impl Future<Output = Result<(), E>>,
) -> anyhow::Result<()> {
    Ok(run.await?)
}

/// Keeps the condition `shards` in step with the engine.
async fn look(engine: Engine, served: Condition, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.requested() => return Ok(()),
        }
        let status = engine.status();
        let names = |chosen: &dyn Fn(&&ShardStatus) -> bool| {
            let shards = status.iter().filter(chosen).map(|status| status.shard.to_string());
            shards.collect::<Vec<_>>().join(", ")
        };
        let own = |status: &ShardStatus| {
            engine.owner(status.shard).is_some_and(|owner| engine.is_this(&owner))
        };
        let nobodys = names(&|status| engine.owner(status.shard).is_none());
        let stalled = names(&|status| own(status) && status.stalled);
        let away = names(&|status| own(status) && !status.serves());
        match (&*nobodys, &*stalled, &*away) {
            ("", "", "") if engine.wants_shards() => served.met(),
            ("", "", "") => served.unmet("the other nodes do not see this one as ready for shards"),
            ("", "", away) => served.unmet(format!("taking over shards {away}")),
            ("", stalled, _) => {
                served.unmet(format!("the event log does not answer for shards {stalled}"));
            }
            (nobodys, _, _) => {
                served.unmet(format!("no living node is known to own shards {nobodys}"));
            }
        }
    }
}
