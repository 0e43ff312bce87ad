//! What every log promises, as one suite: run it over each of them.
//!
//! It begins wherever the log ends and uses its first shard, so it can run over a log that is not
//! empty, as long as nobody else writes there.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a suite of tests, which other crates run over their logs"
)]

use std::{collections::VecDeque, time::Duration};

use domain::shard::ShardId;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Body, Checkpoint, Commit, CommitBody, EventLog, LogReader, LogRecord, Nonce, Offset, OpenError,
    Opened, OutcomeRecord, OutgoingRecord, Place, Prefetch, ReadError, Report, RequestHash, Ticket,
    follow::{self, Follower},
    sample,
};
use crate::retry::{Policy, retry};

const SHARD: ShardId = ShardId::new(0);
/// Long enough for a busy machine; nothing here waits it out.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a reader is asked to wait where it is meant to find nothing.
const BRIEFLY: Duration = Duration::from_millis(20);

/// Runs the whole suite.
///
/// # Panics
/// The log breaks a promise.
pub async fn all(log: &dyn EventLog) {
    records_come_back_as_they_went_in(log).await;
    reports_come_in_the_order_of_appending(log).await;
    what_is_appended_together_is_appended_in_order(log).await;
    for prefetch in [Prefetch::Ahead, Prefetch::Level, Prefetch::Tail] {
        reader_begins_where_it_is_told(log, prefetch).await;
        reader_takes_no_more_than_asked(log, prefetch).await;
        reader_waits_for_the_next_record(log, prefetch).await;
        dropped_read_loses_nothing(log, prefetch).await;
        reader_beyond_the_end_is_told(log, prefetch).await;
        readers_do_not_disturb_each_other(log, prefetch).await;
    }
    writers_do_not_disturb_each_other(log).await;
    dropped_writer_ends_its_reports(log).await;
    shards_are_apart(log).await;
    unknown_shards_are_refused(log).await;
    follower_resumes_at_its_checkpoint(log).await;
    follower_refuses_a_checkpoint_of_another_log(log).await;
}

async fn records_come_back_as_they_went_in(log: &dyn EventLog) {
    let from = end(log, SHARD).await;
    let place = Place { epoch: from, claim: Nonce(u64::MAX), seq: 1, index: 0, count: 1 };
    let mut rich = sample::event(place, 1);
    rich.provenance.actor = "key:ä ö ü".into();
    rich.provenance.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    rich.request_hash = Some(RequestHash::of(&[b"body"]));
    rich.value = serde_json::json!({"text": "„".repeat(50_000)}).to_string().into();
    let mut barrier = sample::barrier(Place { seq: u64::MAX, ..place });
    barrier.outcomes.push(OutcomeRecord {
        command_id: rich.provenance.command_id,
        request_hash: RequestHash([7; 16]),
        status: 409,
        body: serde_json::json!({"code": "stock.insufficient", "detail": "„3“ left"}),
    });
    let plain = sample::event(Place { index: 1, count: 2, ..place }, 2);
    let records = [
        OutgoingRecord::Claim(sample::claim(place.claim)),
        OutgoingRecord::Event(Box::new(rich)),
        OutgoingRecord::Event(Box::new(plain)),
        OutgoingRecord::Barrier(barrier),
    ];
    append_all(log, SHARD, &records).await;
    let expected: Vec<_> =
        (from..).zip(records).map(|(offset, record)| record.at(offset)).collect();
    assert_eq!(read(log, SHARD, from, expected.len()).await, expected);
}

async fn reports_come_in_the_order_of_appending(log: &dyn EventLog) {
    let from = end(log, SHARD).await;
    let (mut writer, mut reports) = open_writer(log, SHARD).await;
    for seq in 1..=500 {
        writer.append(&numbered(seq), ticket(seq)).expect("the queue has room");
    }
    for (seq, offset) in (1..=500).zip(from..) {
        let expected = Report { ticket: ticket(seq), result: Ok(Some(offset)) };
        assert_eq!(next(&mut reports).await, expected);
    }
    assert_eq!(log.range(SHARD).await.expect("a range").end, from + 500);
    let read = seqs(&read(log, SHARD, from, 500).await);
    assert!(read.into_iter().eq(1..=500), "records are read in the order of appending");
}

