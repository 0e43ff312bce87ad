//! What every event log promises, shown on a real Kafka.
#![expect(clippy::expect_used, reason = "what goes wrong here fails the test")]

mod circles;
mod examples;
mod migrations;
mod pages;
mod readers;

use std::time::Duration;

use domain::shard::ShardId;
use infra::config;
use infra::log::kafka::{KafkaLog, TopicSpec, ensure_topic};
use infra::log::{EventLog, Nonce, OutgoingRecord, Ticket, contract, sample};
use tests::harness::servers;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Long enough for a busy machine; nothing here waits it out.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic of one's own.
async fn kafka() -> config::Kafka {
    let servers = servers::shared().await.expect("the servers start");
    let topic = format!("contract.{}", Uuid::new_v4().simple());
    servers.create_topic(&topic).await.expect("a topic");
    config::Kafka::plaintext(servers.bootstrap_servers(), topic)
}

#[tokio::test]
async fn kafka_keeps_the_contract_of_a_log() {
    let kafka = kafka().await;
    let log = KafkaLog::connect(&kafka, &kafka.topic).await.expect("a connection");
    contract::all(&log).await;
}

#[tokio::test]
async fn a_topic_that_is_there_is_checked() {
    let kafka = kafka().await;
    let same = ensure_topic(&kafka, &kafka.topic, TopicSpec::local(4)).await;
    same.expect("the topic is as it should be");
    let other = ensure_topic(&kafka, &kafka.topic, TopicSpec::local(3)).await;
    let error = other.expect_err("the topic has four partitions").to_string();
    assert!(error.contains("partitions is 4, but it must be 3"), "{error}");
}

/// Half a second is librdkafka's own wait before it asks for a producer's id once more.
#[tokio::test]
async fn a_fresh_writer_does_not_wait_for_its_producer_id() {
    let kafka = kafka().await;
    let log = KafkaLog::connect(&kafka, &kafka.topic).await.expect("a connection");
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let (mut writer, mut reports) = log.open_writer(ShardId::new(0)).await.expect("a writer");
        let claim = OutgoingRecord::Claim(sample::claim(Nonce::random()));
        writer.append(&claim, Ticket::CLAIM).expect("the queue has room");
        let report = timeout(PATIENCE, reports.recv()).await.expect("a report in time");
        report.expect("an open channel").result.expect("delivered");
        quickest = quickest.min(began.elapsed());
    }
    assert!(quickest < Duration::from_millis(400), "the quickest first record took {quickest:?}");
}
