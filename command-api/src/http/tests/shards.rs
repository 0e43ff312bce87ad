//! Who serves what, and what only nodes may ask.

use axum::body::Body;
use domain::shard::ShardId;
use serde_json::json;

use crate::testing::{OPERATOR, World, bearer};

#[tokio::test]
async fn an_operator_sees_who_serves_each_shard() {
    let world = World::start();
    let body = json!({"name": "till", "roles": ["staff"]});
    let issued = world.staff("POST", "/v1/api-keys", body).await.expect(201);
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
    let key = issued.body["key"].as_str().unwrap();
    let seen = world.ask("GET", "/v1/shards", &[("authorization", &*bearer(key))], "").await;
    seen.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn without_the_nodes_secret_there_is_nothing_to_ask() {
    let world = World::start();
    let paths = ["submit", "read", "knows", "shards"].map(|name| format!("/internal/v1/{name}"));
    for path in &paths {
        let request = || {
            let request = World::request("POST", path).header("authorization", bearer(OPERATOR));
            request.body(Body::from("{}")).unwrap()
        };
        let seen = world.send_to_ops(request()).await;
        assert_eq!(seen.status, 404, "{path}: {}", seen.raw);
        let seen = world.send(request()).await;
        assert_eq!(seen.status, 404, "{path}: {}", seen.raw);
    }
}
