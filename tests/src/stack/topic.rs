//! The topic of the event log: made if it is not there, checked if it is.

use anyhow::{Context, Result};
use infra::config;
use infra::log::kafka::{TopicSpec, ensure_topic};

/// Shards of a local stack. Few: a node sends one request per partition.
pub const SHARD_COUNT: u32 = 4;

/// # Errors
/// When the servers refuse, or a topic of this name cannot carry the log.
pub async fn prepare(bootstrap_servers: &str, topic: &str) -> Result<()> {
    let settings = config::Kafka::plaintext(bootstrap_servers, topic);
    ensure_topic(&settings, topic, TopicSpec::local(SHARD_COUNT))
        .await
        .context("preparing the topic of the event log")
}
