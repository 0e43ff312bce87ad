//! What one record takes when it is the only one under way.

use std::time::Duration;

use anyhow::{Context, Result};
use infra::{config, task};
use rdkafka::{
    Message,
    producer::{FutureProducer, FutureRecord},
};
use tokio::time::Instant;

use super::topic::{self, Topic};
use crate::stack::topic::prepare;

const RECORDS: usize = 500;
/// The first ones wait for connections and the producer's id.
const FIRST: usize = 20;

/// Milliseconds of each of some records, sent one after the other, with the bytes of an event of
/// the topic.
pub(super) async fn produce(kafka: &config::Kafka) -> Result<Vec<f64>> {
    let (servers, copy) = (&kafka.bootstrap_servers, format!("{}.lone", kafka.topic));
    prepare(servers, &copy, servers.split(',').count()).await?;
    let taken = send(kafka, &copy).await;
    topic::delete(servers, &[&copy]).await?;
    taken
}

async fn send(kafka: &config::Kafka, to: &str) -> Result<Vec<f64>> {
    let event = {
        let (servers, from) = (kafka.bootstrap_servers.clone(), kafka.topic.clone());
        task::spawn_blocking("read an event", move || Topic::new(&servers, &from)?.event())
            .await??
    };
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
