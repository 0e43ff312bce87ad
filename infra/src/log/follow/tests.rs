use super::*;
use crate::log::{
    CommitBody, Nonce, OutgoingRecord, Place,
    memory::{MemoryLog, RawRecord},
    sample::{self, PLACE},
};

const SHARD: ShardId = ShardId::new(0);

fn append(log: &MemoryLog, record: &OutgoingRecord) {
    log.append_raw(SHARD, RawRecord::of(record).unwrap()).unwrap();
}

fn claim(nonce: u64) -> OutgoingRecord {
    OutgoingRecord::Claim(sample::claim(Nonce(nonce)))
}

fn event(place: Place) -> OutgoingRecord {
    OutgoingRecord::Event(Box::new(sample::event(place, place.seq.into())))
}

/// A log with claim 1 at offset 0 and the commits 1 and 2 after it.
fn log() -> MemoryLog {
    let log = MemoryLog::new(1);
    append(&log, &claim(1));
    append(&log, &event(PLACE));
    append(&log, &event(Place { seq: 2, ..PLACE }));
    log
}

#[tokio::test]
async fn follower_passes_over_what_does_not_count() {
    let log = log();
    append(&log, &event(PLACE));
    log.append_raw(SHARD, RawRecord::default());
    append(&log, &claim(2));
    append(&log, &event(Place { seq: 3, ..PLACE }));
    append(&log, &event(Place { epoch: 5, claim: Nonce(2), seq: 3, ..PLACE }));
    let mut follower = Follower::open(&log, SHARD, None).await.unwrap();
    let commits = follower.next(100).await.unwrap();
    assert_eq!(commits.iter().map(|commit| commit.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(commits.iter().map(|commit| commit.epoch).collect::<Vec<_>>(), [0, 0, 5]);
    assert_eq!(follower.checkpoint().log_id, Some(Nonce(1)));
}

#[tokio::test]
async fn commit_may_be_read_in_two_calls() {
    let log = MemoryLog::new(1);
    append(&log, &claim(1));
    append(&log, &event(Place { count: 2, ..PLACE }));
    append(&log, &event(Place { index: 1, count: 2, ..PLACE }));
    let mut follower = Follower::open(&log, SHARD, None).await.unwrap();
    assert_eq!(follower.next(2).await.unwrap(), []);
    assert_eq!((follower.next_offset(), follower.checkpoint().next_offset), (2, 0));
    let commits = follower.next(2).await.unwrap();
    assert!(
        matches!(&commits[..], [Commit { body: CommitBody::Events(events), .. }] if events.len() == 2)
    );
}

#[tokio::test(start_paused = true)]
async fn idle_follower_answers_with_nothing_after_a_while() {
    let mut follower = Follower::open(&log(), SHARD, None).await.unwrap();
    assert_eq!(follower.next(100).await.unwrap().len(), 2);
    assert_eq!(follower.next(100).await.unwrap(), []);
}

#[tokio::test]
async fn log_is_recognised_behind_a_foreign_record() {
    let log = MemoryLog::new(1);
    assert_eq!(log_id(&log, SHARD).await.unwrap(), None);
    log.append_raw(SHARD, RawRecord::default());
    append(&log, &claim(7));
    append(&log, &claim(8));
    assert_eq!(log_id(&log, SHARD).await.unwrap(), Some(Nonce(7)));
}

/// Skips a record, as a log must never do.
struct Holey(Vec<LogRecord>);

#[async_trait::async_trait]
impl LogReader for Holey {
    async fn read(&mut self, max: usize, _: Duration) -> Result<Vec<LogRecord>, ReadError> {
        let count = max.min(self.0.len());
        Ok(self.0.drain(..count).collect())
    }
}

#[tokio::test]
async fn hole_halts_for_good_after_the_commits_before_it() {
    let records = [(0, claim(1)), (1, event(PLACE)), (3, event(Place { seq: 2, ..PLACE }))];
    let records = records.map(|(offset, record)| record.at(offset));
    let mut follower = Follower {
        source: Box::new(Holey(records.into())),
        machine: Reader::start(),
        halted: None,
    };
    assert_eq!(follower.next(100).await.unwrap().len(), 1);
    for _ in 0..2 {
        let halted = follower.next(100).await.unwrap_err();
        assert!(matches!(halted, ReadError::Halted(Halt { expected: 2, found: 3 })), "{halted}");
    }
}

#[tokio::test]
async fn the_data_of_streams_that_nobody_wants_are_left_out_and_their_commits_are_not() {
    let log = log();
    let mut other = sample::event(Place { seq: 3, ..PLACE }, 3);
    other.stream = "stock/tea-1".parse().unwrap();
    other.event_type = "tradewind.stock.received.v1".into();
    other.value = r#"{"quantity":1}"#.into();
    append(&log, &OutgoingRecord::Event(Box::new(other.clone())));
    other.stream = "gift_card/1".parse().unwrap();
    other.place.seq = 4;
    append(&log, &OutgoingRecord::Event(Box::new(other)));
    let mut follower = Follower::open(&log, SHARD, None).await.unwrap();
    follower.want_only(&[StreamType::Stock]);
    let commits = follower.next(100).await.unwrap();
    let values = commits.iter().map(|commit| match &commit.body {
        CommitBody::Events(events) => &*events[0].value,
        CommitBody::Barrier(_) => panic!("no barrier was written"),
    });
    assert_eq!(values.collect::<Vec<_>>(), [b"".as_slice(), b"", br#"{"quantity":1}"#, b""]);
}

/// Readers agree on what counts, whatever they want.
#[tokio::test]
async fn data_that_are_left_out_must_be_json_and_there() {
    let log = log();
    for bad in [r#","data":{]}"#, "}"] {
        let third = OutgoingRecord::Event(Box::new(sample::event(Place { seq: 3, ..PLACE }, 3)));
        let mut raw = RawRecord::of(&third).unwrap();
        let text = String::from_utf8(raw.value.unwrap().into()).unwrap();
        raw.value = Some(text.replace(r#","data":{}}"#, bad).into());
        log.append_raw(SHARD, raw);
    }
    let mut follower = Follower::open(&log, SHARD, None).await.unwrap();
    follower.want_only(&[]);
    let commits = follower.next(100).await.unwrap();
    assert_eq!(commits.iter().map(|commit| commit.seq).collect::<Vec<_>>(), [1, 2]);
}
