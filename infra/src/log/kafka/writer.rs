//! One idempotent producer and the one thread that polls it.
//!
//! **Invariant:** reports leave in the order in which the producer gives them, because a single
//! thread takes them. Two would hand them on out of order.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{client, refusal::Asked};
use crate::{
    config,
    log::{
        AppendError, BoxError, DeliveryError, LogWriter, Report, Ticket, record::OutgoingRecord,
        wire,
    },
};

/// Reports that wait to be taken. Beyond it the polling thread waits, and then the queue fills.
const REPORTS_MAX: usize = 16_384;
/// How soon the thread notices that the writer is gone. Whole milliseconds are waited for, and the rest
/// of the last one is spent looking at the clock: seldom is better.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// How long an opening waits for each answer of the brokers; they may also come later.
const WARM_UP_MAX: Duration = Duration::from_secs(1);
/// Records that wait for their reports; beyond them an append is refused.
const QUEUED_MAX: u64 = 100_000;
/// Of records that are written before any of them is sent.
const WRITTEN_BYTES_MAX: usize = 256 << 10;
type Producer = BaseProducer<Reporter>;

pub(super) struct KafkaWriter {
    producer: Arc<Producer>,
    topic: Arc<str>,
    partition: i32,
    closed: Arc<AtomicBool>,
    /// Each record is written here and copied by librdkafka, so that it is allocated once.
    value: Vec<u8>,
}

pub(super) fn open(
    base: &ClientConfig,
    compression: config::Compression,
    topic: Arc<str>,
    partition: i32,
) -> Result<(KafkaWriter, mpsc::Receiver<Report>), BoxError> {
    let (reports, received) = mpsc::channel(REPORTS_MAX);
    let closed = Arc::new(AtomicBool::new(false));
    let reporter = Reporter { topic: Arc::clone(&topic), reports, closed: Arc::clone(&closed) };
    let producer: Arc<Producer> =
        Arc::new(config(base, compression).create_with_context(reporter)?);
    let polled = Arc::clone(&producer);
    thread::Builder::new()
        .name(format!("log-writer-{partition}"))
        .spawn(move || poll_until_alone(&polled))?;
    warm_up(&producer, &topic);
    Ok((KafkaWriter { producer, topic, partition, closed, value: Vec::new() }, received))
}

fn config(base: &ClientConfig, compression: config::Compression) -> ClientConfig {
    let mut config = base.clone();
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        // Records go as soon as the last request is answered; those that come meanwhile share the
        // next one. With more requests under way the first few records of a group make one of their
        // own, and so on: several small ones, each of which costs the broker as much as a large one.
        .set("max.in.flight.requests.per.connection", "1")
        .set("linger.ms", "0")
        .set("compression.type", compression.as_str())
        // A report of failure costs a take-over, so brokers get time to elect a leader.
        .set("message.timeout.ms", "60000")
        .set("batch.size", "1000000")
        // Beyond these an append is refused.
        .set("queue.buffering.max.messages", QUEUED_MAX.to_string())
        .set("queue.buffering.max.kbytes", "131072");
    config
}

/// Makes the producer get its id now. librdkafka asks for it when metadata come in and a broker is
/// connected, and otherwise half a second later. The first metadata come over a connection that it
/// gives up the moment it has them, since only now it knows the brokers by their ids; the second
/// come over a lasting one.
fn warm_up(producer: &Producer, topic: &str) {
    let ask = || producer.client().fetch_metadata(Some(topic), WARM_UP_MAX);
    if let Err(error) = ask().and_then(|_| ask()) {
        // The first record waits for the brokers instead.
        tracing::debug!(%error, "a writer was opened without its brokers");
    }
}

/// Ends when the writer has let go of the producer, which is then destroyed here: that takes time
/// and drops what is still under way.
fn poll_until_alone(producer: &Arc<Producer>) {
    while Arc::strong_count(producer) > 1 {
        producer.poll(POLL_WAIT);
    }
}