async fn what_is_appended_together_is_appended_in_order(log: &dyn EventLog) {
    let from = end(log, SHARD).await;
    let (mut writer, mut reports) = open_writer(log, SHARD).await;
    let mut records: VecDeque<_> = (1..=1_500).map(|seq| (numbered(seq), ticket(seq))).collect();
    writer.append_all(&mut records).expect("the queue has room");
    assert!(records.is_empty(), "what was taken is not kept");
    writer.append(&numbered(1_501), ticket(1_501)).expect("the queue has room");
    for (seq, offset) in (1..=1_501).zip(from..) {
        let expected = Report { ticket: ticket(seq), result: Ok(Some(offset)) };
        assert_eq!(next(&mut reports).await, expected);
    }
    assert!(seqs(&read(log, SHARD, from, 1_501).await).into_iter().eq(1..=1_501));
}

async fn reader_begins_where_it_is_told(log: &dyn EventLog, prefetch: Prefetch) {
    let from = append_numbered(log, SHARD, 5).await;
    let mut reader = open_reader(log, SHARD, from + 3, prefetch).await;
    let records = read_with(&mut *reader, 2).await;
    assert_eq!(seqs(&records), [4, 5]);
    assert_eq!(
        records.iter().map(|record| record.offset).collect::<Vec<_>>(),
        [from + 3, from + 4]
    );
}

async fn reader_takes_no_more_than_asked(log: &dyn EventLog, prefetch: Prefetch) {
    let from = append_numbered(log, SHARD, 10).await;
    let mut reader = open_reader(log, SHARD, from, prefetch).await;
    let mut seqs = Vec::new();
    while seqs.len() < 10 {
        let records = reader.read(3, PATIENCE).await.expect("readable");
        assert!((1..=3).contains(&records.len()), "{} records instead of 1 to 3", records.len());
        seqs.extend(records.iter().map(seq_of));
    }
    assert!(seqs.into_iter().eq(1..=10), "no record is skipped or doubled");
}

async fn reader_waits_for_the_next_record(log: &dyn EventLog, prefetch: Prefetch) {
    let from = end(log, SHARD).await;
    let mut reader = open_reader(log, SHARD, from, prefetch).await;
    assert_eq!(reader.read(10, BRIEFLY).await.expect("readable"), []);
    let (records, _) = tokio::join!(reader.read(10, PATIENCE), append_numbered(log, SHARD, 1));
    assert_eq!(seqs(&records.expect("readable")), [1]);
}

async fn dropped_read_loses_nothing(log: &dyn EventLog, prefetch: Prefetch) {
    let from = end(log, SHARD).await;
    let mut reader = open_reader(log, SHARD, from, prefetch).await;
    for _ in 0..3 {
        let dropped = timeout(BRIEFLY, reader.read(10, PATIENCE)).await;
        assert!(dropped.is_err(), "there is nothing to read yet");
    }
    append_numbered(log, SHARD, 3).await;
    let records = read_with(&mut *reader, 3).await;
    assert_eq!(seqs(&records), [1, 2, 3]);
}

async fn reader_beyond_the_end_is_told(log: &dyn EventLog, prefetch: Prefetch) {
    let beyond = end(log, SHARD).await + 1_000;
    let mut reader = open_reader(log, SHARD, beyond, prefetch).await;
    // And told again, however often it asks.
    for _ in 0..2 {
        match reader.read(10, PATIENCE).await {
            Err(ReadError::OutOfRange { offset }) => assert_eq!(offset, beyond),
            other => panic!("{other:?} where nothing is to be read"),
        }
    }
}

/// Of one shard or of several, and whether they keep up or not.
async fn readers_do_not_disturb_each_other(log: &dyn EventLog, prefetch: Prefetch) {
    let other = ShardId::new(log.shard_count() - 1);
    let mut readers = Vec::new();
    for (shard, is_slow) in [(SHARD, true), (SHARD, false), (other, false), (other, true)] {
        let reader = open_reader(log, shard, end(log, shard).await, prefetch).await;
        readers.push((shard, is_slow, reader));
    }
    for round in 0..3 {
        for (_, _, reader) in &mut readers {
            // Each learns that it is level, and then what comes of that.
            for _ in 0..5 {
                assert_eq!(reader.read(10, BRIEFLY).await.expect("readable"), []);
            }
        }
        // More than is kept for who does not read, but in the last round.
        let records: Vec<_> = (1..=30).map(|seq| heavy(seq, round < 2)).collect();
        append_all(log, SHARD, &records).await;
        if other != SHARD {
            append_all(log, other, &records).await;
        }
        readers.sort_by_key(|(_, is_slow, _)| *is_slow);
        for (shard, _, reader) in &mut readers {
            let read = seqs(&read_with(&mut **reader, 30).await);
            assert!(read.into_iter().eq(1..=30), "shard {} in round {round}", shard.index());
        }
    }
}

