//! One consumer that reads one partition from an explicit offset.

use std::{
    panic::{self, AssertUnwindSafe},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use rdkafka::{
    ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Headers},
};
use tokio::time::{Instant, timeout_at};

use super::Quiet;
use crate::log::{
    LogReader, Offset, ReadError,
    record::{Body, ForeignReason, LogRecord},
    wire::{Decoder, Raw, UnsupportedVersion},
};

pub(super) struct KafkaReader {
    /// Present until the reader is dropped.
    consumer: Option<StreamConsumer<Quiet>>,
    cursor: Cursor,
}

/// What a reader knows besides its connection.
struct Cursor {
    decoder: Decoder,
    shard: i32,
    /// Where reading goes on.
    next: Offset,
    /// Set while the brokers are away, so that only changes are logged.
    away: bool,
    /// Final. It may have been met behind records that had to be returned first.
    failed: Option<Failure>,
}

#[derive(Clone)]
enum Failure {
    OutOfRange { offset: Offset },
    UnsupportedVersion { offset: Offset, version: String },
    Kafka(KafkaError),
}

pub(super) fn open(
    base: &ClientConfig,
    topic: &str,
    partition: i32,
    from: Offset,
) -> KafkaResult<KafkaReader> {
    let consumer: StreamConsumer<Quiet> = config(base).create_with_context(Quiet)?;
    let mut assignment = TopicPartitionList::with_capacity(1);
    assignment.add_partition_offset(topic, partition, KafkaOffset::Offset(from))?;
    consumer.assign(&assignment)?;
    let decoder = Decoder::default();
    let cursor = Cursor { decoder, shard: partition, next: from, away: false, failed: None };
    Ok(KafkaReader { consumer: Some(consumer), cursor })
}

fn config(base: &ClientConfig) -> ClientConfig {
    let mut config = base.clone();
    config
        // librdkafka wants a name for it, but nobody joins this group or commits to it.
        .set("group.id", "tradewind.readers")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "false")
        .set("check.crcs", "true")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "500")
        // After a full queue a fetch waits this long, a second by default.
        .set("fetch.queue.backoff.ms", "2")
        // What is fetched ahead; beyond it fetching waits.
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", "4194304");
    config
}

#[async_trait]
impl LogReader for KafkaReader {
    async fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<LogRecord>, ReadError> {
        let Self { consumer: Some(consumer), cursor } = self else { return Ok(Vec::new()) };
        let deadline = Instant::now() + wait;
        let mut messages = consumer.stream();
        let mut records = Vec::new();
        while records.len() < max && cursor.failed.is_none() {
            // Only an empty-handed reader waits: so a dropped future takes no record with it.
            let message = if records.is_empty() {
                timeout_at(deadline, messages.next()).await.ok().flatten()
            } else {
                messages.next().now_or_never().flatten()
            };
            match message {
                None => break,
                Some(Ok(message)) => records.extend(cursor.take(&message)),
                Some(Err(error)) => cursor.note(error),
            }
        }
        match &cursor.failed {
            Some(failure) if records.is_empty() => Err(failure.clone().into()),
            _ => Ok(records),
        }
    }
}

impl Drop for KafkaReader {
    /// Destroying a consumer waits for its threads, so it is not done on this one.
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        let dropper = thread::Builder::new().name("log-reader-end".to_owned());
        if let Err(error) = dropper.spawn(move || drop(consumer)) {
            tracing::warn!(%error, "no thread to end a reader of the log on, so it blocked");
        }
    }
}

impl Cursor {
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<LogRecord> {
        if self.away {
            self.away = false;
            tracing::info!(shard.id = self.shard, "reading the log again");
        }
        let offset = message.offset();
        match self.decode(message) {
            Ok(body) => {
                self.next = offset + 1;
                Some(LogRecord { offset, body })
            }
            Err(UnsupportedVersion(version)) => {
                self.failed = Some(Failure::UnsupportedVersion { offset, version });
                None
            }
        }
    }

    fn decode(&mut self, message: &BorrowedMessage<'_>) -> Result<Body, UnsupportedVersion> {
        let all = |index| message.headers()?.try_get(index);
        let headers = (0..).map_while(all).map(|header| (header.key, header.value));
        let raw = || Raw::new(message.key(), message.payload(), headers);
        // rdkafka panics at a header whose name is not UTF-8, which anyone can append.
        match panic::catch_unwind(AssertUnwindSafe(raw)) {
            Ok(raw) => self.decoder.decode(&raw),
            Err(_) => Ok(Body::Foreign(ForeignReason::HeaderInvalid)),
        }
    }

    /// Sorts an error of the consumer: most mean that brokers are away for a while.
    fn note(&mut self, error: KafkaError) {
        match error.rdkafka_error_code() {
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
                self.failed = Some(Failure::OutOfRange { offset: self.next });
            }
            Some(
                Code::Fatal
                | Code::GroupAuthorizationFailed
                | Code::InvalidTopic
                | Code::TopicAuthorizationFailed
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition,
            ) => self.failed = Some(Failure::Kafka(error)),
            _ if self.away => {}
            _ => {
                self.away = true;
                tracing::warn!(shard.id = self.shard, %error, "waiting for the log's brokers");
            }
        }
    }
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutOfRange { offset } => Self::OutOfRange { offset },
            Failure::UnsupportedVersion { offset, version } => {
                Self::UnsupportedVersion { offset, version }
            }
            Failure::Kafka(error) => Self::Failed(error.into()),
        }
    }
}
