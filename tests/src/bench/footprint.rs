//! What a node takes of memory when its log holds far more aggregates than its cache may, and what
//! a command costs whose aggregate must be loaded, against one whose aggregate is at hand.
//!
//! The node is a process of its own, so that nothing but the node is measured.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::log::kafka::KafkaLog;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    figure::Figure,
    history::{self, History},
    node::Site,
};
use crate::{plain_http, stack::folder::Folder};

/// Commands of each side and round, on as many aggregates.
const COMMANDS: u32 = 10_000;
const CONNECTIONS: usize = 64;
const WAIT_MAX: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"quantity":1}"#;

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
    let load = Load::of(site)?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        cold.push(load.commands(round * COMMANDS).await?);
        warm.push(load.commands(round * COMMANDS).await?);
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

struct Load {
    url: String,
    operator_key: String,
    http: reqwest::Client,
}

impl Load {
    fn of(site: &Site) -> Result<Self> {
        let http = plain_http::builder().timeout(WAIT_MAX).build()?;
        Ok(Self { url: site.url(), operator_key: site.operator_key().to_owned(), http })
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
}
