//! What commands over HTTP are held against: a server that sends bodies back and does nothing else,
//! and a record that is the only one under way.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{Router, body::Bytes};
use infra::config;
use rdkafka::{
    Message,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{runtime, sync::oneshot, time::Instant};

use super::topic::{self, Topic};
use stack::topic::{prepare, shards_for};

const RECORDS: usize = 500;
/// The first ones wait for connections and the producer's id.
const FIRST: usize = 20;

/// The server. Runs until it is dropped.
pub(super) struct Echo {
    address: SocketAddr,
    _running: oneshot::Sender<()>,
}

impl Echo {
    /// On threads of its own.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let (running, stopped) = oneshot::channel::<()>();
        thread::Builder::new().name("echo".to_owned()).spawn(move || {
            runtime.block_on(async {
                let app = Router::new().fallback(|body: Bytes| async move { body });
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::select! {
                    served = axum::serve(listener, app) => served,
                    _ = stopped => Ok(()),
                }
            })
        })?;
        Ok(Self { address, _running: running })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Milliseconds of each of some records, sent one after the other, with the bytes of an event of
/// the topic.
pub(super) async fn lone_records(kafka: &config::Kafka) -> Result<Vec<f64>> {
    let (servers, copy) = (&kafka.bootstrap_servers, format!("{}.lone", kafka.topic));
    prepare(servers, &copy, servers.split(',').count(), shards_for(1)).await?;
    let taken = send(kafka, &copy).await;
    topic::delete(servers, &[&copy]).await?;
    taken
}

async fn send(kafka: &config::Kafka, to: &str) -> Result<Vec<f64>> {
    let event = Topic::with(&kafka.bootstrap_servers, &kafka.topic, Topic::event).await?;
    let producer: FutureProducer = topic::client(&kafka.bootstrap_servers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create()?;
    let mut taken = Vec::with_capacity(RECORDS);
    for _ in 0..FIRST + RECORDS {
        let mut record = FutureRecord::to(to).partition(0);
        record.key = event.key();
        record.payload = event.payload();
        record.headers = event.headers().cloned();
        let began = Instant::now();
        let sent = producer.send(record, Duration::from_secs(10)).await;
        sent.map_err(|(error, _)| error).context("a record of its own")?;
        taken.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(taken.split_off(FIRST))
}
