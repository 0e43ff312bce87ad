//! A node of the command API as a process of its own, with a topic that no projector reads: so
//! that nothing but the node, its log and the load is measured.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use infra::{
    config,
    log::kafka::{TopicSpec, ensure_topic},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{memory::Memory, topic};
use crate::{
    eventually::eventually,
    stack::{
        folder::Folder,
        secrets::Secrets,
        services::{self, Role, Wiring, readiness},
        state::State,
    },
};

const SHARDS: u32 = 4;
const CACHE_LIMIT: &str = "256MiB";
const READY_WAIT_MAX: Duration = Duration::from_secs(600);
const STOP_WAIT_MAX: Duration = Duration::from_secs(30);

/// Where a node runs: its topic, its store, its port. The topic is to be deleted in the end.
pub(super) struct Site {
    wiring: Wiring,
    _store: TempDir,
}

impl Site {
    /// With an empty topic on the stack's Kafka.
    pub(super) async fn prepare(folder: &Folder) -> Result<Self> {
        let state = State::read(folder)?.context("the stack has a state")?;
        let secrets = Secrets::of(folder)?;
        let store = tempfile::tempdir()?;
        let wiring = Wiring {
            bind: TcpListener::bind(("127.0.0.1", 0))?.local_addr()?,
            bootstrap_servers: state.bootstrap_servers(),
            topic: format!("tradewind.bench.{}", Uuid::new_v4().simple()),
            databases: state.databases(&secrets),
            node: None,
            secrets,
            state: store.path().to_owned(),
            snapshots: store.path().join("snapshots"),
        };
        let site = Self { wiring, _store: store };
        ensure_topic(&site.kafka(), &site.wiring.topic, TopicSpec::local(SHARDS)).await?;
        Ok(site)
    }

    pub(super) fn kafka(&self) -> config::Kafka {
        config::Kafka::plaintext(&self.wiring.bootstrap_servers, &self.wiring.topic)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.wiring.bind)
    }

    pub(super) fn operator_key(&self) -> &str {
        &self.wiring.secrets.operator_key
    }

    pub(super) async fn delete(self) -> Result<()> {
        topic::delete(&self.wiring.bootstrap_servers, &[&self.wiring.topic]).await
    }
}

/// Measures a node that nothing else uses.
pub(super) async fn alone(
    folder: &Folder,
    measure: impl AsyncFnOnce(&Site) -> Result<()>,
) -> Result<()> {
    let site = Site::prepare(folder).await?;
    let node = Node::start(&site).await?;
    let measured = measure(&site).await;
    node.stop().await?;
    site.delete().await?;
    measured
}

pub(super) struct Node {
    process: Child,
    pid: i32,
}

impl Node {
    /// Until it is ready.
    pub(super) async fn start(site: &Site) -> Result<Self> {
        let program = services::folder_of_binaries()?.join("command-api");
        let process = Command::new(program)
            .arg("serve")
            .env_clear()
            .envs(site.wiring.env(Role::CommandApi))
            .env("TRADEWIND_STORE__CACHE_BYTES", CACHE_LIMIT)
            .env("TRADEWIND_LOG__FILTER", "warn")
            .current_dir(Path::new("/"))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = i32::try_from(process.id().context("a process that runs")?)?;
        let url = site.url();
        eventually("the node is ready", READY_WAIT_MAX, || readiness(&url)).await;
        Ok(Self { process, pid })
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        Memory::of(self.pid)
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(STOP_WAIT_MAX, self.process.wait()).await??;
        ensure!(ended.success(), "the node ended with {ended}");
        Ok(())
    }
}
