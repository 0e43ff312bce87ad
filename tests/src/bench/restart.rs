//! How soon a shard serves again: from its checkpoint, after an orderly end and after a kill, and
//! from nothing, by reading the whole log.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use command_api::engine::{self, Cluster, Engine, Outcome, Shard, ShardError, Stores, Submission};
use domain::{
    addressed::Addressed,
    id::{CommandId, Sku},
    stock::{self, Stock},
};
use infra::{
    clock::Clock,
    config,
    log::{
        EventLog,
        kafka::{KafkaLog, TopicSpec, ensure_topic},
    },
    shutdown::Shutdown,
    task::{self, Task},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    figure::{Figure, per_second},
    logs::History,
    process::cpu_time,
    topic,
};

const CACHE_BYTES: usize = 256 << 20;
const SERVED_WAIT_MAX: Duration = Duration::from_secs(600);
/// Commands that a killed node has answered since its start.
const COMMANDS_BEFORE_KILL: u32 = 2_000;

pub(super) async fn run(rounds: usize, servers: &str, history: History) -> Result<()> {
    let name = format!("tradewind.bench.{}", Uuid::new_v4().simple());
    let settings = config::Kafka::plaintext(servers, &name);
    ensure_topic(&settings, &name, TopicSpec::local(1)).await?;
    let measured = measure(rounds, &settings, history).await;
    topic::delete(servers, &[&name]).await?;
    measured
}

async fn measure(rounds: usize, settings: &config::Kafka, history: History) -> Result<()> {
    let log = KafkaLog::connect(settings, &settings.topic).await?;
    history.append(&log).await?;
    let folder = tempfile::tempdir()?;
    let (state, copy) = (folder.path().join("state"), folder.path().join("copy"));

    let cpu_before = cpu_time()?;
    let (node, cold) = Node::restart(settings, &state).await?;
    let cpu = cpu_time()?.saturating_sub(cpu_before);
    node.stop().await?;
    let events = usize::try_from(history.events)?;
    Figure::single("cold_replay_events_per_second", per_second(events, cold)?, "1/s").print()?;
    Figure::single("cold_replay_events_per_core_second", per_second(events, cpu)?, "1/s")
        .print()?;
    Figure::single("store_after_replay", megabytes(&state)?, "MB").print()?;

    let (mut ended, mut killed) = (Vec::new(), Vec::new());
    for round in (0..).take(rounds) {
        let (node, took) = Node::restart(settings, &state).await?;
        ended.push(took.as_secs_f64());
        for index in 0..COMMANDS_BEFORE_KILL {
            node.command((round * COMMANDS_BEFORE_KILL + index) % history.aggregates).await?;
        }
        // What a kill leaves: files in the middle of things.
        copy_folder(&state, &copy)?;
        node.stop().await?;
        let (node, took) = Node::restart(settings, &copy).await?;
        killed.push(took.as_secs_f64());
        node.stop().await?;
        fs::remove_dir_all(&copy)?;
    }
    let cold = [cold.as_secs_f64()];
    Figure::compared("restart", &ended, &cold, "s").print()?;
    Figure::compared("restart_after_kill", &killed, &cold, "s").print()
}

/// The engine of one node, alone with its log.
pub(super) struct Node {
    pub(super) engine: Engine,
    shutdown: Shutdown,
    shards: Vec<Task<Result<(), ShardError>>>,
}

impl Node {
    pub(super) async fn start(settings: &config::Kafka, state: &Path) -> Result<Self> {
        let log: Arc<dyn EventLog> = Arc::new(KafkaLog::connect(settings, &settings.topic).await?);
        let store = config::Store { path: state.to_owned(), cache_bytes: CACHE_BYTES };
        let stores = Stores::on_disk(&store, log.shard_count());
        let node = engine::Node { name: "bench".to_owned(), url: "http://localhost".to_owned() };
        let cluster = Cluster::alone(&node);
        let (engine, shards) = Engine::new(&log, &node, &Clock::System, cluster, &stores);
        let shutdown = Shutdown::new();
        let run = |shard: Shard| task::spawn("shard", shard.run(shutdown.child()));
        let shards = shards.into_iter().map(run).collect();
        Ok(Self { engine, shutdown, shards })
    }

    /// Until the first command is answered, from before the log is reached.
    async fn restart(settings: &config::Kafka, state: &Path) -> Result<(Self, Duration)> {
        let began = Instant::now();
        let node = Self::start(settings, state).await?;
        node.command(0).await?;
        Ok((node, began.elapsed()))
    }

    /// On an aggregate that has a history.
    async fn command(&self, aggregate: u32) -> Result<()> {
        let revision = receive(&self.engine, &History::sku(aggregate)?, SERVED_WAIT_MAX).await?;
        ensure!(revision > 1, "aggregate {aggregate} has no history");
        Ok(())
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.shutdown.request();
        for shard in self.shards {
            shard.await??;
        }
        Ok(())
    }
}

/// One unit; tells the stock's revision.
pub(super) async fn receive(engine: &Engine, sku: &Sku, wait_max: Duration) -> Result<u64> {
    let receive = stock::Command::receive(1);
    let (addressed, id) = (Addressed::to::<Stock>(sku, receive), CommandId::new(Uuid::now_v7()));
    let submission = Submission::new(addressed, id, "bench".into());
    match engine.submit(submission, Instant::now() + wait_max).await?.outcome {
        Outcome::Committed { revision, .. } => Ok(revision),
        other => bail!("the engine answers {other:?}"),
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else if entry.path().exists() {
            // A file that is replaced at this moment is named by none that is left.
            fs::copy(entry.path(), &to).context("copying a store").map(drop)?;
        }
    }
    Ok(())
}

fn megabytes(folder: &Path) -> Result<f64> {
    let mut bytes = 0.0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            megabytes(&entry.path())? * 1e6
        } else {
            use std::os::unix::fs::MetadataExt;
            f64::from(u32::try_from(entry.metadata()?.blocks())?) * 512.0
        };
    }
    Ok(bytes / 1e6)
}
