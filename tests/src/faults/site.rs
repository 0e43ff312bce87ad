//! A stack of its own, in its own folder and on its own ports, with a proxy on every way that can
//! be cut: from clients to nodes, between nodes, from nodes to brokers, and to PostgreSQL.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::disk::{self, Disk};
use crate::{
    audit::watermarks,
    proxy::{Mode, Proxy},
};
use stack::detours::{Detours, Listener, NodeDetours};
use stack::eventually::wait_for;
use stack::folder::Folder;
use stack::kafka;
use stack::ports::{Ports, Size};
use stack::secrets::Secrets;
use stack::services::{Service, services};
use stack::state::{Existing, StackState};
use stack::topic::SHARDS_OF_TESTS;
use stack::{command_api, console, down, up};

const TOPIC: &str = "tradewind.events";
const METADATA_WAIT_MAX: Duration = Duration::from_secs(2);
const WHOLE_WAIT_MAX: Duration = Duration::from_secs(90);
const REST_WAIT_MAX: Duration = Duration::from_secs(120);
/// A log that has not grown for so long is at rest.
const QUIET: Duration = Duration::from_secs(2);
/// After the ports of the parts, the brokers' listeners for nodes.
const LISTENERS_FROM: u16 = 40;

pub(super) struct Site {
    pub(super) folder: Folder,
    pub(super) state: StackState,
    pub(super) secrets: Secrets,
    pub(super) nodes: Vec<NodeProxies>,
    /// The disks of the nodes' state stores; none where this machine lets nobody mount one.
    pub(super) disks: Vec<Disk>,
    pub(super) postgres_of_projector: Proxy,
    pub(super) postgres_of_query: Proxy,
}

/// The ways to and from one command-api node.
pub(super) struct NodeProxies {
    /// From clients.
    pub(super) front: Proxy,
    /// From the other nodes.
    pub(super) peer: Proxy,
    /// To each broker.
    pub(super) brokers: Vec<Proxy>,
}

impl Site {
    /// Removes what an earlier run left and brings a new stack up.
    pub(super) async fn open(size: Size, port_base: u16, no_build: bool) -> Result<Self> {
        let folder = Folder::of_faults();
        let disks = || (1..=size.nodes).map(|number| folder.data(&command_api(number)));
        disk::take_away(&folder.path("data"))?;
        down::reset(&folder).await?;
        folder.create()?;
        let disks = disk::put_in(disks());
        let ports = Ports::from_base(port_base, size)?;
        let nodes = (0..).zip(ports.nodes.iter().zip(&ports.ops.nodes));
        let nodes =
            nodes.map(|(node, (port, ops))| NodeProxies::start(*port, *ops, node, port_base, size));
        let nodes = try_join_all(nodes).await?;
        let postgres_of_projector = Proxy::start(ports.postgres).await?;
        let postgres_of_query = Proxy::start(ports.postgres).await?;
        let detours = Detours {
            nodes: nodes.iter().map(|(_, detours)| detours.clone()).collect(),
            postgres_of_projector: Some(postgres_of_projector.port()),
            postgres_of_query: Some(postgres_of_query.port()),
        };
        let existing = Existing::default();
        let state = StackState {
            ports,
            topic: TOPIC.to_owned(),
            existing,
            detours,
            guard: None,
            is_lasting: false,
        };
        state.write(&folder)?;
        let secrets = Secrets::of(&folder)?;
        let nodes = nodes.into_iter().map(|(proxies, _)| proxies).collect();
        let site =
            Self { folder, state, secrets, nodes, disks, postgres_of_projector, postgres_of_query };
        let shards = Some(SHARDS_OF_TESTS);
        let args = up::Args { detach: true, no_build, shards, ..up::Args::default() };
        let started = up::up(&site.folder, &args).await;
        if started.is_err() {
            site.close().await;
        }
        started.map(|_| site)
    }

