//! What a node takes of memory when its log holds far more aggregates than its cache may, and what
//! a command costs whose aggregate must be loaded, against one whose aggregate is at hand.
//!
//! The node is a process of its own, so that nothing but the node is measured.

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::log::kafka::KafkaLog;
use tokio::time::Instant;

use super::{
    figure::Figure,
    http::{Load, accepted},
    logs::History,
    node::Site,
};
use stack::folder::Folder;

/// Commands of each side and round, on as many aggregates.
const COMMANDS: u32 = 10_000;
const CONNECTIONS: usize = 64;

pub(super) async fn run(rounds: usize, folder: &Folder, aggregates: u32) -> Result<()> {
    let rounds = u32::try_from(rounds)?;
    ensure!(aggregates >= COMMANDS * rounds, "--aggregates: at least {}", COMMANDS * rounds);
    let site = Site::prepare(folder).await?;
    let kafka = site.kafka();
    let log = KafkaLog::connect(&kafka, &kafka.topic).await?;
    History { aggregates, events: aggregates }.append(&log).await?;
    drop(log);
    let measured = measure(&site, rounds).await;
    site.delete().await?;
    measured
}

async fn measure(site: &Site, rounds: u32) -> Result<()> {
    // The first start reads the whole log; the second finds all of it in the store, and an empty
    // cache.
    let node = site.start().await?;
    let replayed = node.memory()?;
    node.stop().await?;
    let node = site.start().await?;
    let load = Load::new(&site.url(), site.operator_key())?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        cold.push(commands(&load, round * COMMANDS).await?);
        warm.push(commands(&load, round * COMMANDS).await?);
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

/// Milliseconds per command on aggregates from `first` on, one command each.
async fn commands(load: &Load, first: u32) -> Result<f64> {
    let began = Instant::now();
    let commands = (first..first + COMMANDS).map(async |aggregate| {
        accepted(load.receive(History::sku(aggregate)?.as_str()).await?).await
    });
    stream::iter(commands).buffer_unordered(CONNECTIONS).try_collect::<()>().await?;
    Ok(began.elapsed().as_secs_f64() * 1e3 / f64::from(COMMANDS))
}
