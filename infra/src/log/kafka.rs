//! The log on Apache Kafka.
//!
//! A shard is a partition. Writers are idempotent producers of their own, readers are assigned to
//! an explicit offset; nobody joins a consumer group, and no transactions are used.
//!
//! **Invariant:** no thread of the async runtime waits for librdkafka. What blocks there, creating
//! and destroying clients included, runs on threads of its own.

mod asker;
mod client;
mod reader;
mod refusal;
mod tail;
mod topic;
mod writer;

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use domain::{shard::ShardId, timestamp::Timestamp};
use rdkafka::ClientConfig;

use super::{BoxError, EventLog, LogReader, Offset, OpenError, Opened, Prefetch, ReadError};
use crate::config;
use asker::Asker;
pub(crate) use client::{Quiet, ask, base};
pub(crate) use refusal::Asked;
pub use refusal::{ConnectError, Denied};
use tail::Tails;
pub use topic::{TopicError, TopicSpec, ensure_topic};

/// The shards of one topic. Clones share the connection that answers questions, and the one that follows
/// the shards' ends.
#[derive(Clone)]
pub struct KafkaLog {
    base: ClientConfig,
    topic: Arc<str>,
    compression: config::Compression,
    shard_count: u32,
    asker: Arc<Asker>,
    tails: Arc<Tails>,
}

impl KafkaLog {
    /// Learns from the brokers how many shards the topic has.
    ///
    /// # Errors
    /// There is no such topic, or none for us, or no broker answers within five seconds.
    pub async fn connect(config: &config::Kafka, topic: &str) -> Result<Self, ConnectError> {
        let base = base(config);
        let topic: Arc<str> = topic.into();
        let asked = {
            let (base, topic) = (base.clone(), Arc::clone(&topic));
            let question = move || Ok::<_, BoxError>(partitions(&base, &topic));
            ask("kafka-connect", question).await.map_err(ConnectError::Unavailable)?
        };
        let (asker, shard_count) = asked?;
        let (compression, asker) = (config.compression, Arc::new(asker));
        let tails = Arc::new(Tails::new(base.clone(), Arc::clone(&topic), shard_count));
        Ok(Self { base, topic, compression, shard_count, asker, tails })
    }

    /// The shard's partition in Kafka's own type, if there is one.
    fn partition(&self, shard: ShardId) -> Option<i32> {
        let exists = shard.index() < self.shard_count;
        i32::try_from(shard.index()).ok().filter(|_| exists)
    }
}

fn partitions(base: &ClientConfig, topic: &str) -> Result<(Asker, u32), ConnectError> {
    let asker = Asker::new(base).map_err(|error| ConnectError::Refused(error.to_string()))?;
    let count = u32::try_from(asker.partitions(topic)?).ok().filter(|&count| count > 0);
    let count = count.ok_or_else(|| ConnectError::NoTopic(topic.to_owned()))?;
    Ok((asker, count))
}

#[async_trait]
impl EventLog for KafkaLog {
    fn shard_count(&self) -> u32 {
        self.shard_count
    }

    async fn open_writer(&self, shard: ShardId) -> Result<Opened, OpenError> {
        let partition = self.partition(shard).ok_or(OpenError::NoSuchShard(shard))?;
        let (base, topic) = (self.base.clone(), Arc::clone(&self.topic));
        let compression = self.compression;
        let open = move || writer::open(&base, compression, topic, partition);
        let opened = ask("log-open-writer", open).await;
        let (writer, reports) = opened.map_err(OpenError::Failed)?;
        Ok((Box::new(writer), reports))
    }

    async fn open_reader(
        &self,
        shard: ShardId,
        from: Offset,
        prefetch: Prefetch,
    ) -> Result<Box<dyn LogReader>, ReadError> {
        let partition = self.partition(shard).ok_or(ReadError::NoSuchShard(shard))?;
        if prefetch == Prefetch::Tail {
            let reader = tail::open(&self.tails, partition, from).await;
            return Ok(Box::new(reader.map_err(ReadError::Failed)?));
        }
        let (base, topic) = (self.base.clone(), Arc::clone(&self.topic));
        let open = move || reader::open(&base, topic, partition, from, prefetch);
        let reader = ask("log-open-reader", open).await.map_err(ReadError::Failed)?;
        Ok(Box::new(reader))
    }

    async fn range(&self, shard: ShardId) -> Result<Range<Offset>, ReadError> {
        let partition = self.partition(shard).ok_or(ReadError::NoSuchShard(shard))?;
        let (asker, topic) = (Arc::clone(&self.asker), Arc::clone(&self.topic));
        let ends = ask("log-range", move || asker.ends(&topic, partition)).await;
        let (first, end) = ends.map_err(ReadError::Unavailable)?;
        Ok(first..end)
    }

    async fn offset_at(&self, shard: ShardId, at: Timestamp) -> Result<Offset, ReadError> {
        let partition = self.partition(shard).ok_or(ReadError::NoSuchShard(shard))?;
        let (asker, topic) = (Arc::clone(&self.asker), Arc::clone(&self.topic));
        let millis = at.as_micros().div_euclid(1_000);
        let look = move || asker.offset_at(&topic, partition, millis);
        ask("log-offset-at", look).await.map_err(ReadError::Unavailable)
    }
}
