//! Versions that are built beside the live one, whatever is killed meanwhile.

use serde_json::json;
use stack::eventually::eventually;

use crate::{
    exactly_once::{check_sold, sell, sell_all, sold},
    rig::{Projector, Rig, WAIT_MAX},
};

const PROJECTIONS: [&str; 4] = ["orders", "products", "sales", "stock"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_equals_the_log_and_takes_the_place_of_the_live_version() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 2_000).await;
    let projector = rig.projector();
    for name in PROJECTIONS {
        projector.act(name, "rebuild", json!({ "verify": true, "switch": true })).await;
    }
    sell_all(&mut owners, 2_001..=2_200);
    for name in PROJECTIONS {
        let version = projector.settled(name, 2, "live").await;
        assert_eq!(version["replaced"], 1, "{version}");
        assert_eq!(version["problem"], json!(null), "{version}");
        let id = version["verification"].as_str().expect("a verification").to_owned();
        let (_, verification) = projector.get(&format!("verifications/{id}")).await;
        assert_eq!(verification["state"], "equal", "{verification}");
    }
    rig.applied().await;
    eventually("the old version to be fed as well", WAIT_MAX, || async {
        let stands_by = "SELECT count(*) FROM sales_v1.pending";
        let sold = "SELECT sum(orders)::bigint FROM sales_v1.sales_totals";
        let found = (rig.number(stands_by).await, rig.number(sold).await);
        if found == (0, 4_400) { Ok(()) } else { Err(found) }
    })
    .await;
    check_sold(&rig, 2_200).await;
    let logged = "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname LIKE '%\\_v2' AND relpersistence <> 'p'";
    assert_eq!(rig.number(logged).await, 0, "a crash would empty what is live");
    let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'orders_v2'";
    assert_eq!(rig.number(indexes).await, 4);
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_goes_on_where_a_killed_projector_left_it() {
    let rig = Rig::start(2).await;
    sold(&rig, 3_000).await;
    let mut projector = rig.projector();
    projector.act("orders", "rebuild", json!({ "throttle": 8_000 })).await;
    for part in 1..=3 {
        let far = rig.log_end(0).await * part / 4;
        let copied = "SELECT coalesce(max(next_offset), 0) FROM projection.checkpoints
             WHERE projection = 'orders' AND version = 2";
        rig.finds("a part to be copied", copied, |at| at >= far).await;
        projector.kill();
        projector = rig.projector();
    }
    projector.settled("orders", 2, "standby").await;
    projector.proves("orders", json!({ "version": 2 })).await;
    projector.end(rig).await;
}

/// A crash of PostgreSQL leaves tables that are not logged empty, and all others as they were.
async fn crash_and_check(rig: Rig, projector: Projector) {
    rig.sql("TRUNCATE stock_v2.stock, stock_v2.building").await;
    projector.settled("stock", 2, "standby").await;
    projector.proves("stock", json!({ "version": 2 })).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_a_crash_has_emptied_starts_over() {
    let rig = Rig::start(2).await;
    sold(&rig, 2_000).await;
    let projector = rig.projector();
    projector.act("stock", "rebuild", json!({ "throttle": 8_000 })).await;
    let rows = "SELECT count(*) FROM projection.checkpoints
             WHERE projection = 'stock' AND version = 2 AND next_offset > 1000";
    rig.becomes("something to lose", rows, 2).await;
    crash_and_check(rig, projector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_has_a_shard_that_is_copied_already_copied_once_more() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 100).await;
    sell(&mut owners[1], 1, 101..=6_000);
    let projector = rig.projector();
    projector.act("stock", "rebuild", json!({ "throttle": 8_000 })).await;
    let rows = "SELECT count(*) FROM projection.checkpoints
             WHERE projection = 'stock' AND version = 2
                AND (NOT copying OR (shard = 1 AND next_offset > 1000))";
    rig.becomes("one shard to be copied and something of the other", rows, 2).await;
    assert_eq!(projector.version("stock", 2).await["state"], "copying");
    crash_and_check(rig, projector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_build_one_version() {
    let rig = Rig::start(2).await;
    let mut owners = sold(&rig, 2_000).await;
    let projectors = [rig.projector(), rig.projector()];
    for name in PROJECTIONS {
        projectors[0].act(name, "rebuild", json!({})).await;
    }
    sell_all(&mut owners, 2_001..=2_100);
    for name in PROJECTIONS {
        projectors[1].settled(name, 2, "standby").await;
        projectors[1].proves(name, json!({ "version": 2 })).await;
    }
    for projector in projectors {
        projector.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_build_stays_where_it_is() {
    let (rig, mut owner) = Rig::with_owner().await;
    sell(&mut owner, 0, 1..=1_000);
    let projector = rig.projector();
    projector.act("orders", "rebuild", json!({ "throttle": 500 })).await;
    projector.act("orders", "pause", json!({})).await;
    let version = projector.version("orders", 2).await;
    assert_eq!((&version["state"], &version["paused"]), (&json!("copying"), &json!(true)));
    let (refused, problem) = projector.post("projections/orders/switch", &json!({})).await;
    assert_eq!((refused, &problem["code"]), (409, &json!("version.state")), "{problem}");
    let (refused, _) = projector.post("projections/orders/rebuild", &json!({})).await;
    assert_eq!(refused, 409, "one build at a time");
    projector.act("orders", "resume", json!({})).await;
    projector.act("orders", "drop", json!({})).await;
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'orders_v2'";
    assert_eq!(rig.number(schemas).await, 0);
    // Numbers are never used twice.
    let next = projector.act("orders", "rebuild", json!({})).await;
    assert_eq!(next["version"], 3);
    projector.settled("orders", 3, "standby").await;
    projector.end(rig).await;
}
