//! Several projectors share the shards, and neither one that is gone nor one that is stuck is missed.

use std::time::Duration;

use futures_util::future::join_all;
use infra::log::EventLog;
use serde_json::json;
use stack::eventually::eventually;
use tokio::time::{Instant, timeout};

use crate::{
    history::{Owner, product_created, received},
    rig::{Projector, Rig, WAIT_MAX},
};
use uuid::Uuid;

/// How many shards each of the projectors serves, the most first.
async fn shares(rig: &Rig) -> Vec<i64> {
    sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE classid::bigint = x'74727368'::bigint) AS shards
         FROM pg_locks
         WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         GROUP BY pid ORDER BY shards DESC",
    )
    .fetch_all(&rig.pool)
    .await
    .expect("counts")
}

async fn shared_as(rig: &Rig, wanted: &[i64]) {
    eventually("even shares", WAIT_MAX, || async {
        let shares = shares(rig).await;
        if shares == wanted { Ok(()) } else { Err(shares) }
    })
    .await;
}

/// One for each shard.
async fn owners(rig: &Rig) -> Vec<Owner> {
    join_all((0..rig.log.shard_count()).map(|shard| Owner::claim(&rig.log, shard))).await
}

/// One more receipt in each shard, and how long it takes until all are seen.
async fn sell(rig: &Rig, owners: &mut [Owner], revision: u64) -> Duration {
    let started = Instant::now();
    let mut ends = Vec::new();
    for (shard, owner) in (0..).zip(owners) {
        ends.push((shard, owner.commit(&[received(&format!("S{shard}"), revision, 1)])));
    }
    for (shard, end) in ends {
        rig.applied_to(shard, end).await;
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn projectors_share_the_shards_and_take_over_from_one_that_was_killed() {
    let rig = Rig::start(5).await;
    let mut owners = owners(&rig).await;
    let first = rig.projector();
    sell(&rig, &mut owners, 1).await;
    shared_as(&rig, &[5]).await;
    let second = rig.projector();
    shared_as(&rig, &[3, 2]).await;
    let third = rig.projector();
    shared_as(&rig, &[2, 2, 1]).await;
    sell(&rig, &mut owners, 2).await;
    second.kill();
    let missed = sell(&rig, &mut owners, 3).await;
    assert!(missed < Duration::from_secs(2), "taken over after {missed:?}");
    shared_as(&rig, &[3, 2]).await;
    first.stop().await;
    shared_as(&rig, &[5]).await;
    sell(&rig, &mut owners, 4).await;
    rig.cut_connections().await;
    sell(&rig, &mut owners, 5).await;
    shared_as(&rig, &[5]).await;
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 25);
    assert_eq!(rig.number("SELECT min(revision) FROM read.stock").await, 5);
    third.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_stuck_does_not_hold_up_the_others_and_comes_back() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    owner.commit(&[product_created(Uuid::now_v7(), "A")]);
    rig.applied().await;
    let held = rig.hold("LOCK TABLE products_v1.products IN ACCESS EXCLUSIVE MODE").await;
    let mut end = 0;
    for revision in 1..=20_000 {
        end = if revision % 10 == 0 {
            owner.commit(&[product_created(Uuid::now_v7(), "A"), received("A", revision, 1)])
        } else {
            owner.commit(&[received("A", revision, 1)])
        };
    }
    let at = |projection: &'static str| {
        let rig = &rig;
        async move {
            sqlx::query_scalar::<_, i64>(
                "SELECT next_offset FROM read.positions WHERE projection = $1",
            )
            .bind(projection)
            .fetch_one(&rig.pool)
            .await
            .expect("a position")
        }
    };
    eventually("the others to go on", WAIT_MAX, || async {
        let stock = at("stock").await;
        if stock == end { Ok(()) } else { Err((stock, end)) }
    })
    .await;
    assert!(at("products").await < end, "it waits for its table");
    held.rollback().await.expect("an end");
    rig.applied_to(0, end).await;
    assert_eq!(rig.number("SELECT count(*) FROM read.products").await, 2_001);
    // Fed again along with the others, it is as fast as they are.
    let end = owner.commit(&[product_created(Uuid::now_v7(), "B")]);
    rig.applied_to(0, end).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_another_projector_has_dropped_is_let_go() {
    let rig = Rig::start(4).await;
    let mut owners = owners(&rig).await;
    let (first, second) = (rig.projector(), rig.projector());
    sell(&rig, &mut owners, 1).await;
    shared_as(&rig, &[2, 2]).await;
    first.act("stock", "rebuild", json!({ "switch": true })).await;
    first.settled("stock", 2, "live").await;
    // Enough for the other one to be writing when it goes, and before it has learnt of that.
    for (shard, owner) in owners.iter_mut().enumerate() {
        for revision in 2..=2_000 {
            owner.commit(&[received(&format!("S{shard}"), revision, 1)]);
        }
    }
    first.act("stock", "drop", json!({ "version": 1 })).await;
    sell(&rig, &mut owners, 2_001).await;
    for projector in [first, second] {
        timeout(WAIT_MAX, projector.stop()).await.expect("an end in time");
    }
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 8_004);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_releases_run_side_by_side_until_the_old_one_is_gone() {
    let rig = Rig::start(4).await;
    let mut owners = owners(&rig).await;
    let old = rig.projector();
    sell(&rig, &mut owners, 1).await;
    let mut projections = read_models::ALL.to_vec();
    for stock in projections.iter_mut().filter(|it| it.name == "stock") {
        stock.version = 2;
    }
    let new = Projector::start_release(&rig, projections);
    // Each has all shards, and what the new one has made of them takes the place of the old.
    shared_as(&rig, &[4, 4]).await;
    new.settled("stock", 2, "live").await;
    sell(&rig, &mut owners, 2).await;
    new.act("stock", "rollback", json!({})).await;
    sell(&rig, &mut owners, 3).await;
    new.act("stock", "switch", json!({})).await;
    sell(&rig, &mut owners, 4).await;
    old.stop().await;
    sell(&rig, &mut owners, 5).await;
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 20);
    assert_eq!(new.verify("stock", json!({})).await["state"], "equal");
    new.stop().await;
    rig.end().await;
}
