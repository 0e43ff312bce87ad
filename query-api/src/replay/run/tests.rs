use std::{collections::BTreeSet, sync::Mutex};

use domain::{
    api_key::{ApiKeyId, Role},
    id::StreamId,
};
use futures_util::StreamExt;
use infra::{
    auth::Caller,
    config::ReplayLimits,
    http::page::Cursor,
    log::{memory::MemoryLog, owner::Owner, sample},
};
use serde_json::Value;
use uuid::Uuid;

use super::super::{Audit, Replays, Source, format::Format, selection::Personal};
use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Two shards, two owners each, commits of one to three events.
async fn log() -> Arc<MemoryLog> {
    let (log, shards) = (MemoryLog::new(2), [ShardId::new(0), ShardId::new(1)]);
    for reign in 0..2 {
        let mut owners = Vec::new();
        for shard in shards {
            owners.push((shard, Owner::claim(&log, shard).await.unwrap()));
        }
        for number in 0..20_u64 {
            for (shard, owner) in &mut owners {
                let event = |revision| {
                    let kind = if number % 2 == 0 { "order.placed" } else { "cart.created" };
                    let stream = stream(*shard, reign, number);
                    let value = format!(r#"{{"email":"{number}@example.com","channel":"pos"}}"#);
                    sample::stored(stream, revision, format!("tradewind.{kind}.v1"), value)
                };
                owner.commit((1..=1 + number % 3).map(event).collect()).await.unwrap();
                owner.barrier().await.unwrap();
            }
        }
        for (_, owner) in owners {
            owner.finish().await.unwrap();
        }
    }
    Arc::new(log)
}

fn stream(shard: ShardId, reign: u64, number: u64) -> StreamId {
    let kind = if number.is_multiple_of(2) { "order" } else { "cart" };
    format!("{kind}/{shard}-{reign}-{number}").parse().unwrap()
}

fn replays(log: &Arc<MemoryLog>) -> Replays {
    let log: Arc<dyn EventLog> = Arc::<MemoryLog>::clone(log);
    let limits =
        ReplayLimits { concurrent_max: 2, concurrent_max_each: 1, bytes_per_second: u32::MAX };
    Replays::new(Source::Given(log), KEY.into(), &limits, audit(), Shutdown::new())
}

fn audit() -> Audit {
    Audit::Kept(Mutex::default())
}

fn key(number: u128, roles: &[Role]) -> Caller {
    let roles = roles.iter().copied().collect::<BTreeSet<_>>();
    Caller::Key { id: ApiKeyId::new(Uuid::from_u128(number)), roles: roles.into() }
}

async fn begin(replays: &Replays, selection: Selection, cursor: Option<&Cursor>) -> Run {
    replays
        .begin(&key(1, &[]), selection, cursor)
        .await
        .map_err(|problem| problem.to_json())
        .expect("a place")
}

fn all() -> Selection {
    Selection::default()
}

/// The events of a chunk, and its cursor.
fn parts(chunk: &[u8]) -> (String, Value) {
    let text = std::str::from_utf8(chunk).unwrap();
    let (events, cursor) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
    (events.to_owned(), serde_json::from_str(cursor).unwrap())
}

/// All events of a replay; cut off behind each chunk, if it is to be.
async fn read(
    log: &Arc<MemoryLog>,
    selection: impl Fn() -> Selection,
    cut_off: bool,
) -> Vec<String> {
    let replays = replays(log);
    let mut run = Box::pin(begin(&replays, selection(), None).await.chunks());
    let mut lines = Vec::new();
    while let Some(chunk) = run.next().await {
        let (events, cursor) = parts(&chunk.unwrap());
        lines.extend(events.lines().map(str::to_owned));
        if cursor["left"] == 0 {
            break;
        }
        if cut_off {
            drop(run);
            let cursor: Cursor = serde_json::from_value(cursor["cursor"].clone()).unwrap();
            run = Box::pin(begin(&replays, selection(), Some(&cursor)).await.chunks());
        }
    }
    lines
}

#[tokio::test]
async fn a_replay_shows_every_event_once_in_the_order_of_each_shard() {
    let log = log().await;
    let lines = read(&log, all, false).await;
    // 7 commits of one event, 7 of two, 6 of three, four times.
    assert_eq!(lines.len(), 4 * (7 + 14 + 18));
    let mut places = Vec::new();
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&event["specversion"], &event["kind"]), (&"1.0".into(), &"event".into()));
        assert!(event["data"]["email"].as_str().unwrap().starts_with('~'), "{line}");
        assert!(event.get("requesthash").is_none());
        let shard = event["subject"].as_str().unwrap().split(['/', '-']).nth(1).unwrap().to_owned();
        places.push((shard, event["seq"].as_u64().unwrap(), event["index"].as_u64().unwrap_or(0)));
    }
    assert!(places.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn a_replay_that_was_cut_off_goes_on_without_a_gap_or_a_repeat() {
    let log = log().await;
    let whole = read(&log, all, false).await;
    // A rate makes chunks small; it is no part of what a cursor is bound to.
    let slow = || Selection { rate: Some(1_000), ..all() };
    tokio::time::pause();
    assert_eq!(read(&log, slow, true).await, whole);
    for rate in [1, 3, 7] {
        let slow = || Selection { rate: Some(rate), ..all() };
        assert_eq!(read(&log, slow, true).await, whole, "{rate}");
    }
}

#[tokio::test]
async fn by_time_what_was_recorded_first_comes_first() {
    let log = log().await;
    let by_time = || Selection { order: Order::Time, ..all() };
    let lines = read(&log, by_time, false).await;
    let time = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["time"].as_str().unwrap().to_owned()
    };
    assert!(lines.iter().map(time).is_sorted(), "{lines:#?}");
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(lines.clone()), sorted(read(&log, all, false).await));
    tokio::time::pause();
    for rate in [1, 3, 7] {
        let slow = || Selection { rate: Some(rate), ..by_time() };
        assert_eq!(read(&log, slow, true).await, lines, "{rate}");
    }
}

