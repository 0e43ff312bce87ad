//! How long a shard is not served when the node that owns it is killed, and when it is restarted in
//! order: with three nodes of the running stack, under clients that never stop.

mod clients;

use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::time::Instant;

use super::figure::{Figure, percentile};
use clients::{Answered, Clients};
use stack::{
    command_api, console,
    eventually::wait_for,
    folder::Folder,
    plain_http,
    process::Part,
    secrets::Secrets,
    services::{Service, services},
    state::StackState,
    topic::shards_of,
    up,
};

const NODES: u8 = 3;
const SERVED_WAIT_MAX: Duration = Duration::from_secs(60);
/// What is aimed at, in seconds.
const KILLED_P50_AIM: f64 = 1.0;
const KILLED_P99_AIM: f64 = 2.0;
const HANDED_OVER_AIM: f64 = 0.1;

pub(super) async fn run(restarts: usize, kills: usize, folder: &Folder) -> Result<()> {
    let args = up::Args { detach: true, nodes: Some(NODES), ..up::Args::default() };
    let state = up::up(folder, &args).await?;
    let nodes = Nodes { folder, secrets: Secrets::of(folder)?, state };
    let shards = shards_of(&nodes.state.bootstrap_servers(), &nodes.state.topic).await?;
    let shards = shards.filter(|shards| *shards >= u32::from(NODES)).with_context(|| {
        format!("each node needs a shard: `cargo stack reset`, then `up --detach --nodes {NODES}`")
    })?;
    let clients = Clients::begin(&nodes.urls(), shards, &nodes.secrets.operator_key)?;
    let measured = measure(&nodes, &clients, restarts, kills).await;
    clients.end().await?;
    measured
}

async fn measure(
    nodes: &Nodes<'_>,
    clients: &Clients,
    restarts: usize,
    kills: usize,
) -> Result<()> {
    let (mut killed, mut handed_over, mut failed) = (Vec::new(), Vec::new(), 0);
    for number in nodes.numbers().cycle().take(restarts * usize::from(NODES)) {
        let restarted = nodes.restart(number, clients).await?;
        failed += restarted.failed;
        handed_over.extend(restarted.longest);
    }
    for number in nodes.numbers().cycle().take(kills) {
        killed.extend(nodes.kill(number, clients).await?);
    }
    let (restarts, failed) = (restarts * usize::from(NODES), f64::from(failed));
    let (half, most) = (percentile(&killed, 50), percentile(&killed, 99));
    Figure::aimed("failover_p50", half, KILLED_P50_AIM, "s", kills).print()?;
    Figure::aimed("failover_p99", most, KILLED_P99_AIM, "s", kills).print()?;
    let (half, most) = (percentile(&handed_over, 50), percentile(&handed_over, 100));
    Figure::aimed("hand_over_p50", half, HANDED_OVER_AIM, "s", restarts).print()?;
    Figure::aimed("hand_over_longest", most, HANDED_OVER_AIM, "s", restarts).print()?;
    Figure::counted("hand_over_failed_requests", failed, restarts).print()
}

struct Nodes<'a> {
    folder: &'a Folder,
    state: StackState,
    secrets: Secrets,
}

/// What clients saw of a restart.
struct Restarted {
    /// Of each shard that changed hands, in seconds.
    longest: Vec<f64>,
    failed: u32,
}

