//! A stack of its own, in its own folder and on its own ports, with a proxy on every way that can
//! be cut: from clients to nodes, between nodes, from nodes to brokers, and to PostgreSQL.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::disk::{self, Disk};
use crate::eventually::wait_for;
use crate::proxy::{Mode, Proxy};
use crate::stack::detours::Listener;
use crate::stack::detours::{Detours, NodeDetours};
use crate::stack::folder::Folder;
use crate::stack::kafka;
use crate::stack::ports::{Ports, Size};
use crate::stack::secrets::Secrets;
use crate::stack::services::{Service, services};
use crate::stack::state::{Existing, StackState};
use crate::stack::{command_api, console, down, up};

const TOPIC: &str = "tradewind.events";
const METADATA_WAIT_MAX: Duration = Duration::from_secs(2);
const WHOLE_WAIT_MAX: Duration = Duration::from_secs(90);
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
        let state = StackState { ports, topic: TOPIC.to_owned(), existing, detours };
        state.write(&folder)?;
        let secrets = Secrets::of(&folder)?;
        let nodes = nodes.into_iter().map(|(proxies, _)| proxies).collect();
        let site =
            Self { folder, state, secrets, nodes, disks, postgres_of_projector, postgres_of_query };
        let args = up::Args { detach: true, no_build, ..up::Args::default() };
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
            match fewest_replicas(self.state.bootstrap_servers(), &self.state.topic).await {
                Ok(found) if found == copies => std::ops::ControlFlow::Break(Ok(())),
                Ok(found) => std::ops::ControlFlow::Continue(format!("{found} of {copies}")),
                Err(error) => std::ops::ControlFlow::Continue(format!("{error:#}")),
            }
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
async fn fewest_replicas(servers: String, topic: &str) -> Result<usize> {
    let topic = topic.to_owned();
    let asking = tokio::task::spawn_blocking(move || -> Result<usize> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers);
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(Some(&topic), METADATA_WAIT_MAX)?;
        let topic = metadata.topics().first().context("no metadata of the topic")?;
        let in_sync = topic.partitions().iter().map(|partition| partition.isr().len());
        in_sync.min().context("a topic without partitions")
    });
    asking.await?
}
