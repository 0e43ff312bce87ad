//! Reads that see what their client wrote.

use domain::shard::ShardId;
use infra::{log::Nonce, position::Position};
use tests::harness::client::Answer;

use crate::rig::{LOG, Rig, at, get};

async fn read_at(rig: &Rig, position: &str, wait: &str) -> Answer {
    let headers = [("tradewind-position", position), ("prefer", wait)];
    get(&rig.anon(), "/v1/stock/A", &headers).await
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.stock("A", 1, 0).await;
    rig.apply("stock", 0, 5).await;
    rig.apply("stock", 1, 9).await;
    read_at(&rig, &format!("{}, {}", at(0, 5), at(1, 9)), "wait=30").await.expect(200);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_for_what_its_client_wrote() {
    let rig = rig().await;
    let written = at(0, 8);
    let (answer, ()) = tokio::join!(read_at(&rig, &written, "wait=30"), async {
        rig.apply("stock", 0, 7).await;
        // The row and its position become visible together.
        rig.stock("A", 42, 0).await;
        rig.apply("stock", 0, 8).await;
    });
    let answer = answer.expect(200);
    assert_eq!(answer.body["on_hand"], 42);
    let mut expected = Position::parse(&written).expect("a position");
    expected.merge(&Position::parse(&at(1, 9)).expect("a position"));
    assert_eq!(Position::parse(answer.header("tradewind-position")), Ok(expected));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_applied_in_time_is_stale() {
    let rig = rig().await;
    let stale = read_at(&rig, &at(0, 6), "wait=0").await.expect_problem(503, "stale");
    assert_eq!(stale.header("retry-after"), "1");
    let current = Position::parse(stale.header("tradewind-position")).expect("a position");
    assert!(current.entries().any(|it| it.shard.index() == 0 && it.next_offset == 5));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_log_is_refused() {
    let rig = rig().await;
    let other = Position::of(ShardId::new(0), Nonce(LOG + 1), 1);
    read_at(&rig, &other.to_string(), "wait=30").await.expect_problem(400, "unknown_log");
    let both = format!("{},{other}", at(0, 1));
    read_at(&rig, &both, "wait=30").await.expect_problem(400, "unknown_log");
    read_at(&rig, "latest", "wait=30").await.expect_problem(400, "invalid_position");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_nobody_announced_are_found() {
    let rig = rig().await;
    rig.sql("UPDATE projection.checkpoints SET next_offset = 20 WHERE projection = 'stock'").await;
    read_at(&rig, &at(0, 20), "wait=30").await.expect(200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_loses_no_position() {
    let rig = rig().await;
    rig.disconnect().await;
    rig.apply("stock", 0, 30).await;
    read_at(&rig, &at(0, 30), "wait=30").await.expect(200);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_shown_per_projection_and_shard() {
    let rig = rig().await;
    rig.sql("UPDATE projection.checkpoints SET last_event_at = now() - interval '1 minute'").await;
    let answer = rig.anon().get("/v1/positions").await.expect(200);
    let items = answer.body["items"].as_array().expect("items");
    let item = items.iter().find(|it| it["projection"] == "stock" && it["shard"] == 1);
    let item = item.expect("the shard");
    assert_eq!((&item["next_offset"], &item["log_end"]), (&9.into(), &11.into()));
    assert_eq!((&item["lag_records"], &item["version"]), (&2.into(), &1.into()));
    assert!(item["lag_seconds"].as_f64().is_some_and(|seconds| seconds >= 60.0));
    assert_eq!(item["log_id"], format!("{LOG:016x}"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_hold_when_readers_are_switched_to_another_version_and_back() {
    let rig = rig().await;
    rig.sql(
        "INSERT INTO projection.versions (projection, version, fold, state)
         VALUES ('stock', 2, 1, 'standby');
         INSERT INTO projection.checkpoints
            SELECT projection, 2, shard, log_id, next_offset + 1, epoch, claim, last_seq, log_end
            FROM projection.checkpoints WHERE projection = 'stock'",
    )
    .await;
    for (live, other, reached) in [(2, 1, 7), (1, 2, 9), (2, 1, 11)] {
        // What stands by tells its positions as well; that is not what readers see.
        rig.sql(format!(
            "SELECT pg_notify('tradewind_positions', json_build_object('projection', 'stock',
                'version', {live}, 'shard', 0, 'log_id', '{LOG:016x}',
                'next_offset', {reached})::text)"
        ))
        .await;
        let written = at(0, reached);
        read_at(&rig, &written, "wait=0").await.expect_problem(503, "stale");
        let (answer, ()) = tokio::join!(
            read_at(&rig, &written, "wait=30"),
            rig.sql(format!(
                "BEGIN;
                 UPDATE projection.versions SET state = 'standby'
                    WHERE projection = 'stock' AND version = {other};
                 UPDATE projection.versions SET state = 'live'
                    WHERE projection = 'stock' AND version = {live};
                 UPDATE projection.checkpoints SET next_offset = {reached}
                    WHERE projection = 'stock' AND version = {live} AND shard = 0;
                 SELECT pg_notify('tradewind_positions', '{{\"switched\": \"stock\"}}');
                 COMMIT"
            ))
        );
        let told = answer.expect(200).header("tradewind-position").to_owned();
        let told = Position::parse(&told).expect("a position");
        assert!(told.entries().any(|it| it.shard.index() == 0 && it.next_offset == reached));
        read_at(&rig, &at(0, reached - 1), "wait=0").await.expect(200);
    }
    rig.end().await;
}