impl KafkaWriter {
    /// Hands what was written to the producer, under this key.
    fn send(&self, key: &[u8], value: Range<usize>, ticket: Ticket) -> Result<(), AppendError> {
        let (name, content_type) = wire::CONTENT_TYPE;
        let header = Header { key: name, value: Some(content_type) };
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(ticket))
            .partition(self.partition)
            .headers(OwnedHeaders::new_with_capacity(1).insert(header))
            .key(key)
            .payload(&self.value[value]);
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                Err(AppendError::QueueFull)
            }
            Err((error, _)) => Err(AppendError::Fatal(error.into())),
        }
    }

    /// Writes a record behind those that are written.
    fn write<'a>(
        &mut self,
        record: &'a OutgoingRecord,
    ) -> Result<(&'a [u8], Range<usize>), AppendError> {
        let start = self.value.len();
        let key = wire::encode(record, &mut self.value)
            .map_err(|error| AppendError::Fatal(error.into()))?;
        Ok((key, start..self.value.len()))
    }
}

impl LogWriter for KafkaWriter {
    fn append(&mut self, record: &OutgoingRecord, ticket: Ticket) -> Result<(), AppendError> {
        self.value.clear();
        let (key, value) = self.write(record)?;
        self.send(key, value, ticket)
    }

    /// The producer sends when it has the first record: what has come by then shares a request, and the rest
    /// needs another. So all are written first, and then come at once.
    fn append_all(
        &mut self,
        records: &mut VecDeque<(OutgoingRecord, Ticket)>,
    ) -> Result<(), AppendError> {
        while !records.is_empty() {
            self.value.clear();
            let mut sent = 0;
            let mut written = Vec::with_capacity(records.len());
            for (record, ticket) in &*records {
                if self.value.len() >= WRITTEN_BYTES_MAX {
                    break;
                }
                let (key, value) = self.write(record)?;
                written.push((key, value, *ticket));
            }
            let result = written.into_iter().try_for_each(|(key, value, ticket)| {
                self.send(key, value, ticket)?;
                sent += 1;
                Ok(())
            });
            records.drain(..sent);
            result?;
        }
        Ok(())
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// Turns delivery callbacks into reports.
struct Reporter {
    topic: Arc<str>,
    reports: mpsc::Sender<Report>,
    closed: Arc<AtomicBool>,
}

impl ClientContext for Reporter {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(denied) = Asked::writing(&self.topic).denied(&error) {
            denied.tell();
        }
        client::log_error(&error, reason);
    }
}

impl Reporter {
    fn reason(&self, error: &KafkaError) -> String {
        let Some(denied) = Asked::writing(&self.topic).denied(error) else {
            return error.to_string();
        };
        // A report of failure ends an epoch, whatever it was for.
        denied.tell();
        denied.to_string()
    }
}

impl ProducerContext for Reporter {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let result = match delivered {
            // librdkafka knows of rare successes that it was not told the offset of.
            Ok(message) => Ok(Some(message.offset()).filter(|&offset| offset >= 0)),
            Err((error, _)) => Err(DeliveryError { reason: self.reason(error) }),
        };
        let sent = self.reports.try_send(Report { ticket: *ticket, result });
        // Nobody takes reports any more: then nobody misses this one.
        if let Err(TrySendError::Full(report)) = sent {
            self.reports.blocking_send(report).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Nonce, Place, sample};

    #[test]
    fn what_finds_no_room_is_kept_in_its_order() {
        let base = client::base(&config::Kafka::plaintext("127.0.0.1:1", "unreachable"));
        let (mut writer, _reports) =
            open(&base, config::Compression::None, "unreachable".into(), 0).unwrap();
        let record = |seq| {
            let place = Place { epoch: 0, claim: Nonce(1), seq, index: 0, count: 1 };
            let record = OutgoingRecord::Event(Box::new(sample::event(place, seq.into())));
            (record, Ticket { epoch: 0, seq, index: 0 })
        };
        let mut records: VecDeque<_> = (0..QUEUED_MAX + 3).map(record).collect();
        let appended = writer.append_all(&mut records);
        assert!(matches!(appended, Err(AppendError::QueueFull)), "{appended:?}");
        let left: Vec<u64> = records.iter().map(|(_, ticket)| ticket.seq).collect();
        assert_eq!(left, [QUEUED_MAX, QUEUED_MAX + 1, QUEUED_MAX + 2]);
    }
}
