//! The topic of the event log: made if it is not there, checked if it is.

use std::thread;

use anyhow::{Context, Result};
use infra::config;
use infra::log::EventLog;
use infra::log::kafka::{ConnectError, KafkaLog, TopicSpec, ensure_topic};

use crate::kafka::COPIES;

/// Shards of the topics that tests and campaigns make: enough for each to have neighbours.
pub const SHARDS_OF_TESTS: u32 = 4;

/// Where the command-api nodes tell each other that they are alive, as their settings have it.
const NODES_TOPIC: &str = "tradewind.nodes";

/// How many shards a new topic gets: few, for each costs requests of its own, whatever they carry. One
/// per two cores of this machine, which the brokers share with the nodes, and one per node at least.
#[must_use]
pub fn shards_for(nodes: usize) -> u32 {
    let cores = thread::available_parallelism().map_or(1, Into::into);
    u32::try_from((cores / 2).max(nodes).max(1)).unwrap_or(u32::MAX)
}

/// How many shards the topic has, if there is one.
///
/// # Errors
/// When the servers do not answer.
pub async fn shards_of(bootstrap_servers: &str, topic: &str) -> Result<Option<u32>> {
    let settings = config::Kafka::plaintext(bootstrap_servers, topic);
    match KafkaLog::connect(&settings, topic).await {
        Ok(log) => Ok(Some(log.shard_count())),
        Err(ConnectError::NoTopic(_)) => Ok(None),
        Err(error) => Err(error).context("asking for the topic of the event log"),
    }
}

/// # Errors
/// When the servers refuse, or a topic of this name cannot carry the log.
pub async fn prepare(
    bootstrap_servers: &str,
    topic: &str,
    brokers: usize,
    shards: u32,
) -> Result<()> {
    let settings = config::Kafka::plaintext(bootstrap_servers, topic);
    ensure_topic(&settings, topic, spec(brokers, shards))
        .await
        .context("preparing the topic of the event log")
}

/// # Errors
/// When the servers refuse, or the topic that is there is not one for nodes.
pub async fn prepare_for_nodes(bootstrap_servers: &str, brokers: usize) -> Result<()> {
    let settings = config::Kafka::plaintext(bootstrap_servers, NODES_TOPIC);
    ensure_topic(&settings, NODES_TOPIC, spec(brokers, 1).of_nodes())
        .await
        .context("preparing the topic of the nodes")
}

fn spec(brokers: usize, shards: u32) -> TopicSpec {
    if brokers < COPIES { TopicSpec::local(shards) } else { TopicSpec::replicated(shards) }
}