    /// Ends every part; the folder stays for who wants to look.
    pub(super) async fn close(&self) {
        if let Err(error) = down::down(&self.folder).await {
            console::step(&format!("the stack does not end: {error:#}"));
        }
        if let Err(error) = disk::take_away(&self.folder.path("data")) {
            console::step(&format!("the nodes' disks stay: {error:#}"));
        }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = Service> {
        services(self.state.ports.nodes.len())
    }

    pub(super) fn service(&self, part: &str) -> Result<Service> {
        self.services().find(|service| service.part == part).context("a service of this stack")
    }

    /// Where clients find a node, from 1.
    pub(super) fn front(&self, number: usize) -> Result<String> {
        let node = self.nodes.get(number - 1).context("a node of this stack")?;
        Ok(format!("http://127.0.0.1:{}", node.front.port()))
    }

    /// Lets everything pass again.
    pub(super) fn heal(&self) {
        for node in &self.nodes {
            node.front.set(Mode::Pass);
            node.peer.set(Mode::Pass);
            node.brokers.iter().for_each(|proxy| proxy.set(Mode::Pass));
        }
        self.postgres_of_projector.set(Mode::Pass);
        self.postgres_of_query.set(Mode::Pass);
    }

    /// Waits until every broker has every partition again.
    pub(super) async fn wait_for_replicas(&self) -> Result<()> {
        let copies = self.state.ports.brokers.len();
        wait_for("all replicas to be in sync", WHOLE_WAIT_MAX, || async {
            match fewest_replicas(self).await {
                Ok(found) if found == copies => ControlFlow::Break(Ok(())),
                Ok(found) => ControlFlow::Continue(format!("{found} of {copies}")),
                Err(error) => ControlFlow::Continue(format!("{error:#}")),
            }
        })
        .await
    }

    /// Waits until nothing moves any more: every part is ready, every order is settled, and the log
    /// has stopped growing. Fails with what was still to do.
    pub(super) async fn come_to_rest(&self) -> Result<()> {
        self.heal();
        for service in self.services() {
            service.wait_ready(&self.folder, &self.state).await?;
        }
        let last = Mutex::new((vec![], Instant::now()));
        let database = self.state.databases(&self.secrets).reader;
        wait_for("the system to come to rest", REST_WAIT_MAX, || async {
            let looked = tokio::try_join!(ends(self), pending(&database));
            let (ends, pending) = match looked {
                Ok(looked) => looked,
                Err(error) => return ControlFlow::Continue(format!("{error:#}")),
            };
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.0 != ends {
                *last = (ends, Instant::now());
            }
            if pending == 0 && last.1.elapsed() >= QUIET {
                return ControlFlow::Break(Ok(()));
            }
            ControlFlow::Continue(format!(
                "{pending} orders are pending, the log ends at {:?}",
                last.0
            ))
        })
        .await
    }

    /// Starts a service that was ended, and waits until it is ready.
    pub(super) async fn restart(&self, part: &str) -> Result<()> {
        let service = self.service(part)?;
        service.start(&self.folder, &self.state, &self.secrets).await?;
        service.wait_ready(&self.folder, &self.state).await
    }

    /// Starts what was killed of Kafka, and waits until it has caught up.
    pub(super) async fn restart_broker(&self, number: usize) -> Result<()> {
        kafka::launch(&self.folder, &self.state, number).await?;
        kafka::wait_for_broker(&self.folder, &self.state, number).await?;
        self.wait_for_replicas().await
    }
}

impl NodeProxies {
    async fn start(
        port: u16,
        ops: u16,
        node: u16,
        port_base: u16,
        size: Size,
    ) -> Result<(Self, NodeDetours)> {
        let (mut brokers, mut listeners) = (vec![], vec![]);
        for broker in 0..u16::try_from(size.brokers)? {
            // Free ports would do, were they not taken by others while a broker is dead.
            let bind = port_base + LISTENERS_FROM + 3 * node + broker;
            let proxy = Proxy::start(bind).await?;
            listeners.push(Listener { bind, advertised: proxy.port() });
            brokers.push(proxy);
        }
        let (front, peer) = (Proxy::start(port).await?, Proxy::start(ops).await?);
        let detours = NodeDetours { peer: peer.port(), brokers: listeners };
        Ok((Self { front, peer, brokers }, detours))
    }
}

/// Over all partitions of the topic.
async fn fewest_replicas(site: &Site) -> Result<usize> {
    ask_kafka(site, |client, topic| {
        let metadata = client.fetch_metadata(Some(topic), METADATA_WAIT_MAX)?;
        let topic = metadata.topics().first().context("no metadata of the topic")?;
        let in_sync = topic.partitions().iter().map(|partition| partition.isr().len());
        in_sync.min().context("a topic without partitions")
    })
    .await
}

/// Where each partition of the topic ends.
async fn ends(site: &Site) -> Result<Vec<i64>> {
    ask_kafka(site, |client, topic| {
        let partitions = 0..i32::try_from(SHARDS_OF_TESTS)?;
        let end = |partition| Ok(watermarks(client, topic, partition)?.1);
        partitions.map(end).collect()
    })
    .await
}

async fn ask_kafka<T: Send + 'static>(
    site: &Site,
    ask: impl FnOnce(&BaseConsumer, &str) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (servers, topic) = (site.state.bootstrap_servers(), site.state.topic.clone());
    let asking = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers);
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        let client: BaseConsumer = config.create()?;
        ask(&client, &topic)
    });
    asking.await?
}

/// Orders that are neither confirmed nor rejected.
async fn pending(database: &str) -> Result<i64> {
    let mut database = PgConnection::connect(database).await?;
    let sql = "SELECT count(*) FROM read.orders WHERE status = 'pending'";
    let count = sqlx::query_scalar(sql).fetch_one(&mut database).await;
    count.context("counting orders")
}
