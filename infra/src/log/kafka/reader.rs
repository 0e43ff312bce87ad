//! One consumer that reads one partition from an explicit offset.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
    time::Duration,
};

use async_trait::async_trait;
use domain::StreamType;
use futures_util::{FutureExt, StreamExt};
use rdkafka::{
    ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Headers},
};
use tokio::time::{Instant, timeout_at};

use super::{
    client::{AWAY_MAX, Quiet, ask},
    refusal::{Asked, Denied},
};
use crate::{
    log::{
        BoxError, LogReader, Offset, Prefetch, ReadError,
        record::{Body, ForeignReason, LogRecord},
        wire::{Decoder, Raw, UnsupportedVersion},
    },
    task::{self, Task},
};

/// How long a fresh consumer looks for the brokers.
const METADATA_WAIT_MAX: Duration = Duration::from_secs(1);

/// What readers go by. Nobody joins this group.
const GROUP: &str = "tradewind.readers";

type Opening = Task<Result<StreamConsumer<Quiet>, BoxError>>;

pub(super) struct KafkaReader {
    base: ClientConfig,
    topic: Arc<str>,
    /// Present until the reader is dropped.
    consumer: Option<StreamConsumer<Quiet>>,
    /// The one that will take its place, and where it begins.
    opening: Option<(Offset, Opening)>,
    cursor: Cursor,
}

/// What a reader knows besides its connection.
pub(super) struct Cursor {
    decoder: Decoder,
    shard: i32,
    /// Where reading goes on.
    next: Offset,
    /// Set while the brokers are away: since when, or since the last look for them.
    away: Option<Instant>,
    /// Nothing was there after the last record, when it was looked for.
    is_at_end: bool,
    /// Final. It may have been met behind records that had to be returned first.
    failed: Option<Failure>,
}

#[derive(Clone)]
enum Failure {
    OutOfRange { offset: Offset },
    UnsupportedVersion { offset: Offset, version: u64 },
    Denied(Denied),
    Kafka(KafkaError),
}

pub(super) fn open(
    base: &ClientConfig,
    topic: Arc<str>,
    partition: i32,
    from: Offset,
    prefetch: Prefetch,
) -> KafkaResult<KafkaReader> {
    let base = config(base, prefetch);
    let consumer = Some(assigned(&base, &topic, partition, from)?);
    Ok(KafkaReader { base, topic, consumer, opening: None, cursor: Cursor::new(partition, from) })
}

fn assigned(
    base: &ClientConfig,
    topic: &str,
    partition: i32,
    from: Offset,
) -> KafkaResult<StreamConsumer<Quiet>> {
    let consumer: StreamConsumer<Quiet> = base.create_with_context(Quiet)?;
    let mut assignment = TopicPartitionList::with_capacity(1);
    assignment.add_partition_offset(topic, partition, KafkaOffset::Offset(from))?;
    consumer.assign(&assignment)?;
    Ok(consumer)
}

pub(super) fn config(base: &ClientConfig, prefetch: Prefetch) -> ClientConfig {
    let mut config = base.clone();
    config
        // librdkafka wants a name for it, but nobody joins this group or commits to it.
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", (prefetch == Prefetch::Tail).to_string())
        .set("check.crcs", "true")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "500")
        // After a full queue a fetch waits this long, a second by default.
        .set("fetch.queue.backoff.ms", "2")
        // What is fetched ahead; beyond it fetching waits.
        .set(
            "queued.min.messages",
            match prefetch {
                Prefetch::Ahead | Prefetch::Tail => "10000",
                Prefetch::Level => "1",
            },
        )
        .set("queued.max.messages.kbytes", "16384")
        // As they are packed, a fourth or less of what they take here. A batch that is larger comes whole.
        .set("fetch.message.max.bytes", "1048576");
    config
}

#[async_trait]
impl LogReader for KafkaReader {
    async fn read(&mut self, max: usize, wait: Duration) -> Result<Vec<LogRecord>, ReadError> {
        let deadline = Instant::now() + wait;
        if self.cursor.away.is_some_and(|since| since.elapsed() >= AWAY_MAX) {
            // What is opened in vain is opened on by the next read.
            timeout_at(deadline, self.reopen()).await.ok();
        }
        let Self { consumer: Some(consumer), cursor, topic, .. } = self else {
            return Ok(Vec::new());
        };
        let mut messages = consumer.stream();
        let mut records = Vec::new();
        cursor.is_at_end = false;
        while records.len() < max && cursor.failed.is_none() && !cursor.is_at_end {
            // Only an empty-handed reader waits: so a dropped future takes no record with it.
            let message = if records.is_empty() {
                timeout_at(deadline, messages.next()).await.ok().flatten()
            } else {
                messages.next().now_or_never().flatten()
            };
            match message {
                None => break,
                Some(Ok(message)) => records.extend(cursor.take(&message)),
                Some(Err(error)) => cursor.note(topic, error),
            }
        }
        match &cursor.failed {
            Some(failure) if records.is_empty() => Err(failure.clone().into()),
            _ => Ok(records),
        }
    }