async fn writers_do_not_disturb_each_other(log: &dyn EventLog) {
    let from = end(log, SHARD).await;
    let (mut first, mut first_reports) = open_writer(log, SHARD).await;
    let (mut second, mut second_reports) = open_writer(log, SHARD).await;
    let mut offsets = Vec::new();
    for seq in 1..=10 {
        first.append(&numbered(seq), ticket(seq)).expect("the queue has room");
        second.append(&numbered(100 + seq), ticket(100 + seq)).expect("the queue has room");
    }
    for seq in 1..=10 {
        for (reports, seq) in [(&mut first_reports, seq), (&mut second_reports, 100 + seq)] {
            let report = next(reports).await;
            assert_eq!(report.ticket, ticket(seq));
            offsets.push((report.result.expect("delivered").expect("an offset"), seq));
        }
    }
    offsets.sort_unstable();
    let read: Vec<_> = read(log, SHARD, from, 20).await;
    let read: Vec<_> = read.iter().map(|record| (record.offset, seq_of(record))).collect();
    assert_eq!(read, offsets, "every record stands where its report says");
}

async fn dropped_writer_ends_its_reports(log: &dyn EventLog) {
    let (mut writer, mut reports) = open_writer(log, SHARD).await;
    writer.append(&numbered(1), ticket(1)).expect("the queue has room");
    next(&mut reports).await;
    drop(writer);
    let ended = timeout(PATIENCE, reports.recv()).await.expect("the reports end");
    assert_eq!(ended, None);
}

async fn shards_are_apart(log: &dyn EventLog) {
    let other = ShardId::new(log.shard_count() - 1);
    if other == SHARD {
        return;
    }
    let before = log.range(other).await.expect("a range");
    append_numbered(log, SHARD, 1).await;
    assert_eq!(log.range(other).await.expect("a range"), before);
    let from = append_numbered(log, other, 1).await;
    assert_eq!(from, before.end);
    assert_eq!(read(log, other, from, 1).await.len(), 1);
}

async fn unknown_shards_are_refused(log: &dyn EventLog) {
    let shard = ShardId::new(log.shard_count());
    let writer = log.open_writer(shard).await.map(drop);
    assert!(matches!(writer, Err(OpenError::NoSuchShard(named)) if named == shard));
    let reader = log.open_reader(shard, 0, Prefetch::Ahead).await.map(drop);
    assert!(matches!(reader, Err(ReadError::NoSuchShard(named)) if named == shard));
    assert!(matches!(log.range(shard).await, Err(ReadError::NoSuchShard(named)) if named == shard));
}

async fn follower_resumes_at_its_checkpoint(log: &dyn EventLog) {
    let mut follower = Follower::open(log, SHARD, None).await.expect("followable");
    let before = end(log, SHARD).await;
    while follower.next_offset() < before {
        follower.next(1_000).await.expect("readable");
    }
    let seq = follower.checkpoint().last_seq + 1;
    let claim = Nonce::random();
    let place = Place { epoch: before, claim, seq, index: 0, count: 1 };
    let event = |place| OutgoingRecord::Event(Box::new(sample::event(place, 5)));
    let records = [
        OutgoingRecord::Claim(sample::claim(claim)),
        OutgoingRecord::Barrier(sample::barrier(place)),
        event(Place { seq: seq + 1, count: 2, ..place }),
        event(Place { seq: seq + 1, index: 1, count: 2, ..place }),
    ];
    append_all(log, SHARD, &records).await;

    let commit = next_commit(&mut follower).await;
    assert_eq!((commit.seq, commit.next_offset), (seq, before + 2));
    let checkpoint = follower.checkpoint();
    assert_eq!(checkpoint.log_id, follow::log_id(log, SHARD).await.expect("readable"));
    let mut resumed = Follower::open(log, SHARD, Some(checkpoint)).await.expect("followable");
    let commit = next_commit(&mut resumed).await;
    assert_eq!((commit.seq, commit.next_offset, commit.epoch), (seq + 1, before + 4, before));
    assert!(matches!(commit.body, CommitBody::Events(events) if events.len() == 2));
}

async fn follower_refuses_a_checkpoint_of_another_log(log: &dyn EventLog) {
    let found = follow::log_id(log, SHARD).await.expect("readable");
    let other = Nonce::random();
    let checkpoint = Checkpoint { log_id: Some(other), next_offset: 1, ..Checkpoint::START };
    match Follower::open(log, SHARD, Some(checkpoint)).await.map(drop) {
        Err(ReadError::Recreated { expected, found: named }) => {
            assert_eq!((expected, named), (other, found));
        }
        other => panic!("{other:?} for a checkpoint of another log"),
    }
}

