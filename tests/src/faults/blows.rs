//! How each fault is done, and undone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, Result};

use super::history::{Fault, History};
use super::pass::pass;
use super::plan::{Blow, Kind};
use super::projections;
use super::site::Site;
use crate::proxy::{Mode, Proxy};
use stack::eventually::wait_for;
use stack::plain_http;
use stack::secrets::Secrets;
use stack::{POSTGRES, PROJECTOR, QUERY_API, broker, command_api, console, postgres};

/// A store is written ten times a second, and one that was refused tries again within seconds.
const STORES_WAIT_MAX: Duration = Duration::from_secs(30);
const METRICS_WAIT_MAX: Duration = Duration::from_secs(2);

/// Does what the blow says and returns when everything is whole again.
pub(super) async fn strike(site: &Site, history: &History, blow: Blow) -> Result<()> {
    let what = describe(&blow);
    let began = history.now();
    let struck = inflict(site, history, &blow).await;
    site.heal();
    struck.with_context(|| what.clone())?;
    let healed = history.now();
    let lasted = Duration::from_micros(healed - began);
    console::step(&format!("{:>7.1} s  {what} ({lasted:.1?})", seconds(began)));
    let fault = Fault { kind: blow.kind, what, began, healed };
    history.record(|entries| entries.faults.push(fault));
    pass(blow.pause).await;
    Ok(())
}

async fn inflict(site: &Site, history: &History, blow: &Blow) -> Result<()> {
    let node = command_api(blow.number);
    let proxies = site.nodes.get(blow.number - 1);
    match blow.kind {
        Kind::NodeKilled => kill(site, &node, blow.lasts).await,
        Kind::ProjectorKilled => kill(site, PROJECTOR, blow.lasts).await,
        Kind::QueryApiKilled => kill(site, QUERY_API, blow.lasts).await,
        Kind::NodeRestarted => {
            site.folder.part(&node).stop().await?;
            pass(blow.lasts).await;
            site.restart(&node).await
        }
        Kind::NodePaused => {
            pause(site, &node, blow.lasts).await?;
            site.service(&node)?.wait_ready(&site.folder, &site.state).await
        }
        Kind::NodeWithoutBrokers => {
            let brokers = &proxies.context("a node")?.brokers;
            let is_cut = |number: usize| blow.broker.is_none_or(|broker| broker == number);
            let cut = (1..).zip(brokers).filter(|(number, _)| is_cut(*number));
            let cut: Vec<&Proxy> = cut.map(|(_, proxy)| proxy).collect();
            disturb(&cut, blow.mode, blow.lasts).await;
            site.service(&node)?.wait_ready(&site.folder, &site.state).await
        }
        Kind::NodeUnreachable => {
            disturb(&[&proxies.context("a node")?.peer], blow.mode, blow.lasts).await;
            Ok(())
        }
        Kind::StoreFull => fill_store(site, blow.number, blow.lasts).await,
        Kind::AnswersLost => {
            let front = &proxies.context("a node")?.front;
            disturb(&[front], Mode::LoseAnswers, blow.lasts).await;
            Ok(())
        }
        Kind::ProjectorWithoutPostgres => {
            disturb(&[&site.postgres_of_projector], blow.mode, blow.lasts).await;
            Ok(())
        }
        Kind::ProjectionLocked => {
            projections::lock(site, history, blow.projection, blow.lasts).await
        }
        Kind::ProjectionRefused => {
            projections::refuse(site, history, blow.projection, blow.lasts).await
        }
        Kind::QueryApiWithoutPostgres => {
            disturb(&[&site.postgres_of_query], blow.mode, blow.lasts).await;
            Ok(())
        }
        Kind::BrokerKilled => {
            site.folder.part(&broker(blow.number)).kill().await?;
            pass(blow.lasts).await;
            site.restart_broker(blow.number).await
        }
        Kind::BrokerPaused => {
            pause(site, &broker(blow.number), blow.lasts).await?;
            site.wait_for_replicas().await
        }
        Kind::PostgresKilled => {
            site.folder.part(POSTGRES).kill().await?;
            pass(blow.lasts).await;
            restart_postgres(site, &site.secrets).await
        }
    }
}