    fn want_only(&mut self, types: &[StreamType]) {
        self.cursor.decoder.want_only(types);
    }
}

impl KafkaReader {
    /// Whether the last read ended where the log did, for a reader that is told of that.
    pub(super) fn is_at_end(&self) -> bool {
        self.cursor.is_at_end
    }

    /// Puts a consumer that has found the brokers in the place of one that has not. Dropping the
    /// future loses nothing.
    async fn reopen(&mut self) {
        let (partition, next) = (self.cursor.shard, self.cursor.next);
        // The old one may have gone on reading since.
        self.opening.take_if(|(from, _)| *from != next);
        let (_, opening) = self.opening.get_or_insert_with(|| {
            let (base, topic) = (self.base.clone(), Arc::clone(&self.topic));
            let look = move || found(&base, &topic, partition, next);
            (next, task::spawn("log-reopen-reader", ask("log-reopen-reader", look)))
        });
        let opened = opening.await;
        self.opening = None;
        self.cursor.away = Some(Instant::now());
        match opened {
            Ok(Ok(consumer)) => {
                self.consumer.replace(consumer).into_iter().for_each(end);
                self.cursor.is_back();
            }
            Ok(Err(error)) => tracing::debug!(%error, "the log's brokers are not found"),
            Err(error) => tracing::debug!(%error, "the log's brokers are not found"),
        }
    }
}

/// A consumer that has found the brokers.
fn found(
    base: &ClientConfig,
    topic: &str,
    partition: i32,
    from: Offset,
) -> Result<StreamConsumer<Quiet>, BoxError> {
    let consumer = assigned(base, topic, partition, from)?;
    let metadata = consumer.fetch_metadata(Some(topic), METADATA_WAIT_MAX)?;
    if metadata.brokers().is_empty() {
        return Err("the broker knows of no other yet".into());
    }
    Ok(consumer)
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.consumer.take().into_iter().for_each(end);
    }
}

/// Destroying a consumer waits for its threads, so it is not done on this one.
pub(super) fn end<C: Send + 'static>(consumer: C) {
    let dropper = thread::Builder::new().name("log-reader-end".to_owned());
    if let Err(error) = dropper.spawn(move || drop(consumer)) {
        tracing::warn!(%error, "no thread to end a reader of the log on, so it blocked");
    }
}

impl Cursor {
    pub(super) fn new(shard: i32, next: Offset) -> Self {
        let decoder = Decoder::default();
        Self { decoder, shard, next, away: None, is_at_end: false, failed: None }
    }

    /// The record, unless reading ends here.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<LogRecord> {
        self.is_back();
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

    /// Where reading goes on.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Since when the brokers are away.
    pub(super) fn away(&self) -> Option<Instant> {
        self.away
    }

    pub(super) fn is_back(&mut self) {
        if self.away.take().is_some() {
            tracing::info!(shard.id = self.shard, "reading the log again");
        }
    }

    fn decode(&mut self, message: &BorrowedMessage<'_>) -> Result<Body, UnsupportedVersion> {
        let all = |index| message.headers()?.try_get(index);
        let headers = (0..).map_while(all).map(|header| (header.key, header.value));
        let raw = || Raw::new(message.key(), message.payload(), headers);
        // rdkafka panics at a header whose name is not UTF-8, which anyone can append.
        match panic::catch_unwind(AssertUnwindSafe(raw)) {
            Ok(raw) => self.decoder.decode(&raw),
            Err(_) => Ok(Body::Foreign(ForeignReason::ContentType)),
        }
    }

    /// Sorts an error of the consumer: most mean that brokers are away for a while.
    pub(super) fn note(&mut self, topic: &str, error: KafkaError) {
        if matches!(error, KafkaError::PartitionEOF(_)) {
            self.is_back();
            self.is_at_end = true;
            return;
        }
        if let Some(denied) = Asked::reading(topic, GROUP).denied(&error) {
            self.failed = Some(Failure::Denied(denied));
            return;
        }
        match error.rdkafka_error_code() {
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
                self.failed = Some(Failure::OutOfRange { offset: self.next });
            }
            Some(
                Code::Fatal
                | Code::InvalidTopic
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition,
            ) => self.failed = Some(Failure::Kafka(error)),
            _ if self.away.is_some() => {}
            _ => {
                self.away = Some(Instant::now());
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
            // It may be granted yet.
            Failure::Denied(denied) => Self::Unavailable(denied.into()),
            Failure::Kafka(error) => Self::Failed(error.into()),
        }
    }
}
