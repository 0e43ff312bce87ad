//! A node of the command API as a process of its own, with a topic that no projector reads: so
//! that nothing but the node, its log and the load is measured.

use anyhow::{Context, Result};
use infra::{
    config,
    log::kafka::{TopicSpec, ensure_topic},
};
use tempfile::TempDir;

use super::{
    process::{self, Process},
    topic,
};
use stack::{
    folder::Folder,
    secrets::Secrets,
    services::{Role, Wiring},
    state::StackState,
    topic::shards_for,
};

const CACHE_LIMIT: &str = "256MiB";

/// Where a node runs: its topic, its store, its port. The topic is to be deleted in the end.
pub(super) struct Site {
    wiring: Wiring,
    _store: TempDir,
}

impl Site {
    /// With an empty topic on the stack's Kafka.
    pub(super) async fn prepare(folder: &Folder) -> Result<Self> {
        let state = StackState::read(folder)?.context("the stack has a state")?;
        let secrets = Secrets::of(folder)?;
        let store = tempfile::tempdir()?;
        let databases = state.databases(&secrets);
        let wiring = process::wiring(&state, secrets, databases, store.path())?;
        let site = Self { wiring, _store: store };
        ensure_topic(&site.kafka(), &site.wiring.topic, TopicSpec::local(shards_for(1))).await?;
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

    pub(super) async fn start(&self) -> Result<Process> {
        // All clients of a benchmark come from one address.
        let settings = [
            ("TRADEWIND_STORE__CACHE_BYTES", CACHE_LIMIT),
            ("TRADEWIND_HTTP__CONNECTIONS_PER_ADDRESS_MAX", "8192"),
        ];
        Process::start(Role::CommandApi, &self.wiring, &settings).await
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
    let node = site.start().await?;
    let measured = measure(&site).await;
    node.stop().await?;
    site.delete().await?;
    measured
}
