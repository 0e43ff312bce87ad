//! Proofs find what is not as the log makes it, and name it.

use serde_json::json;

use crate::{
    exactly_once::{sell, sold},
    rig::{Projector, Rig},
};

async fn check(rig: &Rig, projector: &Projector, name: &str, sql: &'static str) -> String {
    projector.proves(name, json!({})).await;
    rig.sql(sql).await;
    let different = projector.verify(name, json!({})).await;
    assert_eq!(different["state"], "different", "{different}");
    different["report"]["differences"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_changed_by_hand_is_named() {
    let rig = Rig::start(2).await;
    sold(&rig, 100).await;
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
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_while_events_flow_and_on_a_sample() {
    let (rig, mut owner) = Rig::with_owner().await;
    sell(&mut owner, 0, 1..=1_000);
    let projector = rig.projector();
    rig.applied().await;
    for round in 1..=5 {
        sell(&mut owner, 0, round * 1_000 + 1..=round * 1_000 + 1_000);
        for name in ["orders", "sales", "stock"] {
            projector.proves(name, json!({})).await;
        }
    }
    let sample = projector.verify("orders", json!({ "sample": 100 })).await;
    assert_eq!(sample["state"], "equal", "{sample}");
    let rows = sample["report"]["tables"][0]["rows_found"].as_u64().expect("a number");
    assert!((1..=1_000).contains(&rows), "{sample}");
    let (refused, problem) =
        projector.post("projections/orders/verify", &json!({ "sample": 0 })).await;
    assert_eq!((refused, &problem["code"]), (422, &json!("invalid_field")), "{problem}");
    projector.end(rig).await;
}

/// Another projector may have ended what this one has read from the line and comes to now.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_stays_as_it_ended() {
    let (rig, mut owner) = Rig::with_owner().await;
    sell(&mut owner, 0, 1..=10);
    let projector = rig.projector();
    rig.applied().await;
    let held = rig.hold("LOCK TABLE products_v1.products IN ACCESS EXCLUSIVE MODE").await;
    let both =
        "INSERT INTO projection.verifications (id, projection, version, state, created_at) VALUES
        (gen_random_uuid(), 'products', 1, 'waiting', now() - interval '1 second'),
        (gen_random_uuid(), 'stock', 1, 'waiting', now())";
    rig.sql(both).await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND relation = 'products_v1.products'::regclass AND mode = 'AccessShareLock'";
    rig.becomes("the first of them to be under way", waiting, 1).await;
    let end = "UPDATE projection.verifications SET state = 'different', finished_at = now()
        WHERE projection = 'stock'";
    rig.sql(end).await;
    held.rollback().await.expect("its end");
    // Those in line are taken one after the other.
    projector.proves("stock", json!({})).await;
    let as_it_ended = "SELECT count(*) FROM projection.verifications
        WHERE projection = 'stock' AND state = 'different' AND report IS NULL";
    assert_eq!(rig.number(as_it_ended).await, 1);
    projector.end(rig).await;
}
