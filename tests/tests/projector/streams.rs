//! A projection over two types of streams: the docs' example counts orders by the department of
//! their products, which come from other shards.

use read_models::demand::DEMAND;
use serde_json::json;
use stack::eventually::eventually;
use uuid::Uuid;

use crate::{
    exactly_once::sold,
    history::{Owner, placed, product_created, product_filed, product_published, stock_reserved},
    rig::{Projector, Rig, WAIT_MAX},
};

/// The product of all lines that `placed` makes, and their units.
const PRODUCT: Uuid = Uuid::from_u128(1);
const UNITS: i64 = 3;

/// A projector of a release that has the example, too.
fn with_example(rig: &Rig) -> Projector {
    Projector::start_release(rig, [read_models::ALL, &[DEMAND]].concat())
}

async fn demand(rig: &Rig, expected: &[(Option<&str>, i64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|&(department, units)| (department.map(str::to_owned), units))
        .collect();
    eventually("the demand by department", WAIT_MAX, || async {
        let found: Vec<(Option<String>, i64)> =
            sqlx::query_as("SELECT department, units FROM read.demand ORDER BY department")
                .fetch_all(&rig.pool)
                .await
                .map_err(|error| error.to_string())?;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

fn sell(owner: &mut Owner, orders: i64) {
    for _ in 0..orders {
        let id = Uuid::now_v7();
        owner.commit(&[placed(id)]);
        owner.commit(&[stock_reserved(id)]);
    }
}

async fn is_equal(projector: &Projector) {
    let verified = projector.verify("demand", json!({})).await;
    assert_eq!(verified["state"], "equal", "{verified}");
    let tables = verified["report"]["tables"].as_array().expect("tables");
    let names: Vec<_> = tables.iter().filter_map(|table| table["table"].as_str()).collect();
    assert_eq!(names, ["products", "orders", "ordered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_to_the_same_whichever_shard_is_read_first() {
    let rig = Rig::start(2).await;
    let [mut catalogue, mut tills] = sold(&rig, 0).await;
    let projector = with_example(&rig);
    sell(&mut tills, 10);
    demand(&rig, &[(None, 10 * UNITS)]).await;
    catalogue.commit(&[product_created(PRODUCT, "A"), product_filed(PRODUCT, 2, "DAIRY")]);
    demand(&rig, &[(Some("DAIRY"), 10 * UNITS)]).await;
    sell(&mut tills, 5);
    catalogue.commit(&[product_filed(PRODUCT, 3, "FROZEN")]);
    demand(&rig, &[(Some("FROZEN"), 15 * UNITS)]).await;
    is_equal(&projector).await;
    // A rebuild reads both shards at once.
    projector.act("demand", "rebuild", json!({ "verify": true, "switch": true })).await;
    projector.settled("demand", 2, "live").await;
    demand(&rig, &[(Some("FROZEN"), 15 * UNITS)]).await;
    is_equal(&projector).await;
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_its_tables_is_verified() {
    let rig = Rig::start(2).await;
    let [mut catalogue, mut tills] = sold(&rig, 0).await;
    let projector = with_example(&rig);
    catalogue.commit(&[product_created(PRODUCT, "A"), product_filed(PRODUCT, 2, "DAIRY")]);
    sell(&mut tills, 2);
    demand(&rig, &[(Some("DAIRY"), 2 * UNITS)]).await;
    for (sql, column, table) in [
        ("UPDATE demand_v1.products SET department = 'X'", "department", "products"),
        ("UPDATE demand_v1.orders SET revision = 9", "revision", "orders"),
        ("UPDATE demand_v1.ordered SET units = 9", "units", "ordered"),
    ] {
        rig.sql(sql).await;
        let different = projector.verify("demand", json!({})).await;
        assert_eq!(different["state"], "different", "{different}");
        let differences = different["report"]["differences"].as_array().expect("differences");
        let named = |it: &&serde_json::Value| it["table"] == table && it["column"] == column;
        assert!(differences.iter().any(|it| named(&it)), "{different}");
    }
    projector.end(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_apply_of_one_type_of_stream_holds_up_nothing_of_the_other() {
    let (rig, mut owner) = Rig::with_owner().await;
    let projector = with_example(&rig);
    let order = Uuid::now_v7();
    // One commit, with an event of a product that leaves a gap.
    owner.commit(&[
        product_created(PRODUCT, "A"),
        product_filed(PRODUCT, 3, "DAIRY"),
        placed(order),
    ]);
    owner.commit(&[product_published(PRODUCT, 4), stock_reserved(order)]);
    demand(&rig, &[(None, UNITS)]).await;
    let counted = "SELECT revision FROM demand_v1.orders";
    rig.becomes("the order to go on", counted, 2).await;
    let (_, letters) = projector.get("dead-letters?state=parked&projection=demand").await;
    assert_eq!(letters["items"].as_array().map(Vec::len), Some(1), "{letters}");
    assert_eq!(letters["items"][0]["key"], format!("product/{PRODUCT}"));
    assert_eq!(letters["items"][0]["behind"], 1, "{letters}");
    is_equal(&projector).await;
    projector.end(rig).await;
}
