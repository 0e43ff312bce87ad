//! Histories of a shard on a real Kafka: what its writers leave behind, and what no writer would.

use std::borrow::Cow;

use domain::id::{CausationId, CommandId, CorrelationId, EventId};
use domain::shard::ShardId;
use infra::config;
use infra::log::kafka::KafkaLog;
use infra::log::memory::RawRecord;
use infra::log::{
    Body, EventLog, LogRecord, LogWriter, Nonce, Offset, OutcomeRecord, OutgoingRecord, Place,
    Reader, Report, RequestHash, Ticket, sample,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use crate::PATIENCE;

/// Records of [`Scribe::any_days`].
const ANY_RECORDS: usize = 300;

/// Writes to one shard, where nobody else does, one record after the other.
pub(super) struct Scribe {
    pub(super) kafka: config::Kafka,
    pub(super) log: KafkaLog,
    /// What stands at each offset: none where it is no record of ours.
    pub(super) written: Vec<Option<OutgoingRecord>>,
    shard: ShardId,
    writer: Box<dyn LogWriter>,
    reports: mpsc::Receiver<Report>,
    stranger: FutureProducer,
}

/// A writer that has claimed the shard.
#[derive(Clone, Copy)]
struct Epoch {
    offset: Offset,
    claim: Nonce,
}

impl Epoch {
    fn at(self, seq: u64, index: u32, count: u32) -> Place {
        Place { epoch: self.offset, claim: self.claim, seq, index, count }
    }
}

impl Scribe {
    pub(super) async fn open(kafka: config::Kafka, shard: ShardId) -> Self {
        let log = KafkaLog::connect(&kafka, &kafka.topic).await.expect("a connection");
        let (writer, reports) = log.open_writer(shard).await.expect("a writer");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &kafka.bootstrap_servers);
        let stranger = config.create().expect("a producer");
        Self { kafka, log, written: Vec::new(), shard, writer, reports, stranger }
    }

    /// Two writers, of which the first is deposed in the middle of a commit and goes on for a while, and
    /// strangers who write in between.
    pub(super) async fn bad_day(mut self) -> Self {
        for record in foreign() {
            self.stranger(record).await;
        }
        let nobody = Epoch { offset: 0, claim: Nonce(0) };
        self.event(nobody.at(1, 0, 1), 1).await; // stale: nobody has claimed the shard
        let first = self.claim(Nonce(0xa)).await;
        self.event(first.at(1, 0, 1), 1).await; // commit 1
        self.event(first.at(2, 0, 3), 2).await;
        self.stranger(RawRecord::default()).await;
        self.event(first.at(2, 1, 3), 2).await;
        self.event(first.at(2, 2, 3), 2).await; // commit 2
        self.event(first.at(2, 2, 3), 2).await; // duplicate
        self.event(first.at(4, 0, 1), 4).await; // gap: there is no commit 3 yet
        self.barrier(first.at(3, 0, 1), 2).await; // commit 3
        self.event(first.at(4, 0, 2), 5).await;
        let second = self.claim(Nonce(0xb)).await;
        self.event(first.at(4, 1, 2), 5).await; // stale: its writer has been deposed
        self.barrier(first.at(4, 0, 1), 0).await; // stale
        self.event(Epoch { claim: Nonce(0xa), ..second }.at(4, 0, 1), 5).await; // stale: another's claim
        self.event(second.at(4, 1, 2), 6).await; // out of place: the commit has not begun
        self.event(second.at(4, 0, 2), 6).await;
        self.barrier(second.at(4, 0, 1), 0).await; // out of place: an event is due
        self.event(second.at(4, 1, 2), 7).await; // out of place: of another command
        self.event(second.at(4, 1, 3), 6).await; // out of place: of a larger commit
        self.event(second.at(4, 0, 2), 6).await; // out of place: doubled
        self.event(second.at(4, 1, 2), 6).await; // commit 4
        self.event(second.at(5, 0, 1), 8).await; // commit 5
        let barrier = OutgoingRecord::Barrier(sample::barrier(second.at(6, 0, 1)));
        let of_two = with(&raw(&barrier), "count", 2.into());
        self.stranger(of_two).await; // out of place: a barrier is alone
        self.barrier(second.at(6, 0, 1), 0).await; // commit 6
        let copy = self.claim(second.claim).await;
        self.event(second.at(7, 0, 1), 9).await; // stale: a copy of the claim is another epoch
        self.event(copy.at(7, 0, 1), 9).await; // commit 7
        self.event(copy.at(8, 0, 2), 10).await; // never whole
        self
    }

    /// One record, of a release that has another envelope.
    pub(super) async fn day_of_another_version(mut self, version: u64) -> Self {
        let ours = raw(&event(Epoch { offset: 0, claim: Nonce(0xa) }.at(1, 0, 1), 1));
        self.stranger(with(&ours, "logversion", version.into())).await;
        self
    }

    /// Any mix of claims, commits, barriers and strangers, in which records are lost, doubled, out of place
    /// or of a deposed writer.
    pub(super) async fn any_days(mut self, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut reader = Reader::start();
        let mut epochs = vec![self.claim(Nonce(seed)).await];
        while self.written.len() < ANY_RECORDS {
            self.read(&mut reader);
            let back = if rng.random_bool(0.8) { 0 } else { rng.random_range(0..epochs.len()) };
            let epoch = epochs[epochs.len() - 1 - back];
            let ahead = if rng.random_bool(0.8) { 1 } else { rng.random_range(0..3) };
            let seq = (reader.last_seq() + ahead).max(1);
            match rng.random_range(0..10) {
                0 => epochs.push(self.claim(Nonce(rng.random())).await),
                1 => self.stranger(foreign().remove(rng.random_range(0..foreign().len()))).await,
                2 => self.barrier(epoch.at(seq, 0, 1), rng.random_range(0..3)).await,
                _ => self.any_commit(epoch, seq, &mut rng).await,
            }
        }
        self
    }

    async fn any_commit(&mut self, epoch: Epoch, seq: u64, rng: &mut StdRng) {
        let (count, command) = (rng.random_range(1..5), rng.random());
        for index in 0..count {
            let index = if rng.random_bool(0.95) { index } else { rng.random_range(0..count) };
            let times = if rng.random_bool(0.9) { 1 } else { rng.random_range(0..3) };
            for _ in 0..times {
                self.event(epoch.at(seq, index, count), command).await;
            }
        }
    }

    /// Brings a machine up to what is written.
    fn read(&self, reader: &mut Reader) {
        let foreign = Body::Foreign(infra::log::ForeignReason::KeyMismatch);
        let next = usize::try_from(reader.next_offset()).expect("an offset");
        for (offset, record) in (reader.next_offset()..).zip(&self.written[next..]) {
            let record = match record {
                Some(record) => record.clone().at(offset),
                None => LogRecord { offset, body: foreign.clone() },
            };
            reader.step(record).expect("no hole");
        }
    }

    async fn claim(&mut self, claim: Nonce) -> Epoch {
        let offset = self.append(OutgoingRecord::Claim(sample::claim(claim))).await;
        Epoch { offset, claim }
    }

    async fn event(&mut self, place: Place, command: u64) {
        self.append(event(place, command)).await;
    }

    async fn barrier(&mut self, place: Place, outcomes: u128) {
        let outcome = |command| OutcomeRecord {
            command_id: CommandId::new(Uuid::from_u128(command)),
            request_hash: RequestHash([7; 16]),
            status: 409,
            body: json!({"code": "stock.insufficient", "detail": "„3“ left"}),
        };
        let mut barrier = sample::barrier(place);
        barrier.outcomes = (0..outcomes).map(outcome).collect();
        self.append(OutgoingRecord::Barrier(barrier)).await;
    }

    async fn append(&mut self, record: OutgoingRecord) -> Offset {
        self.writer.append(&record, Ticket::CLAIM).expect("the queue has room");
        let report = timeout(PATIENCE, self.reports.recv()).await.expect("a report in time");
        let offset = report.expect("an open channel").result.expect("delivered");
        self.written.push(Some(record));
        assert_eq!(offset, Some(self.end() - 1), "somebody else writes here");
        self.end() - 1
    }

    async fn stranger(&mut self, raw: RawRecord) {
        let headers = raw.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(&**value) })
        });
        let partition = i32::try_from(self.shard.index()).expect("a partition");
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.kafka.topic);
        record = record.partition(partition).headers(headers);
        (record.key, record.payload) = (raw.key.as_deref(), raw.value.as_deref());
        let delivered = timeout(PATIENCE, self.stranger.send(record, PATIENCE)).await;
        let delivery = delivered.expect("a report in time").expect("delivered");
        self.written.push(None);
        assert_eq!(delivery.offset, self.end() - 1, "somebody else writes here");
    }

    fn end(&self) -> Offset {
        Offset::try_from(self.written.len()).expect("an offset")
    }
}

