//! How fast a query API replays a log of sales, against one bare client of Kafka that copies the values of all
//! records out: all events, one type of 23, all by time; how late the first line comes; and what it takes of
//! memory.
//!
//! The log is its own, the query API a process of its own, and its limit on bandwidth is lifted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use infra::{
    config,
    log::kafka::{KafkaLog, TopicSpec, ensure_topic},
};
use tokio::time::Instant;

use super::{
    figure::{Figure, per_second, percentile},
    logs::{EVENTS, Sales},
    process::{self, Process},
    topic,
};
use stack::{
    folder::Folder,
    plain_http,
    secrets::Secrets,
    services::{Role, Wiring},
    state::StackState,
};

const SHARDS: u32 = 4;
/// Replays of which only the first line is read.
const FIRST_LINES: usize = 20;
/// What a replay is asked for, as figures name it, and the part of its events that comes.
const REPLAYS: [(&str, &str, u64); 3] = [
    ("all", "", EVENTS),
    ("of_one_type", "?type=order.placed", 1),
    ("by_time", "?order=time", EVENTS),
];
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub(super) async fn run(rounds: usize, folder: &Folder, events: u32) -> Result<()> {
    let state = StackState::read(folder)?.context("the stack has a state")?;
    let secrets = Secrets::of(folder)?;
    let databases = state.databases(&secrets);
    let wiring = process::wiring(&state, secrets, databases, folder.root())?;
    let kafka = config::Kafka::plaintext(&wiring.bootstrap_servers, &wiring.topic);
    ensure_topic(&kafka, &wiring.topic, TopicSpec::local(SHARDS)).await?;
    let measured = measure(rounds, &wiring, &kafka, u64::from(events) / EVENTS).await;
    topic::delete(&wiring.bootstrap_servers, &[&wiring.topic]).await?;
    measured
}

async fn measure(rounds: usize, wiring: &Wiring, kafka: &config::Kafka, sales: u64) -> Result<()> {
    let log = KafkaLog::connect(kafka, &kafka.topic).await?;
    let events = usize::try_from(Sales { sales, products: 0 }.append(&log).await?)?;
    drop(log);
    let settings = [("TRADEWIND_REPLAY__BANDWIDTH_MAX", "2000")];
    let process = Process::start(Role::QueryApi, wiring, &settings).await?;
    let reader = Reader::new(wiring)?;
    for (name, query, part) in REPLAYS {
        let (mut replayed, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(per_second(
                events,
                topic::copy(&kafka.bootstrap_servers, &kafka.topic).await?,
            )?);
            let (lines, took) = reader.read(query).await?;
            let expected = sales * part;
            ensure!(lines == expected, "{lines} events of {expected} came");
            replayed.push(per_second(events, took)?);
        }
        let figure = format!("replay_{name}_events_per_second");
        Figure::compared(&figure, &replayed, &bare, "1/s").print()?;
    }
    let mut first = Vec::new();
    for _ in 0..FIRST_LINES {
        first.push(reader.first_line().await?.as_secs_f64() * 1e3);
    }
    Figure::aimed("replay_first_line_p50", percentile(&first, 50), 50.0, "ms", 1).print()?;
    Figure::aimed("replay_first_line_max", percentile(&first, 100), None, "ms", 1).print()?;
    let memory = process.memory()?;
    process.stop().await?;
    Figure::aimed("replay_memory_peak", memory.peak_mb, 100.0, "MB", 1).print()
}

/// A client that reads replays and keeps nothing.
struct Reader {
    url: String,
    operator_key: String,
    http: reqwest::Client,
}

impl Reader {
    fn new(wiring: &Wiring) -> Result<Self> {
        let http = plain_http::builder().read_timeout(SILENCE_MAX).build()?;
        let url = format!("http://{}/v1/events", wiring.bind);
        Ok(Self { url, operator_key: wiring.secrets.operator_key.clone(), http })
    }

    async fn ask(&self, query: &str) -> Result<reqwest::Response> {
        let request = self.http.get(format!("{}{query}", self.url));
        Ok(request.bearer_auth(&self.operator_key).send().await?.error_for_status()?)
    }

    /// Its events, and how long they took.
    async fn read(&self, query: &str) -> Result<(u64, Duration)> {
        let began = Instant::now();
        let mut body = self.ask(query).await?.bytes_stream();
        let (mut lines, mut signs, mut is_begun) = (0, 0, true);
        while let Some(bytes) = body.next().await {
            for line in bytes?.split_inclusive(|byte| *byte == b'\n') {
                signs += u64::from(is_begun && line.starts_with(b"{\"cursor\""));
                is_begun = line.ends_with(b"\n");
                lines += u64::from(is_begun);
            }
        }
        Ok((lines - signs, began.elapsed()))
    }

    async fn first_line(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut body = self.ask("").await?.bytes_stream();
        body.next().await.context("a first line")??;
        Ok(began.elapsed())
    }
}
