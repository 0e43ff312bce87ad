//! API keys, from issue to revocation.

use serde_json::json;

use crate::testing::{World, bearer};

#[tokio::test(start_paused = true)]
async fn a_key_works_until_it_is_revoked() {
    let world = World::start();
    let body = json!({"name": "warehouse", "roles": ["staff"]});
    let issued = world.keyed("k", "POST", "/v1/api-keys", body.clone()).await.expect(201);
    let key = issued.body["key"].as_str().unwrap().to_owned();
    let receive = async || {
        let request = World::request("POST", "/v1/stock/A/receive");
        let request = request.header("authorization", bearer(&key));
        world.send(request.body("{\"quantity\": 1}".into()).unwrap()).await
    };
    receive().await.expect(200);
    let request = World::request("POST", "/v1/api-keys").header("authorization", bearer(&key));
    world.send(request.body("{}".into()).unwrap()).await.expect_problem(403, "forbidden");

    let again = world.keyed("k", "POST", "/v1/api-keys", body).await.expect(201);
    assert_eq!(again.body["id"], issued.body["id"]);
    assert!(again.body["key"].is_null(), "it is shown once");

    let path = format!("/v1/api-keys/{}", issued.body["id"].as_str().unwrap());
    world.staff("DELETE", &path, json!({})).await.expect(200);
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    receive().await.expect_problem(401, "invalid_key");
}

#[tokio::test]
async fn a_key_needs_a_role_that_there_is() {
    let world = World::start();
    for roles in [json!([]), json!(["king"])] {
        let body = json!({"name": "x", "roles": roles});
        world.staff("POST", "/v1/api-keys", body).await.expect_problem(422, "invalid_field");
    }
}