/// An event with every attribute that there is.
pub(super) fn with_all_attributes() -> OutgoingRecord {
    let OutgoingRecord::Event(mut event) =
        event(Epoch { offset: 1, claim: Nonce(1) }.at(1, 1, 2), 2)
    else {
        unreachable!("an event")
    };
    event.request_hash = Some(RequestHash([7; 16]));
    OutgoingRecord::Event(event)
}

/// The events of odd commands began with their command; those of even ones have all that may be absent.
fn event(place: Place, command: u64) -> OutgoingRecord {
    let mut event = sample::event(place, command.into());
    event.id = EventId::new(event.provenance.command_id.derive(&place.index.to_string()));
    event.value = json!({"quantity": place.index, "note": "„茶“ \u{1f375}\n"}).to_string().into();
    event.request_hash = (place.index == 0).then(|| RequestHash::of(&[&command.to_be_bytes()]));
    if command.is_multiple_of(2) {
        let provenance = &mut event.provenance;
        provenance.correlation_id = CorrelationId::new(Uuid::from_u128(1 << 100));
        provenance.causation_id = CausationId::new(Uuid::from_u128(2 << 100));
        provenance.actor = "key:ä ö ü".into();
        provenance.traceparent =
            Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    }
    OutgoingRecord::Event(Box::new(event))
}

