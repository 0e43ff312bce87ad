//! The journal has each event of the log once, also those that no release can read.

use domain::shard::ShardId;
use infra::log::{Checkpoint, CommitBody, follow::Follower};
use serde_json::{Value, json};
use sqlx::Row;

use crate::{
    exactly_once::{sell_all, sold},
    history::{received, unreadable},
    rig::{Projector, Rig},
};

/// Each event of a shard as it stands in the log.
async fn logged(rig: &Rig, shard: u32) -> Vec<Value> {
    let (shard, end) = (ShardId::new(shard), rig.log_end(shard).await);
    let mut log = Follower::open(&rig.log, shard, Some(Checkpoint::START)).await.expect("a log");
    let mut events = Vec::new();
    while log.next_offset() < end {
        for commit in log.next(500).await.expect("commits") {
            let CommitBody::Events(records) = &commit.body else { continue };
            for event in records {
                let data: Value = serde_json::from_slice(&event.value).expect("JSON");
                events.push(json!({
                    "shard": shard.index(), "seq": event.place.seq, "index": event.place.index,
                    "next_offset": commit.next_offset, "stream": event.stream, "revision": event.revision,
                    "id": event.id, "type": &*event.event_type, "at": event.recorded_at,
                    "actor": &*event.provenance.actor, "command": event.provenance.command_id,
                    "cause": event.provenance.causation_id, "data": data,
                }));
            }
        }
    }
    events
}

async fn kept(rig: &Rig) -> Vec<Value> {
    let rows = sqlx::query(
        "SELECT jsonb_build_object('shard', shard, 'seq', seq, 'index', index, 'next_offset', next_offset,
            'stream', stream, 'revision', revision, 'id', id, 'type', type,
            'at', to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
            'actor', actor, 'command', command_id, 'cause', causation_id, 'data', data)
         FROM read.events ORDER BY shard, seq, index",
    );
    let rows = rows.fetch_all(&rig.pool).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn is_as_logged(rig: &Rig) {
    rig.applied().await;
    let mut events = logged(rig, 0).await;
    events.extend(logged(rig, 1).await);
    let kept = kept(rig).await;
    assert_eq!(kept.len(), events.len());
    for (kept, event) in kept.iter().zip(&events) {
        assert_eq!(kept, event);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_the_log_and_a_rebuild_makes_it_again() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 20).await;
    let projector = rig.projector();
    is_as_logged(&rig).await;
    sell_all(&mut owners, 21..=22);
    owners[0].commit(&[unreadable("A-0", 23)]);
    owners[0].commit(&[received("A-0", 24, 1)]);
    is_as_logged(&rig).await;
    projector.proves("journal", json!({})).await;
    let letters = "SELECT count(*) FROM projection.dead_letters WHERE projection = 'journal'";
    assert_eq!(rig.number(letters).await, 0);
    projector.act("journal", "rebuild", json!({ "verify": true, "switch": true })).await;
    projector.settled("journal", 2, "live").await;
    is_as_logged(&rig).await;
    let same = "SELECT count(*) FROM (
            SELECT array_agg(format('%s %s %s', relname, relkind, relpersistence) ORDER BY relname)
            FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname IN ('journal_v1', 'journal_v2') GROUP BY nspname) AS made (parts)
         GROUP BY parts HAVING count(*) = 2";
    assert_eq!(rig.number(same).await, 2, "the tables and indexes of both");
    projector.proves("journal", json!({ "version": 2 })).await;
    projector.act("journal", "rollback", json!({})).await;
    is_as_logged(&rig).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_those_of_the_log_are_named() {
    let (rig, mut owner) = Rig::with_owner().await;
    for revision in 1..=100 {
        owner.commit(&[received("A", revision, 1)]);
    }
    let projector = rig.projector();
    rig.applied().await;
    projector.proves("journal", json!({})).await;
    rig.sql(
        "UPDATE journal_v1.events SET actor = 'nobody' WHERE revision = 7;
         DELETE FROM journal_v1.events WHERE revision = 8",
    )
    .await;
    let different = projector.verify("journal", json!({})).await;
    assert_eq!(different["state"], "different", "{different}");
    let table = &different["report"]["tables"][0];
    assert_eq!((&table["table"], &table["rows_differing"]), (&json!("events"), &json!(2)));
    let named = different["report"]["differences"].to_string();
    assert!(
        named.contains(r#""column":"actor""#) && named.contains(r#""found":"nobody""#),
        "{named}"
    );
    assert!(named.contains(r#""key":"A,stock,8""#), "{named}");
    projector.end(rig).await;
}

/// PostgreSQL has no NUL in its texts, so such an event waits for an operator, with what follows in its
/// stream; and comes in as it was decided, with who caused it.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_column_takes_is_parked_and_comes_in_once_it_is_edited() {
    let (rig, mut owner) = Rig::with_owner().await;
    let mut bad = received("A", 2, 1);
    bad.data["reference"] = json!("a\0b");
    owner.commit(&[received("A", 1, 1), received("B", 1, 1)]);
    owner.commit(&[bad]);
    owner.commit(&[received("A", 3, 1)]);
    let projector = rig.projector();
    rig.applied().await;
    assert_eq!(rig.number("SELECT count(*) FROM read.events").await, 2);
    let (_, letters) = projector.get("dead-letters?projection=journal").await;
    let id = letters["items"][0]["id"].as_str().expect("a letter").to_owned();
    let body = json!({ "data": { "quantity": 1 }, "reason": "no NUL" });
    let (status, edited) = projector.post(&format!("dead-letters/{id}/edit"), &body).await;
    assert_eq!((status, &edited["settled_events"]), (200, &json!(2)), "{edited}");
    let events = "SELECT count(*) FROM read.events WHERE key = 'A' AND data = '{\"quantity\": 1}'
         AND actor <> '' AND seq > 0 AND next_offset > 0";
    assert_eq!(rig.number(events).await, 3);
    projector.proves("journal", json!({})).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_batches_neither_doubles_nor_loses_an_entry() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 0).await;
    let mut projector = rig.projector();
    rig.applied_to(0, 0).await;
    for round in 0..3_u64 {
        sell_all(&mut owners, round * 30 + 1..=round * 30 + 30);
        rig.cut_connections().await;
        projector = projector.restart(&rig).await;
    }
    is_as_logged(&rig).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_leave_it_off_and_on_again() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 5).await;
    let projector = rig.projector();
    is_as_logged(&rig).await;
    projector.stop().await;
    let projector = Projector::without_journal(&rig);
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'journal%'";
    rig.becomes("the journal to be gone", left, 0).await;
    let views = "SELECT count(*) FROM pg_views WHERE schemaname = 'read' AND viewname = 'events'";
    assert_eq!(rig.number(views).await, 0);
    let told = "SELECT count(*) FROM read.positions WHERE projection = 'journal'";
    assert_eq!(rig.number(told).await, 0);
    // The others go on.
    sell_all(&mut owners, 6..=7);
    rig.becomes("the orders", "SELECT count(*) FROM read.orders", 14).await;
    let (refused, _) = projector.post("projections/journal/rebuild", &json!({})).await;
    assert_eq!(refused, 404);
    projector.stop().await;
    let projector = rig.projector();
    is_as_logged(&rig).await;
    projector.proves("journal", json!({})).await;
    projector.end(rig).await;
}
