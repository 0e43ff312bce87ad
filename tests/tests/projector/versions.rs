//! Readers see one version or another, never both, and never less than before.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use infra::task::{self, Task};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use stack::{eventually::eventually, plain_http};

use crate::{
    exactly_once::{sell, sell_all, sold},
    history::{Owner, received},
    rig::{Rig, WAIT_MAX},
};

/// Reads two views of one projection in one statement, again and again.
struct Readers {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicI64>,
    tasks: Vec<Task<()>>,
}

impl Readers {
    fn start(rig: &Rig) -> Self {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let reader = |_| {
            let (url, stop, reads) = (rig.url.clone(), Arc::clone(&stop), Arc::clone(&reads));
            task::spawn("reader", async move {
                let mut connection = PgConnection::connect(&url).await.expect("a connection");
                let mut most = 0;
                while !stop.load(Ordering::Relaxed) {
                    let (orders, dairy): (i64, i64) = sqlx::query_as(
                        "SELECT (SELECT coalesce(sum(orders), 0)::bigint FROM read.sales_totals),
                            (SELECT coalesce(sum(orders), 0)::bigint FROM read.sales
                             WHERE department = 'DAIRY')",
                    )
                    .fetch_one(&mut connection)
                    .await
                    .expect("no read fails");
                    assert_eq!(orders, dairy, "a mix of two versions");
                    assert!(orders >= most, "{orders} orders after {most}");
                    most = orders;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = (0..2).map(reader).collect();
        Self { stop, reads, tasks }
    }

    /// Waits until some more reads are done.
    async fn go_on(&self) {
        let enough = self.reads.load(Ordering::Relaxed) + 10;
        eventually("reads to go on", WAIT_MAX, || async {
            let reads = self.reads.load(Ordering::Relaxed);
            if reads >= enough { Ok(()) } else { Err(reads) }
        })
        .await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no reader has seen anything wrong");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_and_rollbacks_fail_no_read_and_mix_nothing() {
    let rig = Rig::start(2).await;
    let projector = rig.projector();
    let mut owners = sold(&rig, 200).await;
    rig.applied().await;
    let writing = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&writing);
    let writer = task::spawn("writer", async move {
        let mut revision = 200;
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        while still.load(Ordering::Relaxed) {
            ticks.tick().await;
            revision += 1;
            sell_all(&mut owners, revision..=revision);
        }
    });
    let readers = Readers::start(&rig);
    projector.act("sales", "rebuild", json!({ "verify": true, "switch": true })).await;
    projector.settled("sales", 2, "live").await;
    for _ in 0..5 {
        let back = projector.act("sales", "rollback", json!({})).await;
        assert_eq!((&back["version"], &back["state"]), (&json!(1), &json!("live")));
        readers.go_on().await;
        let forward = projector.act("sales", "switch", json!({})).await;
        assert_eq!((&forward["version"], &forward["replaced"]), (&json!(2), &json!(1)));
        readers.go_on().await;
    }
    readers.stop().await;
    writing.store(false, Ordering::Relaxed);
    writer.await.expect("no panic");
    rig.applied().await;
    for version in [1, 2] {
        projector.proves("sales", json!({ "version": version })).await;
    }
    projector.act("sales", "drop", json!({})).await;
    let (refused, problem) = projector.post("projections/sales/rollback", &json!({})).await;
    assert_eq!(refused, 404, "{problem}");
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_behind_is_not_shown() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    let mut owner = Owner::claim(&rig.log, 0).await;
    sell(&mut owner, 0, 1..=10);
    projector.act("orders", "rebuild", json!({})).await;
    projector.settled("orders", 2, "standby").await;
    projector.act("orders", "pause", json!({ "version": 2 })).await;
    // What is paused may still have a batch under way.
    rig.applied().await;
    sell(&mut owner, 0, 11..=700);
    rig.applied().await;
    let (refused, problem) = projector.post("projections/orders/switch", &json!({})).await;
    assert_eq!((refused, &problem["code"]), (503, &json!("version.not_ready")), "{problem}");
    projector.act("orders", "resume", json!({})).await;
    // Under way it is waited for.
    let (switched, version) = projector.post("projections/orders/switch", &json!({})).await;
    assert_eq!((switched, &version["version"]), (200, &json!(2)), "{version}");
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused() {
    let rig = Rig::start(1).await;
    let projector = rig.projector();
    projector.settled("orders", 1, "live").await;
    let cases = [
        ("projections/unheard_of/rebuild", json!({}), 404),
        ("projections/orders/switch", json!({}), 409),
        ("projections/orders/switch", json!({ "version": 9 }), 404),
        ("projections/orders/rollback", json!({}), 409),
        ("projections/orders/drop", json!({}), 404),
        ("projections/orders/drop", json!({ "version": 1 }), 409),
        ("projections/orders/pause", json!({ "version": 1 }), 409),
        ("projections/orders/rebuild", json!({ "throttle": 0 }), 422),
        ("projections/orders/rebuild", json!({ "speed": 1 }), 422),
    ];
    for (path, body, expected) in cases {
        let (status, answer) = projector.post(path, &body).await;
        assert_eq!(status, expected, "{path}: {answer}");
    }
    let url = format!("{}/v1/admin/projections/orders/rebuild", projector.url);
    let answer = plain_http::client().post(url).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 401);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_that_starts_again_leaves_the_views_of_a_newer_one_alone() {
    let (rig, mut owner) = Rig::with_owner().await;
    sell(&mut owner, 0, 1..=1);
    let projector = rig.projector();
    rig.applied().await;
    projector.stop().await;
    // A newer release has one column more.
    sqlx::raw_sql(
        "CREATE OR REPLACE VIEW read.stock AS
            SELECT sku, on_hand, reserved, on_hand - reserved AS available, revision, updated_at,
                true AS newer
            FROM stock_v1.stock;
         UPDATE projection.versions SET views_release = '{99,0,0}',
            views = '[[\"stock\", \"SELECT what the newer one says\"]]'
         WHERE projection = 'stock'",
    )
    .execute(&rig.pool)
    .await
    .expect("a newer release");
    let projector = rig.projector();
    // Its tables are made before it takes anything.
    owner.commit(&[received("C", 1, 1)]);
    rig.applied().await;
    assert_eq!(rig.number("SELECT count(*) FROM read.stock WHERE newer").await, 3);
    projector.stop().await;
    // With this one, or one before it, it is this release that says.
    rig.sql("UPDATE projection.versions SET views_release = '{0,0,0}'").await;
    let projector = rig.projector();
    let newer = "SELECT count(*) FROM pg_attribute
            WHERE attrelid = 'read.stock'::regclass AND attname = 'newer'";
    rig.becomes("its own view", newer, 0).await;
    projector.end(rig).await;
}

/// Where the machine is too busy for the other version to come nearer, the live one makes room for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_no_nearer_does_so_while_the_live_one_stands_still() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 0).await;
    let projector = rig.projector();
    projector.act("stock", "rebuild", json!({ "switch": true })).await;
    projector.settled("stock", 2, "live").await;
    sell_all(&mut owners, 1..=1);
    let following = "SELECT count(*) FROM projection.checkpoints
        WHERE projection = 'stock' AND next_offset > 4";
    rig.becomes("both to follow the log", following, 4).await;
    // As busy as can be: the other version takes nothing.
    let mut busy = PgConnection::connect(&rig.url).await.expect("a connection");
    sqlx::raw_sql(
        "BEGIN; SELECT FROM projection.checkpoints
            WHERE projection = 'stock' AND version = 1 FOR UPDATE",
    )
    .execute(&mut busy)
    .await
    .expect("a lock");
    sell_all(&mut owners, 2..=1_000);
    rig.applied().await;
    let makes_room = async {
        // Nobody else holds both of the checkpoints at once.
        let free = "SELECT count(*) FROM (SELECT FROM projection.checkpoints
                WHERE projection = 'stock' AND version = 2 FOR UPDATE SKIP LOCKED) AS free";
        rig.becomes("the live version to stand still", free, 0).await;
        busy.close().await.expect("the end of what kept it busy");
    };
    let nothing = json!({});
    let rollback = projector.post("projections/stock/rollback", &nothing);
    let (answer, ()) = tokio::join!(rollback, makes_room);
    assert_eq!((answer.0, &answer.1["version"]), (200, &json!(1)), "{}", answer.1);
    assert_eq!(rig.number("SELECT sum(on_hand)::bigint FROM read.stock").await, 4_000);
    projector.end(rig).await;
}
