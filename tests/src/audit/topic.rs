//! Reads a whole topic, partition by partition, with nothing but a plain consumer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::record::Raw;

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);
const LEADER_WAIT: Duration = Duration::from_millis(200);

/// One partition of a topic, of `count`.
pub(super) struct Partition {
    pub(super) index: usize,
    pub(super) count: usize,
    topic: String,
    consumer: Arc<BaseConsumer>,
}

pub(super) fn open(servers: &str, topic: &str) -> Result<Vec<Partition>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "auditor");
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "error");
    let consumer: Arc<BaseConsumer> = Arc::new(config.create()?);
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT_MAX)?;
    let found = metadata.topics().first().context("no metadata of the topic")?;
    ensure!(!found.partitions().is_empty(), "there is no topic {topic}");
    let count = found.partitions().len();
    let partition = |index| Partition {
        index,
        count,
        topic: topic.to_owned(),
        consumer: Arc::clone(&consumer),
    };
    Ok((0..count).map(partition).collect())
}

/// Where a partition begins and ends. After brokers were away its leader moves back to where it was; whoever asked the
/// old one asks again.
///
/// # Errors
/// No broker says so in time.
#[expect(clippy::disallowed_methods, reason = "nothing tells when a broker knows the new leader")]
pub(crate) fn watermarks(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64)> {
    let until = Instant::now() + ANSWER_WAIT_MAX;
    loop {
        match consumer.fetch_watermarks(topic, partition, ANSWER_WAIT_MAX) {
            Err(KafkaError::MetadataFetch(code)) if moves(code) && Instant::now() < until => {
                // This is what tells the client of the new one.
                consumer.fetch_metadata(Some(topic), ANSWER_WAIT_MAX)?;
                thread::sleep(LEADER_WAIT);
            }
            found => return Ok(found?),
        }
    }
}

fn moves(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, UnknownLeaderEpoch,
    };
    [FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, UnknownLeaderEpoch]
        .contains(&code)
}

impl Partition {
    /// Gives each record with its offset, up to the end as it is now.
    pub(super) fn read(&self, mut each: impl FnMut(i64, Raw)) -> Result<()> {
        let (topic, partition) = (self.topic.as_str(), i32::try_from(self.index)?);
        let (begin, end) = watermarks(&self.consumer, topic, partition)?;
        ensure!(begin == 0, "partition {partition} begins at {begin}: records were deleted");
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        self.consumer.assign(&assignment)?;
        let mut next = begin;
        while next < end {
            let message =
                self.consumer.poll(ANSWER_WAIT_MAX).context("no record came in time")??;
            ensure!(message.offset() == next, "offset {} instead of {next}", message.offset());
            next += 1;
            each(message.offset(), raw(&message));
        }
        Ok(())
    }
}

fn raw(message: &BorrowedMessage<'_>) -> Raw {
    let headers: BTreeMap<String, String> = message
        .headers()
        .map(|headers| headers.iter())
        .into_iter()
        .flatten()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
            (header.key.to_owned(), value)
        })
        .collect();
    Raw {
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().to_vec(),
        headers,
    }
}