/// The commits from a checkpoint to where the log ends now, each with the checkpoint behind it.
///
/// # Panics
/// The log cannot be read.
pub async fn commits(
    log: &dyn EventLog,
    shard: ShardId,
    from: Option<Checkpoint>,
) -> Vec<(Commit, Checkpoint)> {
    let end = log.range(shard).await.expect("a range").end;
    let mut follower = Follower::open(log, shard, from).await.expect("followable");
    let mut commits = Vec::new();
    while follower.next_offset() < end {
        let next = follower.next(1).await.expect("readable");
        commits.extend(next.into_iter().map(|commit| (commit, follower.checkpoint())));
    }
    commits
}

fn numbered(seq: u64) -> OutgoingRecord {
    let place = Place { epoch: 0, claim: Nonce(1), seq, index: 0, count: 1 };
    OutgoingRecord::Event(Box::new(sample::event(place, seq.into())))
}

/// Some hundred kilobytes that do not pack well.
fn heavy(seq: u64, is_heavy: bool) -> OutgoingRecord {
    let OutgoingRecord::Event(mut event) = numbered(seq) else { return numbered(seq) };
    let count = if is_heavy { 8_000 } else { 1 };
    let noise: Vec<_> = (0..count).map(|_| Nonce::random()).collect();
    event.value = serde_json::json!({ "noise": noise }).to_string().into();
    OutgoingRecord::Event(event)
}

fn ticket(seq: u64) -> Ticket {
    Ticket { epoch: 0, seq, index: 0 }
}

fn seqs(records: &[LogRecord]) -> Vec<u64> {
    records.iter().map(seq_of).collect()
}

fn seq_of(record: &LogRecord) -> u64 {
    match &record.body {
        Body::Event(event) => event.place.seq,
        Body::Barrier(barrier) => barrier.place.seq,
        Body::Claim(_) | Body::Foreign(_) => 0,
    }
}

/// A topic that was made a moment ago may have no leader yet, so this waits for one.
async fn end(log: &dyn EventLog, shard: ShardId) -> Offset {
    let may_retry = |error: &ReadError| matches!(error, ReadError::Unavailable(_));
    retry(Policy::PATIENT, may_retry, || log.range(shard)).await.expect("a range").end
}

async fn open_writer(log: &dyn EventLog, shard: ShardId) -> Opened {
    log.open_writer(shard).await.expect("a writer")
}

async fn open_reader(
    log: &dyn EventLog,
    shard: ShardId,
    from: Offset,
    prefetch: Prefetch,
) -> Box<dyn LogReader> {
    log.open_reader(shard, from, prefetch).await.expect("a reader")
}

async fn next(reports: &mut mpsc::Receiver<Report>) -> Report {
    timeout(PATIENCE, reports.recv()).await.expect("a report in time").expect("an open channel")
}

/// Appends `count` events, numbered from 1, and gives the offset of the first.
async fn append_numbered(log: &dyn EventLog, shard: ShardId, count: u64) -> Offset {
    let records: Vec<_> = (1..=count).map(numbered).collect();
    append_all(log, shard, &records).await
}

async fn append_all(log: &dyn EventLog, shard: ShardId, records: &[OutgoingRecord]) -> Offset {
    let (mut writer, mut reports) = open_writer(log, shard).await;
    let mut first = None;
    for (record, seq) in records.iter().zip(1..) {
        writer.append(record, ticket(seq)).expect("the queue has room");
    }
    for seq in 1..=records.len() as u64 {
        let report = next(&mut reports).await;
        assert_eq!(report.ticket, ticket(seq));
        let offset = report.result.expect("delivered").expect("an offset");
        first = first.or(Some(offset));
    }
    first.expect("a record")
}

async fn read(log: &dyn EventLog, shard: ShardId, from: Offset, count: usize) -> Vec<LogRecord> {
    read_with(&mut *open_reader(log, shard, from, Prefetch::Ahead).await, count).await
}

async fn read_with(reader: &mut dyn LogReader, count: usize) -> Vec<LogRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        let more = reader.read(count - records.len(), PATIENCE).await.expect("readable");
        assert!(!more.is_empty(), "only {} of {count} records came in time", records.len());
        records.extend(more);
    }
    records
}

async fn next_commit(follower: &mut Follower) -> Commit {
    let next = async {
        loop {
            let commits = follower.next(1).await.expect("readable");
            if let Some(commit) = commits.into_iter().next() {
                return commit;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a commit in time")
}