impl Nodes<'_> {
    fn numbers(&self) -> impl Iterator<Item = usize> + Clone {
        1..=usize::from(NODES)
    }

    fn urls(&self) -> Vec<String> {
        let nodes = services(self.state.ports.nodes.len()).take(usize::from(NODES));
        nodes.map(|node| node.url(&self.state)).collect()
    }

    fn part(&self, number: usize) -> Part {
        self.folder.part(&command_api(number))
    }

    fn service(&self, number: usize) -> Result<Service> {
        let mut all = services(self.state.ports.nodes.len());
        all.find(|service| service.part == command_api(number)).context("a node of this stack")
    }

    async fn start(&self, number: usize) -> Result<()> {
        let service = self.service(number)?;
        service.start(self.folder, &self.state, &self.secrets).await?;
        service.wait_ready(self.folder, &self.state).await
    }

    /// Seconds from the kill to the first answer on each shard that the node served.
    async fn kill(&self, number: usize, clients: &Clients) -> Result<Vec<f64>> {
        let shards = self.shards_of(number).await?;
        let began = Instant::now();
        self.part(number).kill().await?;
        let dead = Instant::now();
        clients.avoid(Some(number));
        let waiting = format!("shards {shards:?} of {} to be served", command_api(number));
        let took = wait_for(&waiting, SERVED_WAIT_MAX, || async {
            // What came later than the end of the process was answered by another one.
            let first = |shard: &u32| clients.first_answer(*shard, dead);
            let first: Option<Vec<Instant>> = shards.iter().map(first).collect();
            first.map_or_else(
                || ControlFlow::Continue("some are not".to_owned()),
                |first| ControlFlow::Break(Ok(first)),
            )
        });
        let took: Vec<f64> = took.await?.into_iter().map(|at| (at - began).as_secs_f64()).collect();
        clients.take();
        console::step(&format!("{} killed: {took:.3?} s", command_api(number)));
        self.start(number).await?;
        clients.avoid(None);
        Ok(took)
    }

    /// Ends a node in order and starts it again, as a rolling restart does: its clients know that
    /// it goes, and what they have asked it is answered.
    async fn restart(&self, number: usize, clients: &Clients) -> Result<Restarted> {
        let shards = self.shards_of(number).await?;
        clients.take();
        clients.avoid(Some(number));
        ensure!(self.part(number).stop().await?, "{} does not run", command_api(number));
        self.start(number).await?;
        clients.avoid(None);
        // Whatever was asked before the end of the restart has its answer by now.
        self.shards_of(number).await?;
        let answers = clients.take();
        let longest = |shard: &u32| {
            let of_shard = answers.iter().filter(|answered| answered.shard == *shard);
            of_shard.map(Answered::took).max().unwrap_or_default().as_secs_f64()
        };
        let longest: Vec<f64> = shards.iter().map(longest).collect();
        let failed = answers.iter().map(|answered| answered.failures).sum();
        let name = command_api(number);
        console::step(&format!("{name} restarted: {longest:.3?} s, {failed} requests failed"));
        Ok(Restarted { longest, failed })
    }

    /// The shards that the node serves, when all shards are served.
    async fn shards_of(&self, number: usize) -> Result<BTreeSet<u32>> {
        let http = plain_http::client();
        let url = format!("{}/v1/shards", self.service(number)?.url(&self.state));
        let ask = async || {
            let asked = http.get(&url).bearer_auth(&self.secrets.operator_key).send();
            asked.await?.json::<Shards>().await
        };
        wait_for("all shards to be served", SERVED_WAIT_MAX, || async {
            let shards = match ask().await {
                Ok(shards) => shards,
                Err(error) => return ControlFlow::Continue(error.to_string()),
            };
            if shards.items.iter().any(|shard| shard.state != "serving") {
                return ControlFlow::Continue(format!("{shards:?}"));
            }
            let own = |shard: &Shard| {
                shard.owner.as_ref().is_some_and(|owner| owner.node == command_api(number))
            };
            let own = shards.items.iter().filter(|shard| own(shard)).map(|shard| shard.shard);
            ControlFlow::Break(Ok(own.collect()))
        })
        .await
    }
}

/// As `GET /v1/shards` tells.
#[derive(Debug, Deserialize)]
struct Shards {
    items: Vec<Shard>,
}

#[derive(Debug, Deserialize)]
struct Shard {
    shard: u32,
    owner: Option<Owner>,
    state: String,
}

#[derive(Debug, Deserialize)]
struct Owner {
    node: String,
}
