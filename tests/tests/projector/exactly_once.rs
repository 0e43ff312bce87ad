//! Every commit counts once, whole, whatever is killed, raced or restarted.

use std::time::Duration;

use infra::task;
use stack::eventually::eventually;
use tokio::time::{Instant, interval_at};
use uuid::Uuid;

use crate::{
    history::{Owner, confirmed, placed, received, stock_reserved},
    rig::{Projector, Rig, WAIT_MAX},
};

/// Appends orders until they are confirmed, and receipts of stock: 4 commits each time.
pub(crate) fn sell(owner: &mut Owner, shard: u32, times: std::ops::RangeInclusive<u64>) {
    for revision in times {
        let id = Uuid::now_v7();
        owner.commit(&[placed(id)]);
        owner.commit(&[stock_reserved(id)]);
        owner.commit(&[
            received(&format!("A-{shard}"), revision, 1),
            received(&format!("B-{shard}"), revision, 1),
        ]);
        owner.commit(&[confirmed(id)]);
    }
}

/// The same in each of two shards.
pub(crate) fn sell_all(owners: &mut [Owner; 2], times: std::ops::RangeInclusive<u64>) {
    for (shard, owner) in (0..).zip(owners) {
        sell(owner, shard, times.clone());
    }
}

/// The owners of two shards in which so much was sold.
pub(crate) async fn sold(rig: &Rig, times: u64) -> [Owner; 2] {
    let mut owners = [Owner::claim(&rig.log, 0).await, Owner::claim(&rig.log, 1).await];
    sell_all(&mut owners, 1..=times);
    owners
}

/// What `sell` makes of the read models after `sold` orders in each of two shards.
pub(crate) async fn check_sold(rig: &Rig, sold: i64) {
    let orders = 2 * sold;
    let confirmed = "SELECT count(*) FROM read.orders WHERE status = 'confirmed' AND revision = 3";
    assert_eq!(rig.number(confirmed).await, orders);
    let sum = [
        ("SELECT sum(orders)::bigint FROM read.sales_totals", orders),
        ("SELECT sum(units)::bigint FROM read.sales_totals", 3 * orders),
        ("SELECT sum(revenue)::bigint FROM read.sales_totals", 500 * orders),
        ("SELECT sum(orders)::bigint FROM read.sales WHERE department = 'DAIRY'", orders),
        ("SELECT sum(revenue)::bigint FROM read.sales WHERE department = 'GROCERY'", 300 * orders),
        ("SELECT count(*) FROM sales_v1.pending", 0),
        ("SELECT sum(on_hand)::bigint FROM read.stock", 2 * orders),
        ("SELECT sum(revision)::bigint FROM read.stock", 2 * orders),
    ];
    for (sql, expected) in sum {
        assert_eq!(rig.number(sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_neither_double_nor_lose_a_commit() {
    let rig = Rig::start(2).await;
    let projector = rig.projector();
    let mut owners = sold(&rig, 0).await;
    // The tables are there, and every projection stands at the beginning.
    rig.applied_to(0, 0).await;
    rig.applied_to(1, 0).await;
    let pool = rig.pool.clone();
    let killer = task::spawn("killer", async move {
        // Whatever a batch takes on this machine, some of these are shorter, so that it is cut wherever it
        // is, and some are longer, so that it goes through.
        let mut periods = (0..7).map(|doubled| Duration::from_millis(15 << doubled)).cycle();
        let mut killed = 0;
        while killed < 60
            && let Some(period) = periods.next()
        {
            let mut ticks = interval_at(Instant::now() + period, period);
            for _ in 0..4 {
                ticks.tick().await;
                killed += kill_some(&pool).await;
            }
        }
    });
    let mut sold = 0;
    while !killer.is_finished() {
        sell_all(&mut owners, sold + 1..=sold + 20);
        sold += 20;
        let probe = rig.log_end(0).await;
        let furthest = "SELECT coalesce(max(next_offset), 0) FROM read.positions";
        rig.finds("some progress", furthest, |at| at > probe - 100).await;
    }
    killer.await.expect("no panic");
    rig.applied().await;
    check_sold(&rig, i64::try_from(sold).expect("a small number")).await;
    projector.end(rig).await;
}

/// Cuts the connections of batches that are under way.
async fn kill_some(pool: &infra::postgres::Pool) -> i64 {
    sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM (
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'tradewind-projector%'
                AND state <> 'idle'
            ORDER BY random() LIMIT 2
         ) AS busy",
    )
    .fetch_one(pool)
    .await
    .expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_on_the_same_shards_never_double() {
    let rig = Rig::start(2).await;
    let projectors = [(); 2].map(|()| Projector::start_alone(&rig.url, &rig.log));
    let mut owners = sold(&rig, 0).await;
    let mut last = 0;
    for round in 0..30 {
        sell_all(&mut owners, round * 10 + 1..=round * 10 + 10);
        last = rig.log_end(0).await;
        rig.applied_to(0, last - 40).await;
    }
    rig.applied_to(0, last).await;
    rig.applied().await;
    check_sold(&rig, 300).await;
    for projector in projectors {
        projector.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_goes_on_where_the_last_one_ended() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 0).await;
    for lives in 0..6 {
        let projector = rig.projector();
        sell_all(&mut owners, lives * 50 + 1..=lives * 50 + 50);
        // Whatever it has done by now: some of it, in one shard or both.
        rig.applied_to(0, i64::try_from(lives).expect("a small number") * 100).await;
        if lives % 2 == 0 { projector.kill() } else { projector.stop().await }
    }
    let projector = rig.projector();
    rig.applied().await;
    check_sold(&rig, 300).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_half_a_commit() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = rig.projector();
    let mut last = 0;
    for revision in 1..=2_000 {
        last = owner.commit(&[received("A", revision, 1), received("B", revision, 1)]);
    }
    let (mut seen, started) = (0, Instant::now());
    while seen < 2_000 {
        assert!(started.elapsed() < WAIT_MAX, "seen {seen}");
        let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT on_hand, revision FROM read.stock")
            .fetch_all(&rig.pool)
            .await
            .unwrap_or_default();
        match rows[..] {
            [] => {}
            [a, b] if a == b => seen = a.0,
            _ => panic!("half a commit: {rows:?}"),
        }
    }
    rig.applied_to(0, last).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_somebody_holds_keeps_no_other_from_moving() {
    let (rig, mut owner) = Rig::with_owner().await;
    owner.commit(&[received("A", 1, 7)]);
    let projector = rig.projector();
    rig.applied_to(0, 2).await;

    let hold = "SELECT FROM projection.checkpoints WHERE projection = 'carts' FOR UPDATE";
    let held = rig.hold(hold).await;
    owner.commit(&[received("A", 2, 1)]);
    let behind = || rig.number("SELECT count(*) FROM projection.checkpoints WHERE next_offset < 3");
    let waiting = || {
        rig.number(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'
                AND application_name = 'tradewind-projector-batches'",
        )
    };
    eventually("the others to move", WAIT_MAX, || async {
        assert_eq!(waiting().await, 0, "the common statement waits for who holds one of them");
        let behind = behind().await;
        if behind == 1 { Ok(()) } else { Err(behind) }
    })
    .await;
    held.commit().await.expect("a commit");
    rig.applied_to(0, 3).await;
    projector.end(rig).await;
}
