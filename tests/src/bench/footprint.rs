//! What a node takes of memory when its log holds far more aggregates than its cache may, and what
//! a command costs whose aggregate must be loaded, against one whose aggregate is at hand.
//!
//! The node is a process of its own, so that nothing but the node is measured.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::{
    config,
    log::kafka::{KafkaLog, TopicSpec, ensure_topic},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use uuid::Uuid;

use super::{
    figure::Figure,
    history::{self, History},
    memory::Memory,
    topic,
};
use crate::{
    eventually::eventually,
    stack::{
        folder::Folder,
        secrets::Secrets,
        services::{self, Role, Wiring, readiness},
        state::State,
    },
};

const CACHE_LIMIT: &str = "256MiB";
/// Commands of each side and round, on as many aggregates.
const COMMANDS: u32 = 10_000;
const CONNECTIONS: usize = 64;
const READY_WAIT_MAX: Duration = Duration::from_secs(600);
const WAIT_MAX: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"quantity":1}"#;

pub(super) async fn run(rounds: usize, folder: &Folder, aggregates: u32) -> Result<()> {
    let rounds = u32::try_from(rounds)?;
    ensure!(aggregates >= COMMANDS * rounds, "--aggregates: at least {}", COMMANDS * rounds);
    let state = State::read(folder)?.context("the stack has a state")?;
    let secrets = Secrets::of(folder)?;
    let name = format!("tradewind.bench.{}", Uuid::new_v4().simple());
    let store = tempfile::tempdir()?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let wiring = Wiring {
        bind: port,
        bootstrap_servers: state.bootstrap_servers(),
        topic: name.clone(),
        databases: state.databases(&secrets),
        node: None,
        secrets,
        state: store.path().to_owned(),
        snapshots: store.path().join("snapshots"),
    };
    let kafka = config::Kafka::plaintext(&wiring.bootstrap_servers, &name);
    ensure_topic(&kafka, &name, TopicSpec::local(4)).await?;
    let log = KafkaLog::connect(&kafka, &name).await?;
    History { aggregates, events: aggregates }.append(&log).await?;
    drop(log);
    let measured = measure(&wiring, rounds).await;
    topic::delete(&wiring.bootstrap_servers, &[&name]).await?;
    measured
}

async fn measure(wiring: &Wiring, rounds: u32) -> Result<()> {
    // The first start reads the whole log; the second finds all of it in the store, and an empty
    // cache.
    let node = Node::start(wiring).await?;
    let replayed = node.memory()?;
    node.stop().await?;
    let node = Node::start(wiring).await?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        cold.push(node.commands(round * COMMANDS).await?);
        warm.push(node.commands(round * COMMANDS).await?);
    }
    let served = node.memory()?;
    node.stop().await?;
    for figure in [
        Figure::single("memory_after_replay", replayed.resident_mb, "MB"),
        Figure::single("memory_peak_of_replay", replayed.peak_mb, "MB"),
        Figure::single("memory_peak_from_checkpoint", served.peak_mb, "MB"),
        Figure::compared("command_on_cold_aggregate", &cold, &warm, "ms"),
    ] {
        figure.print()?;
    }
    Ok(())
}

struct Node {
    process: Child,
    pid: i32,
    url: String,
    operator_key: String,
    http: reqwest::Client,
}

impl Node {
    async fn start(wiring: &Wiring) -> Result<Self> {
        let program = services::folder_of_binaries()?.join("command-api");
        let process = Command::new(program)
            .arg("serve")
            .env_clear()
            .envs(wiring.env(Role::CommandApi))
            .env("TRADEWIND_STORE__CACHE_BYTES", CACHE_LIMIT)
            .env("TRADEWIND_LOG__FILTER", "warn")
            .current_dir(Path::new("/"))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = i32::try_from(process.id().context("a process that runs")?)?;
        let url = format!("http://{}", wiring.bind);
        eventually("the node is ready", READY_WAIT_MAX, || readiness(&url)).await;
        let operator_key = wiring.secrets.operator_key.clone();
        let http = reqwest::Client::builder().timeout(WAIT_MAX).build()?;
        Ok(Self { process, pid, url, operator_key, http })
    }

    fn memory(&self) -> Result<Memory> {
        Memory::of(self.pid)
    }

    /// Milliseconds per command on aggregates from `first` on, one command each.
    async fn commands(&self, first: u32) -> Result<f64> {
        let began = Instant::now();
        stream::iter(first..first + COMMANDS)
            .map(|aggregate| self.command(aggregate))
            .buffer_unordered(CONNECTIONS)
            .try_collect::<()>()
            .await?;
        Ok(began.elapsed().as_secs_f64() * 1e3 / f64::from(COMMANDS))
    }

    async fn command(&self, aggregate: u32) -> Result<()> {
        let url = format!("{}/v1/stock/{}/receive", self.url, history::sku(aggregate)?);
        let request = self.http.post(url).bearer_auth(&self.operator_key);
        let request = request.header("content-type", "application/json").body(BODY);
        let key = Uuid::new_v4().to_string();
        let response = request.header("idempotency-key", key).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(WAIT_MAX, self.process.wait()).await??;
        ensure!(ended.success(), "the node ended with {ended}");
        Ok(())
    }
}
