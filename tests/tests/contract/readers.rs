//! Strangers read the log. A reader in another language, which shares no code with ours, agrees with it on
//! every commit and on what is passed over; and the SDK of CloudEvents finds in every record what was
//! written. `docs/log.md` teaches both.

mod cloud_event;
mod history;
mod page;
mod python;

use std::collections::BTreeMap;

use domain::shard::ShardId;
use infra::log::{
    Checkpoint, Commit, CommitBody, EventLog, EventRecord, Ignored, LogRecord, Prefetch, ReadError,
    Reader, Stepped, contract,
};
use serde_json::{Value, json};

use crate::{PATIENCE, kafka};
use cloud_event::cloud_event;
use history::Scribe;

const SHARD: ShardId = ShardId::new(0);

/// One line per commit, and how many records were passed over for which reason.
type Read = (Vec<Value>, BTreeMap<String, u64>);

#[tokio::test]
async fn a_stranger_sees_our_commits_of_a_bad_day() {
    let scribe = Scribe::open(kafka().await, SHARD).await.bad_day().await;
    let (commits, ignored) = ours(&scribe.log).await;
    let kinds: Vec<_> = commits.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["events", "events", "barrier", "events", "events", "barrier", "events"]);
    let reasons = ["duplicate", "foreign", "gap", "out_of_place", "stale_epoch"];
    assert!(ignored.keys().eq(reasons), "all that can go wrong does: {ignored:?}");
    assert_eq!(theirs(&scribe, &[]).await, (commits, ignored));
}

#[tokio::test]
async fn a_stranger_agrees_with_us_on_any_days() {
    for seed in 1..=3 {
        let scribe = Scribe::open(kafka().await, SHARD).await.any_days(seed).await;
        let (commits, ignored) = ours(&scribe.log).await;
        assert!(commits.len() > 20, "seed {seed} leads to {} commits", commits.len());
        assert_eq!(ignored.len(), 5, "seed {seed} leads to {ignored:?}");
        assert_eq!(theirs(&scribe, &[]).await, (commits, ignored), "seed {seed}");
    }
}

#[tokio::test]
async fn a_stranger_goes_on_behind_a_line_that_it_printed() {
    let scribe = Scribe::open(kafka().await, SHARD).await.bad_day().await;
    let (commits, _) = theirs(&scribe, &[]).await;
    for (line, rest) in commits.iter().zip((1..).map(|next| &commits[next..])).step_by(2) {
        assert_eq!(theirs(&scribe, &[&line.to_string()]).await.0, rest, "behind {line}");
    }
}

#[tokio::test]
async fn a_stranger_stops_where_we_do_at_another_version() {
    let scribe = Scribe::open(kafka().await, SHARD).await.day_of_another_version(3).await;
    let source = scribe.log.open_reader(SHARD, 0, Prefetch::Ahead).await;
    let ours = source.expect("a reader").read(1, PATIENCE).await;
    assert!(
        matches!(ours, Err(ReadError::UnsupportedVersion { offset: 0, version: 3 })),
        "{ours:?}"
    );
    let (servers, topic) = (&scribe.kafka.bootstrap_servers, &scribe.kafka.topic);
    let theirs = python::refusal("read_log.py", &[servers, topic, "0"]).await;
    assert!(theirs.contains("offset 0 has log version 3"), "{theirs}");
}

#[tokio::test]
async fn the_sdk_of_cloud_events_finds_what_was_written() {
    let scribe = Scribe::open(kafka().await, SHARD).await.bad_day().await;
    let servers = &scribe.kafka.bootstrap_servers;
    let seen = python::run("cloud_events.py", &[servers, &scribe.kafka.topic]).await;
    assert_eq!(seen.len(), scribe.written.len());
    for (line, (offset, written)) in seen.iter().zip((0..).zip(&scribe.written)) {
        if let Some(written) = written {
            let mut expected = cloud_event(written);
            expected["partition"] = SHARD.index().into();
            expected["offset"] = Value::from(offset);
            assert_eq!(*line, expected, "at offset {offset}");
        }
    }
    assert!(
        seen.iter().any(|line| line["error"].is_string()),
        "it takes anything for a CloudEvent"
    );
}

/// What our own reader makes of the log.
async fn ours(log: &dyn EventLog) -> Read {
    let commits = contract::commits(log, SHARD, None).await;
    let lines = commits.iter().map(|(commit, checkpoint)| line(commit, checkpoint));
    let (mut machine, mut ignored) = (Reader::start(), BTreeMap::new());
    for record in records(log).await {
        if let Stepped::Ignored(reason) = machine.step(record).expect("no hole") {
            let reason = match reason {
                Ignored::Foreign(_) => "foreign",
                ours => ours.as_str(),
            };
            *ignored.entry(reason.to_owned()).or_default() += 1;
        }
    }
    (lines.collect(), ignored)
}

async fn records(log: &dyn EventLog) -> Vec<LogRecord> {
    let range = log.range(SHARD).await.expect("a range");
    let mut source = log.open_reader(SHARD, range.start, Prefetch::Ahead).await.expect("a reader");
    let mut records = Vec::new();
    while records.last().is_none_or(|last: &LogRecord| last.offset + 1 < range.end) {
        let more = source.read(1_000, PATIENCE).await.expect("readable");
        assert!(!more.is_empty(), "{} records of {range:?} came in time", records.len());
        records.extend(more);
    }
    records
}

fn line(commit: &Commit, checkpoint: &Checkpoint) -> Value {
    let mut line = json!({
        "shard": SHARD.index(),
        "epoch": commit.epoch,
        "claim": checkpoint.claim,
        "seq": commit.seq,
        "next_offset": commit.next_offset,
    });
    match &commit.body {
        CommitBody::Events(events) => {
            line["kind"] = "events".into();
            line["events"] = events.iter().map(event).collect();
        }
        CommitBody::Barrier(barrier) => {
            line["kind"] = "barrier".into();
            line["events"] = json!([]);
            line["outcomes"] = json!(barrier.outcomes);
        }
    }
    line
}

fn event(event: &EventRecord) -> Value {
    json!({
        "id": event.id,
        "type": event.event_type,
        "subject": event.stream.as_str(),
        "revision": event.revision,
        "data": data(event),
    })
}

fn data(event: &EventRecord) -> Value {
    serde_json::from_slice(&event.value).expect("JSON")
}

/// What `read_log.py` makes of the log.
async fn theirs(scribe: &Scribe, after: &[&str]) -> Read {
    let (servers, topic) = (&scribe.kafka.bootstrap_servers, &scribe.kafka.topic);
    let shard = SHARD.index().to_string();
    let args = [&[servers, topic, &*shard], after].concat();
    let mut lines = python::run("read_log.py", &args).await;
    let last = lines.pop().expect("a last line");
    (lines, serde_json::from_value(last["ignored"].clone()).expect("counts"))
}
