//! Commits of one event through the engine, against a bare idempotent producer that writes the
//! same bytes to as many partitions.
//!
//! The engine's commands come from clients that wait for their answers, so only so many are under
//! way. The producer is measured twice: with as many records under way, which is the same load, and
//! with all at once, which is what the log takes at most.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use command_api::engine::Engine;
use domain::id::Sku;
use futures_util::{StreamExt, TryStreamExt, stream};
use infra::{config, task};
use rdkafka::{
    ClientContext, Message,
    message::OwnedMessage,
    producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    figure::{Figure, per_second},
    restart::{Node, receive},
    topic::{self, Topic},
};
use stack::topic::{prepare, shards_for};

const COMMITS: usize = 100_000;
/// Streams that the commits are spread over.
const STREAMS: usize = 10_000;
const SUBMITTERS: usize = 2;
/// Commands that a submitter waits for at a time.
const UNDER_WAY: usize = 1_000;
/// Records that the bare producer sends before it looks how many are under way.
const STEP: usize = 100;
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) async fn run(rounds: usize, servers: &str) -> Result<()> {
    let (mut engine, mut bare, mut most) = (Vec::new(), Vec::new(), Vec::new());
    let brokers = servers.split(',').count();
    for _ in 0..rounds {
        let name = format!("tradewind.bench.{}", Uuid::new_v4().simple());
        let copy = format!("{name}.copy");
        prepare(servers, &name, brokers, shards_for(1)).await?;
        prepare(servers, &copy, brokers, shards_for(1)).await?;
        engine.push(commit(servers, &name).await?);
        bare.push(produce(servers, &name, &copy, SUBMITTERS * UNDER_WAY).await?);
        most.push(produce(servers, &name, &copy, COMMITS).await?);
        topic::delete(servers, &[&name, &copy]).await?;
    }
    Figure::compared("engine_commits_per_second", &engine, &bare, "1/s").print()?;
    Figure::compared("engine_commits_per_second_of_most", &engine, &most, "1/s").print()
}

/// Commits per second of an engine of its own.
async fn commit(servers: &str, topic: &str) -> Result<f64> {
    let state = tempfile::tempdir()?;
    let node = Node::start(&config::Kafka::plaintext(servers, topic), state.path()).await?;
    // The first command of each stream makes it; what is measured is the rest.
    submit_all(&node, STREAMS).await?;
    let began = Instant::now();
    submit_all(&node, COMMITS).await?;
    let took = began.elapsed();
    node.stop().await?;
    per_second(COMMITS, took)
}

async fn submit_all(node: &Node, count: usize) -> Result<()> {
    let submitters = (0..SUBMITTERS).map(|first| {
        let engine = node.engine.clone();
        task::spawn("submitter", async move {
            stream::iter((first..count).step_by(SUBMITTERS))
                .map(|index| submit(&engine, index))
                .buffer_unordered(UNDER_WAY)
                .try_collect::<()>()
                .await
        })
    });
    for submitter in submitters.collect::<Vec<_>>() {
        submitter.await??;
    }
    Ok(())
}

async fn submit(engine: &Engine, index: usize) -> Result<()> {
    let sku: Sku = format!("bench-{}", index % STREAMS).parse()?;
    receive(engine, &sku, WAIT_MAX).await.map(drop)
}

/// Records per second of a bare producer that copies the last commits of `from` to `to`, so many
/// of them under way.
async fn produce(servers: &str, from: &str, to: &str, under_way: usize) -> Result<f64> {
    let (to, copy_servers) = (to.to_owned(), servers.to_owned());
    Topic::with(servers, from, move |source| {
        let ends = source.ends()?;
        let mut records = Vec::new();
        source.events(&vec![0; ends.len()], &ends, |message| records.push(message.detach()))?;
        let records = records.split_off(records.len().saturating_sub(COMMITS));
        copy(&copy_servers, &to, records, under_way)
    })
    .await
}

/// With the producer's settings of the log, as far as they bear on speed.
fn copy(servers: &str, topic: &str, records: Vec<OwnedMessage>, under_way: usize) -> Result<f64> {
    let counter = Counter::default();
    let producer: ThreadedProducer<Counter> = topic::client(servers)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("compression.type", config::Compression::default().as_str())
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "1048576")
        .create_with_context(counter.clone())?;
    let count = records.len();
    let began = Instant::now();
    for (sent, record) in records.iter().enumerate() {
        if sent % STEP == 0 {
            ensure!(counter.wait_for((sent + STEP).saturating_sub(under_way)), "records are lost");
        }
        let mut outgoing = BaseRecord::to(topic)
            .partition(record.partition())
            .key(record.key().context("an event has a key")?)
            .payload(record.payload().context("an event has a value")?);
        outgoing.headers = record.headers().cloned();
        if let Err((error, _)) = producer.send(outgoing) {
            bail!("the producer takes no more: {error}");
        }
    }
    ensure!(counter.wait_for(count), "not all of {count} records were delivered");
    per_second(count, began.elapsed())
}

/// Counts what was delivered.
#[derive(Clone, Default)]
struct Counter(Arc<(Mutex<usize>, Condvar)>);

impl Counter {
    /// Whether so many are delivered in time.
    fn wait_for(&self, count: usize) -> bool {
        let (delivered, more) = &*self.0;
        let delivered = delivered.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = more.wait_timeout_while(delivered, WAIT_MAX, |delivered| *delivered < count);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl ClientContext for Counter {}

impl ProducerContext for Counter {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        let (count, more) = &*self.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += usize::from(delivered.is_ok());
        if *count % STEP == 0 {
            more.notify_one();
        }
    }
}