/// Leaves no room for the store of a node until its writes have failed for a while, and waits until
/// they succeed again.
async fn fill_store(site: &Site, number: usize, lasts: Duration) -> Result<()> {
    let node = command_api(number);
    let url = site.service(&node)?.ops_url(&site.state);
    let disk = site.disks.get(number - 1).context("a disk of the node")?;
    disk.fill()?;
    let struck = wait_for_stores(&url, "to be refused by the full disk", |writable| {
        writable.values().any(|writable| !writable)
    });
    let struck = struck.await;
    if struck.is_ok() {
        pass(lasts).await;
    }
    disk.free()?;
    struck?;
    let all = |writable: &BTreeMap<String, bool>| writable.values().all(|writable| *writable);
    wait_for_stores(&url, "to be written again", all).await?;
    site.service(&node)?.wait_ready(&site.folder, &site.state).await
}

/// Waits until the node's metrics tell of its shards' stores what is wanted.
async fn wait_for_stores(
    url: &str,
    what: &str,
    wanted: impl Fn(&BTreeMap<String, bool>) -> bool,
) -> Result<()> {
    wait_for(&format!("stores {what}"), STORES_WAIT_MAX, || async {
        match writable(url).await {
            Ok(found) if wanted(&found) => ControlFlow::Break(Ok(())),
            Ok(found) => ControlFlow::Continue(format!("{found:?}")),
            Err(error) => ControlFlow::Continue(format!("{error:#}")),
        }
    })
    .await
}

/// Whether the store of each shard takes writes, as the node sees it.
async fn writable(url: &str) -> Result<BTreeMap<String, bool>> {
    let request = plain_http::client().get(format!("{url}/metrics")).timeout(METRICS_WAIT_MAX);
    let text = request.send().await?.error_for_status()?.text().await?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("tradewind_store_writable{"));
    let told = lines.filter_map(|line| line.rsplit_once("} "));
    Ok(told.map(|(labels, value)| (labels.to_owned(), value != "0")).collect())
}

async fn kill(site: &Site, part: &str, down_for: Duration) -> Result<()> {
    site.folder.part(part).kill().await?;
    pass(down_for).await;
    site.restart(part).await
}

async fn pause(site: &Site, part: &str, lasts: Duration) -> Result<()> {
    let part = site.folder.part(part);
    part.pause().await?;
    pass(lasts).await;
    part.resume().await
}

async fn disturb(proxies: &[&Proxy], mode: Mode, lasts: Duration) {
    proxies.iter().for_each(|proxy| proxy.set(mode));
    pass(lasts).await;
    proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
}

async fn restart_postgres(site: &Site, secrets: &Secrets) -> Result<()> {
    let (port, password) = (site.state.ports.postgres, &secrets.postgres_admin);
    postgres::start(&site.folder, port, password, postgres::Durability::Full).await
}

fn describe(blow: &Blow) -> String {
    let Blow { kind, number, mode, projection, .. } = blow;
    let way = if *mode == Mode::Hold { "held" } else { "cut" };
    let part = match kind {
        Kind::BrokerKilled | Kind::BrokerPaused => broker(*number),
        Kind::NodeKilled
        | Kind::NodePaused
        | Kind::NodeRestarted
        | Kind::StoreFull
        | Kind::AnswersLost => command_api(*number),
        Kind::NodeUnreachable => format!("{}, {way}", command_api(*number)),
        Kind::NodeWithoutBrokers => {
            let brokers = blow.broker.map_or_else(|| "all brokers".to_owned(), broker);
            format!("{} and {brokers}, {way}", command_api(*number))
        }
        Kind::ProjectorWithoutPostgres | Kind::QueryApiWithoutPostgres => way.to_owned(),
        Kind::ProjectionLocked | Kind::ProjectionRefused => (*projection).to_owned(),
        Kind::ProjectorKilled | Kind::QueryApiKilled | Kind::PostgresKilled => {
            return kind.to_string();
        }
    };
    format!("{kind}: {part}")
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