#[tokio::test]
async fn one_that_follows_is_level_and_goes_on_with_what_comes() {
    let log = log().await;
    let follow = || Selection { follow: true, ..all() };
    let lines = read(&log, follow, false).await;
    assert_eq!(lines.len(), read(&log, all, false).await.len());
    for order in [Order::Shard, Order::Time] {
        let replays = replays(&log);
        let follow = Selection { order, ..follow() };
        let mut run = Box::pin(begin(&replays, follow, None).await.chunks());
        let shard = ShardId::new(1);
        let mut owner = Owner::claim(&*log, shard).await.unwrap();
        let late = sample::stored(stream(shard, 9, 9), 1, "tradewind.cart.created.v1", "{}");
        owner.commit(vec![late]).await.unwrap();
        owner.finish().await.unwrap();
        let mut is_there = false;
        while let Some(chunk) = run.next().await {
            let (events, cursor) = parts(&chunk.unwrap());
            is_there |= events.contains("cart/1-9-9");
            if is_there && cursor["left"] == 0 {
                break;
            }
        }
        assert!(is_there);
    }
}

#[tokio::test]
async fn who_may_sees_people_as_they_are_and_that_is_recorded() {
    let log = log().await;
    let replays = replays(&log);
    let shown = || {
        let text = "personal=shown".to_owned();
        Selection { personal: Personal::Shown, text, ..all() }
    };
    let refused = replays.begin(&key(1, &[Role::Analyst]), shown(), None).await;
    assert_eq!(refused.err().expect("no right").status().as_u16(), 403);
    let recorded = || match &replays.0.audit {
        Audit::Kept(kept) => kept.lock().unwrap().clone(),
        Audit::Table(_) => unreachable!("tests keep"),
    };
    assert_eq!(recorded(), []);
    let reader = key(1, &[Role::Analyst, Role::Privacy]);
    let run = replays.begin(&reader, shown(), None).await.map_err(|it| it.to_json()).unwrap();
    assert_eq!(recorded(), [(reader.actor().to_string(), "personal=shown".to_owned())]);
    let chunks: Vec<_> = run.chunks().collect().await;
    let (events, _) = parts(chunks[0].as_ref().unwrap());
    assert!(events.contains("\"0@example.com\""), "{events}");
}

#[tokio::test]
async fn one_that_goes_on_is_not_level_while_it_has_more_to_show() {
    let log = log().await;
    let follow = |rate| Selection { follow: true, rate, ..all() };
    let replays = replays(&log);
    let mut run = Box::pin(begin(&replays, follow(None), None).await.chunks());
    let mut cursor = Value::Null;
    while cursor["left"] != 0 {
        cursor = parts(&run.next().await.unwrap().unwrap()).1;
    }
    drop(run);
    let mut owner = Owner::claim(&*log, ShardId::new(0)).await.unwrap();
    for number in 0..10 {
        let stream = stream(ShardId::new(0), 9, number);
        let late = sample::stored(stream, 1, "tradewind.cart.created.v1", "{}");
        owner.commit(vec![late]).await.unwrap();
    }
    owner.finish().await.unwrap();
    // The end that the cursor names is before all of them.
    let cursor = serde_json::from_value(cursor["cursor"].clone()).unwrap();
    let run = begin(&replays, follow(Some(4)), Some(&cursor)).await;
    let (events, cursor) = parts(&Box::pin(run.chunks()).next().await.unwrap().unwrap());
    assert_eq!(events.lines().count(), 4);
    assert!(cursor["left"].as_u64() >= Some(6), "{cursor}");
}

