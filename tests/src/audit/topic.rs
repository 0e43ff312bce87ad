//! Reads a whole topic, partition by partition, with nothing but a plain consumer.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::record::Raw;

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);

/// The records of each partition with their offsets.
pub(super) fn read(servers: &str, topic: &str) -> Result<Vec<Vec<(i64, Raw)>>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "auditor");
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WAIT_MAX)?;
    let found = metadata.topics().first().context("no metadata of the topic")?;
    ensure!(!found.partitions().is_empty(), "there is no topic {topic}");
    let mut ids: Vec<i32> = found.partitions().iter().map(|partition| partition.id()).collect();
    ids.sort_unstable();
    ids.into_iter().map(|partition| read_partition(&consumer, topic, partition)).collect()
}

fn read_partition(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<Vec<(i64, Raw)>> {
    let (begin, end) = consumer.fetch_watermarks(topic, partition, ANSWER_WAIT_MAX)?;
    ensure!(begin == 0, "partition {partition} begins at {begin}: records were deleted");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    let mut records = Vec::new();
    let mut next = begin;
    while next < end {
        let message = consumer.poll(ANSWER_WAIT_MAX).context("no record came in time")??;
        ensure!(message.offset() == next, "offset {} instead of {next}", message.offset());
        next += 1;
        records.push((message.offset(), raw(&message)));
    }
    Ok(records)
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
