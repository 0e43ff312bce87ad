//! One key on several streams is several commands, and a guest's key is the guest's own.

use domain::{StreamType, id::CartId, order::Status, shard::shard_of};
use serde_json::json;

use crate::testing::{World, checkout, new_uuid};

/// Staff carts with two units of tea each, in as many shards as there are.
async fn carts(world: &World) -> Vec<CartId> {
    let mut found: Vec<CartId> = Vec::new();
    while found.len() < 4 {
        let id: CartId = new_uuid().parse().unwrap();
        if found.iter().all(|other| shard_of(&other.stream(), 4) != shard_of(&id.stream(), 4)) {
            found.push(id);
        }
    }
    for id in &found {
        let lines = json!([{"sku": "tea", "quantity": 2}]);
        let body = json!({"id": id.to_string(), "currency": "USD", "lines": lines});
        world.staff("POST", "/v1/carts", body).await.expect(201);
    }
    found
}

#[tokio::test]
async fn one_key_for_checkouts_of_carts_in_several_shards_takes_the_stock_of_each() {
    let world = World::start();
    world.product("tea", 100).await;
    let carts = carts(&world).await;
    for cart in &carts {
        let path = format!("/v1/carts/{cart}/checkout");
        let seen = world.keyed("same", "POST", &path, checkout("tok_ok")).await.expect(202);
        assert_eq!(seen.header("idempotency-replayed"), "");
        assert_eq!(seen.body["order_id"], cart.order_id().to_string());
    }
    for cart in &carts {
        assert_eq!(world.settled(cart.order_id()).await.status, Status::Confirmed);
    }
    assert_eq!(world.stock("tea").await.on_hand(), 100 - 2 * 4);
}

#[tokio::test]
async fn a_reused_key_is_refused_on_its_stream_whichever_node_is_asked() {
    let world = World::start();
    let receive = "/v1/stock/tea/receive";
    world.keyed("k", "POST", receive, json!({"quantity": 1})).await.expect(200);
    let other = World::over(std::sync::Arc::clone(&world.log), world.clock.clone());
    for node in [&world, &other] {
        let seen = node.keyed("k", "POST", receive, json!({"quantity": 2})).await;
        seen.expect_problem(422, "idempotency_key_reused");
        let path = "/v1/stock/coffee/receive";
        node.keyed("k", "POST", path, json!({"quantity": 2})).await.expect(200);
    }
    assert_eq!(other.stock("coffee").await.on_hand(), 2, "the second time was a replay");
}

#[tokio::test]
async fn a_guest_without_a_cart_is_known_by_a_key_that_nobody_guesses() {
    let world = World::start();
    let body = json!({"currency": "USD"});
    for key in ["1", "my-cart", "00000000-0000-0000-0000-000000000000"] {
        let seen = world.ask("POST", "/v1/carts", &[("idempotency-key", key)], body.clone()).await;
        seen.expect_problem(422, "idempotency_key_guessable");
    }
    let key = uuid::Uuid::new_v4().to_string();
    let headers = [("idempotency-key", key.as_str())];
    let first = world.ask("POST", "/v1/carts", &headers, body.clone()).await.expect(201);
    let again = world.ask("POST", "/v1/carts", &headers, body.clone()).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(
        (&again.body["id"], &again.body["cart_token"]),
        (&first.body["id"], &first.body["cart_token"])
    );
    let other = world.ask("POST", "/v1/carts", &[], body).await.expect(201);
    assert_ne!(other.body["id"], first.body["id"]);
}

#[tokio::test]
async fn a_guests_keys_belong_to_the_cart_whose_token_is_sent() {
    let world = World::start();
    world.product("tea", 10).await;
    let create = json!({"currency": "USD"});
    let mut carts = Vec::new();
    for _ in 0..2 {
        let cart = world.ask("POST", "/v1/carts", &[], create.clone()).await.expect(201);
        let (id, token) = (cart.body["id"].as_str().unwrap(), cart.body["cart_token"].as_str());
        carts.push((id.to_owned(), token.unwrap().to_owned()));
    }
    for (id, token) in &carts {
        let headers = [("idempotency-key", "1"), ("tradewind-cart-token", token.as_str())];
        let path = format!("/v1/carts/{id}/lines");
        let line = json!({"sku": "tea", "quantity": 1});
        let seen = world.ask("POST", &path, &headers, line).await.expect(200);
        assert_eq!(seen.header("idempotency-replayed"), "");
        // One who holds a cart may name requests at will, for further carts, too.
        let second = world.ask("POST", "/v1/carts", &headers, create.clone()).await.expect(201);
        assert_eq!(second.header("idempotency-replayed"), "");
    }
    let forged = [("idempotency-key", "1"), ("tradewind-cart-token", "made-up")];
    let seen = world.ask("POST", "/v1/carts", &forged, create).await;
    seen.expect_problem(422, "idempotency_key_guessable");
}

#[tokio::test]
async fn one_key_makes_one_thing_of_a_kind() {
    let world = World::start();
    let body = json!({"currency": "USD"});
    let cart = world.keyed("k", "POST", "/v1/carts", body.clone()).await.expect(201);
    let again = world.keyed("k", "POST", "/v1/carts", body).await.expect(201);
    assert_eq!(again.body["id"], cart.body["id"]);
    let other = world.keyed("k", "POST", "/v1/carts", json!({"currency": "EUR"})).await;
    other.expect_problem(422, "idempotency_key_reused");
    let key = json!({"name": "till", "roles": ["staff"]});
    let key = world.keyed("k", "POST", "/v1/api-keys", key).await.expect(201);
    assert_ne!(key.body["id"], cart.body["id"]);
}

#[tokio::test]
async fn every_commit_of_a_purchase_has_a_command_id_of_its_own() {
    let world = World::start();
    let product = json!({"sku": "tea", "name": "Tea", "price": {"amount": 250, "currency": "USD"}});
    let product = world.keyed("k", "POST", "/v1/products", product).await.expect(201);
    let path = format!("/v1/products/{}/publish", product.body["id"].as_str().unwrap());
    world.keyed("k", "POST", &path, json!({})).await.expect_problem(422, "idempotency_key_reused");
    world.staff("POST", &path, json!({})).await.expect(200);
    world.keyed("k", "POST", "/v1/stock/tea/receive", json!({"quantity": 9})).await.expect(200);
    let order_id = world.buy("tea", 1, "tok_ok").await;
    world.settled(order_id).await;
    let commands = crate::testing::commands_of_commits(&*world.log).await;
    let distinct: std::collections::BTreeSet<_> = commands.iter().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), commands.len(), "{commands:?}");
    let kinds: std::collections::BTreeSet<_> = commands.iter().map(|(_, kind)| *kind).collect();
    assert!(kinds.contains(&StreamType::Stock) && kinds.contains(&StreamType::Order));
}