#[tokio::test]
async fn rows_have_a_head_once() {
    let log = log().await;
    let columns = || "stream,data.channel".parse().unwrap();
    let rows = || Selection { format: Format::Csv(columns()), rate: Some(5), ..all() };
    let replays = replays(&log);
    let mut run = Box::pin(begin(&replays, rows(), None).await.chunks());
    let chunk = String::from_utf8(run.next().await.unwrap().unwrap().to_vec()).unwrap();
    let lines: Vec<_> = chunk.lines().collect();
    assert_eq!(lines[..2], ["stream,data.channel", "order/0-0-0,pos"]);
    let cursor: Value =
        serde_json::from_str(lines.last().unwrap().strip_prefix('#').unwrap()).unwrap();
    drop(run);
    let cursor = serde_json::from_value(cursor["cursor"].clone()).unwrap();
    let mut run = Box::pin(begin(&replays, rows(), Some(&cursor)).await.chunks());
    let chunk = String::from_utf8(run.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(chunk.starts_with("order/0-") || chunk.starts_with("cart/0-"), "{chunk}");
}

#[tokio::test]
async fn filters_leave_out_what_is_not_asked_for() {
    let log = log().await;
    let whole = read(&log, all, false).await;
    let orders = || Selection { types: Some("order.*".parse().unwrap()), ..all() };
    let expected: Vec<_> =
        whole.iter().filter(|line| line.contains("tradewind.order.placed")).cloned().collect();
    assert_eq!(read(&log, orders, false).await, expected);
    let web = || Selection { condition: Some("data.channel=web".parse().unwrap()), ..all() };
    assert_eq!(read(&log, web, false).await, [""; 0]);
    // Nobody finds out by a filter whose pseudonym it is.
    let probe =
        || Selection { condition: Some("data.email=2@example.com".parse().unwrap()), ..all() };
    assert_eq!(read(&log, probe, false).await, [""; 0]);
}

#[tokio::test]
async fn what_comes_after_the_beginning_of_a_replay_is_not_in_it() {
    let log = log().await;
    let replays = replays(&log);
    let run = begin(&replays, all(), None).await;
    let shard = ShardId::new(1);
    let mut owner = Owner::claim(&*log, shard).await.unwrap();
    let late = sample::stored(stream(shard, 9, 9), 1, "tradewind.cart.created.v1", "{}");
    owner.commit(vec![late]).await.unwrap();
    owner.finish().await.unwrap();
    let chunks: Vec<_> = run.chunks().collect().await;
    let (events, cursor) = parts(chunks.last().unwrap().as_ref().unwrap());
    assert_eq!(cursor["left"], 0);
    assert!(!events.contains("cart/1-9-9"));
}

#[tokio::test]
async fn there_are_as_many_replays_as_may_run() {
    let log = log().await;
    let replays = replays(&log);
    let run = begin(&replays, all(), None).await;
    let refusal = async |number| {
        let refused = replays.begin(&key(number, &[]), all(), None).await.err().expect("no place");
        (refused.status().as_u16(), refused.code().to_owned())
    };
    assert_eq!(refusal(1).await, (429, "too_many_of_your_replays".to_owned()));
    let other = replays.begin(&key(2, &[]), all(), None).await;
    let _other = other.map_err(|problem| problem.to_json()).expect("a place");
    assert_eq!(refusal(3).await, (503, "too_many_replays".to_owned()));
    drop(run.chunks());
    let _run = begin(&replays, all(), None).await;
}

#[tokio::test]
async fn a_position_is_where_a_replay_begins_or_ends() {
    let log = log().await;
    let whole = read(&log, all, false).await;
    let log_id = infra::log::follow::log_id(&*log, ShardId::new(0)).await.unwrap().unwrap();
    for offset in [1, 7, 30, 64] {
        let position = infra::position::Position::of(ShardId::new(0), log_id, offset);
        let bound = || Some(Bound::Position(position.clone()));
        let rest = read(&log, || Selection { from: bound(), ..all() }, false).await;
        let until = read(&log, || Selection { to: bound(), ..all() }, false).await;
        let first: Vec<_> = until.iter().filter(|line| line.contains("/0-")).cloned().collect();
        assert_eq!([first, rest].concat(), whole, "{offset}");
    }
    let other = infra::position::Position::of(ShardId::new(0), infra::log::Nonce(7), 1);
    let (replays, from) = (replays(&log), Some(Bound::Position(other)));
    let refused = replays.begin(&key(1, &[]), Selection { from, ..all() }, None).await;
    assert_eq!(refused.err().expect("another log").code(), "unknown_log");
}

#[tokio::test]
async fn one_instant_parts_a_log_in_two() {
    let log = log().await;
    let whole = read(&log, all, false).await;
    let event: Value = serde_json::from_str(&whole[whole.len() / 3]).unwrap();
    let time = event["time"].as_str().unwrap();
    let bound = || Some(time.parse::<Bound>().unwrap());
    let mut parts = read(&log, || Selection { to: bound(), ..all() }, false).await;
    parts.extend(read(&log, || Selection { from: bound(), ..all() }, false).await);
    let mut expected = whole;
    parts.sort();
    expected.sort();
    assert_eq!(parts, expected);
}
