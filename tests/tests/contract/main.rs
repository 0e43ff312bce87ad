//! What every event log promises, shown on a real Kafka.
#![expect(clippy::expect_used, reason = "what goes wrong here fails the test")]

use infra::config;
use infra::log::contract;
use infra::log::kafka::{KafkaLog, TopicSpec, ensure_topic};
use tests::harness::servers;
use uuid::Uuid;

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