fn raw(record: &OutgoingRecord) -> RawRecord {
    RawRecord::of(record).expect("a record")
}

/// A record with another value of an attribute.
fn with(raw: &RawRecord, name: &str, value: Value) -> RawRecord {
    let text = raw.value.as_deref().expect("a value");
    let mut envelope: Value = serde_json::from_slice(text).expect("an envelope");
    envelope[name] = value;
    RawRecord { value: Some(envelope.to_string().into()), ..raw.clone() }
}

/// A record with an attribute that comes twice.
fn twice(raw: &RawRecord, name: &str) -> RawRecord {
    let text = raw.value.as_deref().expect("a value");
    let envelope: Value = serde_json::from_slice(text).expect("an envelope");
    let first = format!("{{{name:?}:{},", envelope[name]);
    let text = String::from_utf8_lossy(text).replacen('{', &first, 1);
    RawRecord { value: Some(text.into()), ..raw.clone() }
}

/// Records of strangers, and such as would be ours but for one thing.
fn foreign() -> Vec<RawRecord> {
    let place = Epoch { offset: 1, claim: Nonce(0xa) }.at(1, 0, 1);
    let ours = raw(&event(place, 1));
    let barrier = raw(&OutgoingRecord::Barrier(sample::barrier(place)));
    let content_type =
        |text: &'static str| vec![(Cow::Borrowed("content-type"), text.as_bytes().into())];
    vec![
        RawRecord { headers: content_type("application/json"), ..ours.clone() },
        RawRecord { headers: vec![], ..ours.clone() },
        RawRecord { value: Some("no JSON {".into()), ..ours.clone() },
        RawRecord { value: Some("[1, 2]".into()), ..ours.clone() },
        RawRecord { value: None, ..ours.clone() },
        RawRecord { key: None, ..ours.clone() },
        RawRecord { key: Some("order/another".into()), ..ours.clone() },
        twice(&ours, "seq"),
        RawRecord {
            value: Some(format!("{{\"a\":{}", "[".repeat(100_000)).into()),
            ..ours.clone()
        },
        with(&ours, "logversion", "2".into()),
        with(&ours, "logversion", Value::Null),
        with(&ours, "logversion", json!(2.0)),
        with(&ours, "data", Value::Null),
        with(&ours, "correlationid", "1".into()),
        with(&ours, "requesthash", "abab".into()),
        with(&ours, "traceparent", 1.into()),
        with(&ours, "time", "yesterday".into()),
        with(&barrier, "revision", "1".into()),
        with(&ours, "specversion", "0.3".into()),
        with(&ours, "source", "/elsewhere".into()),
        with(&ours, "kind", "rumour".into()),
        with(&ours, "kind", json!(["event"])),
        with(&ours, "claim", "A".into()),
        with(&ours, "seq", 0.into()),
        with(&ours, "seq", "1".into()),
        with(&ours, "seq", true.into()),
        with(&ours, "epoch", 1.5.into()),
        with(&ours, "index", 1.into()),
        with(&ours, "commandid", "5".into()),
        with(&ours, "revision", Value::Null),
        with(&barrier, "data", json!({})),
        with(&barrier, "type", "tradewind.log.barrier.v2".into()),
    ]
}
