//! API keys, from issue to revocation.

use domain::api_key::ApiKeyId;
use futures_util::future::join_all;
use infra::{
    auth::ApiKey,
    position::{Entry, Position},
};
use serde_json::json;
use tokio::time::Instant;

use super::overload::skus;
use crate::testing::{Answer, SECRET, World, bearer, new_uuid};

#[tokio::test(start_paused = true)]
async fn a_key_works_until_it_is_revoked() {
    let world = World::start();
    let body = json!({"name": "warehouse", "roles": ["staff"]});
    let issued = world.keyed("k", "POST", "/v1/api-keys", body.clone()).await.expect(201);
    let key = issued.text("/key");
    receive(&world, key).await.expect(200);
    let refused = world.ask_as(key, "POST", "/v1/api-keys", "{}").await;
    refused.expect_problem(403, "forbidden");

    let again = world.keyed("k", "POST", "/v1/api-keys", body).await.expect(201);
    assert_eq!(again.body["id"], issued.body["id"]);
    assert!(again.body["key"].is_null(), "it is shown once");

    revoke(&world, issued.text("/id")).await;
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    receive(&world, key).await.expect_problem(401, "invalid_key");
}

#[tokio::test]
async fn a_key_needs_a_role_that_there_is() {
    let world = World::start();
    for roles in [json!([]), json!(["king"])] {
        let body = json!({"name": "x", "roles": roles});
        world.staff("POST", "/v1/api-keys", body).await.expect_problem(422, "invalid_field");
    }
}

async fn receive(world: &World, key: &str) -> Answer {
    world.ask_as(key, "POST", "/v1/stock/A/receive", json!({"quantity": 1})).await
}

pub(super) async fn revoke(world: &World, id: &str) -> Answer {
    world.staff("DELETE", &format!("/v1/api-keys/{id}"), json!({})).await.expect(200)
}

#[tokio::test]
async fn wrong_keys_cost_no_record_in_the_log() {
    let world = World::begun().await;
    let issued = world.issue_key().await;
    let key = issued.text("/key");
    receive(&world, key).await.expect(200);
    revoke(&world, issued.text("/id")).await;
    let before = world.records().await;
    for number in 0..1_000 {
        let unknown = format!("tw_{:032x}_{number:0>43}", 7_919 * number);
        receive(&world, &unknown).await.expect_problem(401, "invalid_key");
    }
    // Neither does the secret of another key, nor a key that is known as revoked.
    let other = format!("{}{:0>43}", &key[..36], 1);
    receive(&world, &other).await.expect_problem(401, "invalid_key");
    assert_eq!(world.records().await, before);
}

#[tokio::test]
async fn a_key_with_our_signature_is_looked_for_in_the_log_itself() {
    let world = World::begun().await;
    let before = world.records().await;
    let id = new_uuid().parse::<ApiKeyId>().unwrap();
    let signed = ApiKey::generate(id, &SECRET.into()).unwrap();
    receive(&world, signed.expose()).await.expect_problem(401, "invalid_key");
    assert_ne!(world.records().await, before, "it may have been issued elsewhere a moment ago");
    let after = world.records().await;
    receive(&world, signed.expose()).await.expect_problem(401, "invalid_key");
    assert_eq!(world.records().await, after, "it is remembered as unknown");
}

/// A key of staff, a SKU whose stock lies in the key's shard, and where the key was issued in it.
async fn key_and_neighbour(world: &World) -> (String, String, Entry) {
    let issued = world.issue_key().await;
    let id = issued.text("/id").parse::<ApiKeyId>().unwrap();
    let sku = skus(world, world.engine.shard_of(&id.stream())).next().unwrap();
    let at = Position::parse(issued.header("tradewind-position")).unwrap();
    (issued.text("/key").to_owned(), sku, at.entries().next().unwrap())
}

async fn receive_at(world: &World, key: &str, sku: &str, at: &str) -> Answer {
    let headers = [("authorization", &*bearer(key)), ("tradewind-position", at)];
    world.ask("POST", &format!("/v1/stock/{sku}/receive"), &headers, json!({"quantity": 1})).await
}

async fn total(world: &World) -> i64 {
    world.records().await.into_iter().sum()
}

#[tokio::test]
async fn a_client_that_sends_the_position_of_each_answer_costs_the_log_its_commands_alone() {
    let world = World::begun().await;
    let (key, sku, _) = key_and_neighbour(&world).await;
    let mut at = receive(&world, &key).await.expect(200).header("tradewind-position").to_owned();
    let (before, began) = (total(&world).await, Instant::now());
    for _ in 0..50 {
        let answer = receive_at(&world, &key, &sku, &at).await.expect(200);
        answer.header("tradewind-position").clone_into(&mut at);
    }
    // What is known of the key is read anew every two seconds, whatever is sent.
    let reads = i64::try_from(began.elapsed().as_secs()).unwrap() / 2 + 1;
    let cost = total(&world).await - before;
    assert!(cost <= 50 + reads, "{cost} records for 50 commands in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_of_positions_that_nobody_has_seen_costs_the_log_little() {
    let world = World::begun().await;
    let (key, _, at) = key_and_neighbour(&world).await;
    receive(&world, &key).await.expect(200);
    let far = Position::of(at.shard, at.log_id, 1_000_000).to_string();
    let before = total(&world).await;
    let (world, key, far) = (&world, &key, &far);
    // What they ask for is refused, so that it costs no record.
    let ask = async || {
        let headers = [("authorization", &*bearer(key)), ("tradewind-position", far.as_str())];
        world.ask("POST", "/v1/stock/A/adjust", &headers, "{}").await.expect(422);
    };
    let began = Instant::now();
    for _ in 0..10 {
        join_all((0..20).map(|_| ask())).await;
    }
    let cost = total(world).await - before;
    let reads = i64::try_from(began.elapsed().as_millis()).unwrap() / 100 + 2;
    assert!(cost <= reads.min(20), "{cost} records in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_revocation_bites_at_once_for_whoever_has_seen_it() {
    let world = World::start();
    let (key, sku, _) = key_and_neighbour(&world).await;
    receive(&world, &key).await.expect(200);
    let id = ApiKeyId::new(uuid::Uuid::try_parse(&key[3..35]).unwrap());
    let revoked = revoke(&world, &id.to_string()).await;
    let at = revoked.header("tradewind-position");
    receive_at(&world, &key, &sku, at).await.expect_problem(401, "invalid_key");
}
