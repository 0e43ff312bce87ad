//! The topic of the event log: made if it is not there, checked if it is.

use anyhow::{Context, Result};
use infra::config;
use infra::log::kafka::{TopicSpec, ensure_topic};

use super::kafka;

/// Shards of a local stack. Few: a node sends one request per partition.
pub const SHARD_COUNT: u32 = 4;

/// # Errors
/// When the servers refuse, or a topic of this name cannot carry the log.
pub async fn prepare(bootstrap_servers: &str, topic: &str, brokers: usize) -> Result<()> {
    let settings = config::Kafka::plaintext(bootstrap_servers, topic);
    let (replication, insync_min) = kafka::replication(brokers);
    let spec = TopicSpec { replication, insync_min, ..TopicSpec::local(SHARD_COUNT) };
    ensure_topic(&settings, topic, spec).await.context("preparing the topic of the event log")
}
