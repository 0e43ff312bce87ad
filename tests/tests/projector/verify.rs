//! Proofs find what is not as the log makes it, and name it.

use serde_json::json;
use tests::eventually::eventually;

use crate::{
    exactly_once::sell,
    history::Owner,
    rig::{Projector, Rig, WAIT_MAX},
};

async fn check(rig: &Rig, projector: &Projector, name: &str, sql: &'static str) -> String {
    let equal = projector.verify(name, json!({})).await;
    assert_eq!(equal["state"], "equal", "{equal}");
    sqlx::raw_sql(sql).execute(&rig.pool).await.expect("a change by hand");
    let different = projector.verify(name, json!({})).await;
    assert_eq!(different["state"], "different", "{different}");
    different["report"]["differences"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_changed_by_hand_is_named() {
    let rig = Rig::start(2).await;
    let mut owners = [Owner::claim(&rig.log, 0), Owner::claim(&rig.log, 1)];
    for (shard, owner) in (0..).zip(&mut owners) {
        sell(owner, shard, 1..=100);
    }
    let projector = rig.projector();
    rig.applied().await;
    let sql = "UPDATE stock_v1.stock SET on_hand = 7 WHERE sku = 'A-1'";
    let named = check(&rig, &projector, "stock", sql).await;
    assert_eq!(
        named,
        r#"[{"column":"on_hand","expected":100,"found":7,"key":"A-1","table":"stock"}]"#
    );
    let sql = "DELETE FROM orders_v1.orders WHERE id = (SELECT min(id::text)::uuid
         FROM orders_v1.orders)";
    let named = check(&rig, &projector, "orders", sql).await;
    assert!(named.contains(r#""expected":{"channel":"pos""#), "{named}");
    let sql = "UPDATE sales_v1.sales_totals SET revenue = revenue + 1 WHERE shard = 0";
    let named = check(&rig, &projector, "sales", sql).await;
    assert!(named.contains(r#""column":"revenue","expected":50000,"found":50001"#), "{named}");
    assert!(named.contains(r#""table":"sales_totals""#), "{named}");
    projector.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_while_events_flow_and_on_a_sample() {
    let rig = Rig::start(1).await;
    let mut owner = Owner::claim(&rig.log, 0);
    sell(&mut owner, 0, 1..=1_000);
    let projector = rig.projector();
    rig.applied().await;
    for round in 1..=5 {
        sell(&mut owner, 0, round * 1_000 + 1..=round * 1_000 + 1_000);
        for name in ["orders", "sales", "stock"] {
            let verified = projector.verify(name, json!({})).await;
            assert_eq!(verified["state"], "equal", "{verified}");
        }
    }
    let sample = projector.verify("orders", json!({ "sample": 100 })).await;
    assert_eq!(sample["state"], "equal", "{sample}");
    let rows = sample["report"]["tables"][0]["rows_found"].as_u64().expect("a number");
    assert!((1..=1_000).contains(&rows), "{sample}");
    let (refused, problem) =
        projector.ask("projections/orders/verify", Some(json!({ "sample": 0 }))).await;
    assert_eq!((refused, &problem["code"]), (422, &json!("invalid_field")), "{problem}");
    projector.stop().await;
    rig.end().await;
}

/// Another projector may have ended what this one has read from the line and comes to now.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_stays_as_it_ended() {
    let rig = Rig::start(1).await;
    let mut owner = Owner::claim(&rig.log, 0);
    sell(&mut owner, 0, 1..=10);
    let projector = rig.projector();
    rig.applied().await;
    let mut held = rig.pool.begin().await.expect("a transaction");
    let hold = "LOCK TABLE products_v1.products IN ACCESS EXCLUSIVE MODE";
    sqlx::query(hold).execute(&mut *held).await.expect("a lock");
    let both =
        "INSERT INTO projection.verifications (id, projection, version, state, created_at) VALUES
        (gen_random_uuid(), 'products', 1, 'waiting', now() - interval '1 second'),
        (gen_random_uuid(), 'stock', 1, 'waiting', now())";
    sqlx::query(both).execute(&rig.pool).await.expect("a line of two");
    eventually("the first of them to be under way", WAIT_MAX, || async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation = 'products_v1.products'::regclass AND mode = 'AccessShareLock'";
        if rig.number(waiting).await == 1 { Ok(()) } else { Err("nobody waits") }
    })
    .await;
    let end = "UPDATE projection.verifications SET state = 'different', finished_at = now()
        WHERE projection = 'stock'";
    sqlx::query(end).execute(&rig.pool).await.expect("an end by somebody else");
    held.rollback().await.expect("its end");
    // Those in line are taken one after the other.
    let next = projector.verify("stock", json!({})).await;
    assert_eq!(next["state"], "equal", "{next}");
    let as_it_ended = "SELECT count(*) FROM projection.verifications
        WHERE projection = 'stock' AND state = 'different' AND report IS NULL";
    assert_eq!(rig.number(as_it_ended).await, 1);
    projector.stop().await;
    rig.end().await;
}
