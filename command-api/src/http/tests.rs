//! The outside contract, over a log in memory.

mod answers;
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

use serde_json::json;

use crate::testing::World;

#[tokio::test]
async fn the_contract_is_written_down() {
    let mut contract = World::start().guest("GET", "/openapi.json", json!(null)).await.expect(200);
    assert_eq!(infra::http::docs::unbounded(&contract.body), [""; 0]);
    contract.body["info"]["version"] = json!("[version]");
    insta::assert_json_snapshot!(contract.body);
}
