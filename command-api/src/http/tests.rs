//! The outside contract, over a log in memory.

mod answers;
mod awaited;
mod bad_input;
mod batch;
mod carts;
mod ids;
mod keys;
mod overload;
mod refusals;
mod replays;
mod shards;
mod skus;
mod webhooks;

use infra::http::docs;
use serde_json::json;

use crate::testing::World;

#[tokio::test]
async fn the_contract_is_written_down() {
    let mut contract = World::start().guest("GET", "/openapi.json", json!(null)).await.expect(200);
    assert_eq!(docs::unbounded(&contract.body), [""; 0]);
    contract.body["info"]["version"] = json!("0.0.0");
    let released = docs::released(serde_json::from_value(contract.body).unwrap());
    let released = serde_json::to_value(released).unwrap();
    let json = serde_json::to_string_pretty(&released).unwrap() + "\n";
    expect_test::expect_file!["../../openapi.json"].assert_eq(&json);
}
