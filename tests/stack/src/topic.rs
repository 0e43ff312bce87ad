//! The topic of the event log: made if it is not there, checked if it is.

use anyhow::{Context, Result};
use infra::config;
use infra::log::kafka::{TopicSpec, ensure_topic};

use crate::kafka::COPIES;

/// Shards of a local stack. Few: a node sends one request per partition.
pub const SHARD_COUNT: u32 = 4;

/// Where the command-api nodes tell each other that they are alive, as their settings have it.
const NODES_TOPIC: &str = "tradewind.nodes";

/// # Errors
/// When the servers refuse, or a topic of this name cannot carry the log.
pub async fn prepare(bootstrap_servers: &str, topic: &str, brokers: usize) -> Result<()> {
    let settings = config::Kafka::plaintext(bootstrap_servers, topic);
    ensure_topic(&settings, topic, spec(brokers))
        .await
        .context("preparing the topic of the event log")
}

/// # Errors
/// When the servers refuse, or the topic that is there is not one for nodes.
pub async fn prepare_for_nodes(bootstrap_servers: &str, brokers: usize) -> Result<()> {
    let settings = config::Kafka::plaintext(bootstrap_servers, NODES_TOPIC);
    ensure_topic(&settings, NODES_TOPIC, spec(brokers).of_nodes())
        .await
        .context("preparing the topic of the nodes")
}

fn spec(brokers: usize) -> TopicSpec {
    if brokers < COPIES {
        TopicSpec::local(SHARD_COUNT)
    } else {
        TopicSpec::replicated(SHARD_COUNT)
    }
}
