//! API keys, from issue to revocation.

use domain::{id::ApiKeyId, shard::ShardId};
use infra::auth::ApiKey;
use serde_json::json;

use crate::testing::{SECRET, Seen, World, bearer, new_uuid};

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

async fn records(world: &World) -> Vec<i64> {
    let mut ends = vec![];
    for shard in 0..world.log.shard_count() {
        ends.push(world.log.range(ShardId::new(shard)).await.unwrap().end);
    }
    ends
}

async fn receive(world: &World, key: &str) -> Seen {
    let request = World::request("POST", "/v1/stock/A/receive");
    let request = request.header("authorization", bearer(key));
    world.send(request.body("{\"quantity\": 1}".into()).unwrap()).await
}

#[tokio::test]
async fn wrong_keys_cost_no_record_in_the_log() {
    let world = World::start();
    let body = json!({"name": "warehouse", "roles": ["staff"]});
    let issued = world.staff("POST", "/v1/api-keys", body).await.expect(201);
    let (id, key) = (issued.body["id"].as_str().unwrap(), issued.body["key"].as_str().unwrap());
    receive(&world, key).await.expect(200);
    world.staff("DELETE", &format!("/v1/api-keys/{id}"), json!({})).await.expect(200);
    let before = records(&world).await;
    for number in 0..1_000 {
        let unknown = format!("tw_{:032x}_{number:0>43}", 7_919 * number);
        receive(&world, &unknown).await.expect_problem(401, "invalid_key");
    }
    // Neither does the secret of another key, nor a key that is known as revoked.
    let other = format!("{}{:0>43}", &key[..36], 1);
    receive(&world, &other).await.expect_problem(401, "invalid_key");
    assert_eq!(records(&world).await, before);
}

#[tokio::test]
async fn a_key_with_our_signature_is_looked_for_in_the_log_itself() {
    let world = World::start();
    world.product("A", 0).await;
    let before = records(&world).await;
    let id = new_uuid().parse::<ApiKeyId>().unwrap();
    let signed = ApiKey::generate(id, &SECRET.into()).unwrap();
    receive(&world, signed.expose()).await.expect_problem(401, "invalid_key");
    assert_ne!(records(&world).await, before, "it may have been issued elsewhere a moment ago");
    let after = records(&world).await;
    receive(&world, signed.expose()).await.expect_problem(401, "invalid_key");
    assert_eq!(records(&world).await, after, "it is remembered as unknown");
}
