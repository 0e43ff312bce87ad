//! The outside contract, over a log in memory.

mod answers;
mod awaited;
mod bad_input;
mod batch;
mod carts;
mod idempotency;
mod keys;
mod overload;
mod refusals;
mod skus;
mod webhooks;

use std::fmt::Display;

use axum::body::Body;
use domain::shard::ShardId;
use infra::http::docs;
use serde_json::{Value, json};

use crate::testing::{Answer, OPERATOR, World, bearer};

/// A product that is to be created.
fn product(sku: &str) -> Value {
    json!({"sku": sku, "name": "Tea", "price": {"amount": 250, "currency": "USD"}})
}

fn product_with_id(id: impl Display, sku: &str) -> Value {
    let mut product = product(sku);
    product["id"] = id.to_string().into();
    product
}

/// A cart that is to be created with a unit of each.
fn cart_of<S: Into<Value>>(skus: impl IntoIterator<Item = S>) -> Value {
    let line = |sku: S| json!({"sku": sku.into(), "quantity": 1});
    json!({"currency": "USD", "lines": skus.into_iter().map(line).collect::<Vec<_>>()})
}

impl World {
    /// Receives a unit.
    async fn receive(&self, sku: &str) -> Answer {
        self.staff("POST", &format!("/v1/stock/{sku}/receive"), json!({"quantity": 1})).await
    }

    /// Publishes a product, archives it, and so on.
    async fn tell_product(&self, id: impl Display, what: &str) -> Answer {
        self.staff("POST", &format!("/v1/products/{id}/{what}"), json!({})).await
    }

    /// The answer that has a new key of staff.
    async fn issue_key(&self) -> Answer {
        let body = json!({"name": "warehouse", "roles": ["staff"]});
        self.staff("POST", "/v1/api-keys", body).await.expect(201)
    }

    async fn ask_as(&self, key: &str, method: &str, path: &str, body: impl Display) -> Answer {
        self.ask(method, path, &[("authorization", &*bearer(key))], body).await
    }
}

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

#[tokio::test]
async fn an_operator_sees_who_serves_each_shard() {
    let world = World::start();
    for shard in (0..world.engine.shard_count()).map(ShardId::new) {
        world.engine.served_here(shard, true).await;
    }
    let seen = world.staff("GET", "/v1/shards", json!(null)).await.expect(200);
    let items = seen.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    for shard in items {
        assert_eq!((&shard["owner"]["node"], &shard["state"]), (&json!("test"), &json!("serving")));
        assert_eq!(shard["position"], shard["position_here"]);
    }
    let issued = world.issue_key().await;
    let seen = world.ask_as(issued.text("/key"), "GET", "/v1/shards", "").await;
    seen.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn without_the_nodes_secret_there_is_nothing_to_ask() {
    let world = World::start();
    for name in ["submit", "read", "knows", "shards"] {
        let request = || {
            let request = World::request("POST", &format!("/internal/v1/{name}"));
            let request = request.header("authorization", bearer(OPERATOR));
            request.body(Body::from("{}")).unwrap()
        };
        world.send_to_ops(request()).await.expect(404);
        world.send(request()).await.expect(404);
    }
}
