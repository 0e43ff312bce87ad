//! Carts: whose they are, what goes in, and how they become orders.

use domain::{cart::Cart, id::CartId, order::Status};
use serde_json::{Value, json};

use crate::testing::{Answer, World, checkout, new_uuid};

async fn with_token(world: &World, token: &str, method: &str, path: &str, body: Value) -> Answer {
    world.ask(method, path, &[("tradewind-cart-token", token)], body).await
}

/// A guest's cart: its path and token.
pub(super) async fn guest_cart(world: &World) -> (String, String) {
    let cart = world.guest("POST", "/v1/carts", json!({"currency": "USD"})).await.expect(201);
    (format!("/v1/carts/{}", cart.text("/id")), cart.text("/cart_token").to_owned())
}

/// A guest's cart with a unit of something.
async fn filled_cart(world: &World, sku: &str) -> (String, String) {
    let (cart, token) = guest_cart(world).await;
    let line = json!({"sku": sku, "quantity": 1});
    with_token(world, &token, "POST", &format!("{cart}/lines"), line).await.expect(200);
    (cart, token)
}

#[tokio::test]
async fn lines_come_and_go() {
    let world = World::start();
    world.product("A", 0).await;
    world.product("B", 0).await;
    let (cart, token) = guest_cart(&world).await;
    let lines = format!("{cart}/lines");
    let send = async |method: &str, path: &str, body: Value| {
        with_token(&world, &token, method, path, body).await.expect(200)
    };
    send("POST", &lines, json!({"sku": "A", "quantity": 1})).await;
    send("POST", &lines, json!({"sku": "A", "quantity": 2})).await;
    let both = json!([{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}]);
    send("PUT", &lines, json!({"lines": both})).await;
    send("PATCH", &format!("{lines}/A"), json!({"quantity": 5})).await;
    send("DELETE", &format!("{lines}/B"), json!({})).await;
    let id: CartId = cart.rsplit('/').next().unwrap().parse().unwrap();
    let cart = world.read::<Cart>(&id).await;
    let found: Vec<_> = cart.lines().iter().map(|l| (l.sku.as_str(), l.quantity)).collect();
    assert_eq!(found, [("A", 5)]);
}

#[tokio::test]
async fn a_cart_is_its_guests_and_staffs_only() {
    let world = World::start();
    world.product("A", 0).await;
    let (cart, token) = guest_cart(&world).await;
    let (_, other) = guest_cart(&world).await;
    let lines = format!("{cart}/lines");
    let line = json!({"sku": "A", "quantity": 1});
    world.guest("POST", &lines, line.clone()).await.expect_problem(404, "cart.not_found");
    let seen = with_token(&world, &other, "POST", &lines, line.clone()).await;
    seen.expect_problem(404, "cart.not_found");
    with_token(&world, &token, "POST", &lines, line.clone()).await.expect(200);
    world.staff("POST", &lines, line).await.expect(200);
}

#[tokio::test]
async fn nobody_gets_the_token_of_a_cart_that_was_there() {
    let world = World::start();
    let body = json!({"id": new_uuid(), "currency": "USD"});
    world.guest("POST", "/v1/carts", body.clone()).await.expect(201);
    let seen = world.guest("POST", "/v1/carts", body).await.expect_problem(409, "cart.exists");
    assert!(!seen.raw.contains("cart_token"));
}

#[tokio::test]
async fn a_sku_is_sellable_as_soon_as_it_is_published_and_no_longer() {
    let world = World::start();
    let (cart, token) = guest_cart(&world).await;
    let lines = format!("{cart}/lines");
    let line = json!({"sku": "A", "quantity": 1});
    let add = async || with_token(&world, &token, "POST", &lines, line.clone()).await;
    add().await.expect_problem(422, "sku_not_sellable");
    let id = world.product("A", 0).await;
    add().await.expect(200);
    world.tell_product(id, "unpublish").await.expect(200);
    add().await.expect_problem(422, "sku_not_sellable");
}

#[tokio::test]
async fn a_checkout_on_the_web_needs_a_buyer() {
    let world = World::start();
    world.product("A", 1).await;
    let (cart, token) = filled_cart(&world, "A").await;
    let path = format!("{cart}/checkout");
    let send = async |change: &dyn Fn(&mut Value)| {
        let mut body = checkout("tok_ok");
        change(&mut body);
        with_token(&world, &token, "POST", &path, body).await
    };
    send(&|body| body["email"] = json!("ada")).await.expect_invalid("/email");
    let country = send(&|body| body["shipping_address"]["country"] = json!("usa")).await;
    country.expect_invalid("/shipping_address/country");
    let reference = send(&|body| body["customer_reference"] = json!("me")).await;
    reference.expect_invalid("/customer_reference");
    let no_email = send(&|body| body["email"] = Value::Null).await;
    no_email.expect_problem(422, "cart.email_missing");
    let pos = send(&|body| body["channel"] = json!("pos")).await;
    pos.expect_problem(422, "cart.till_needs_staff");
    send(&|_| {}).await.expect(202);
}

#[tokio::test]
async fn a_changed_price_is_asked_about() {
    let world = World::start();
    let id = world.product("A", 1).await;
    let (cart, token) = filled_cart(&world, "A").await;
    let price = json!({"price": {"amount": 300, "currency": "USD"}});
    world.staff("POST", &format!("/v1/products/{id}/price"), price).await.expect(200);
    let path = format!("{cart}/checkout");
    let mut body = checkout("tok_ok");
    let seen = with_token(&world, &token, "POST", &path, body.clone()).await;
    seen.expect_problem(409, "cart.price_changed");
    body["accept_price_changes"] = json!(true);
    with_token(&world, &token, "POST", &path, body).await.expect(202);
}

#[tokio::test]
async fn staff_ring_up_what_was_sold() {
    let world = World::start();
    world.product("A", 3).await;
    let discount = json!({"kind": "discount", "amount": {"amount": -1, "currency": "USD"}, "reason": "coupon"});
    let line = json!({"sku": "A", "quantity": 2, "adjustments": [discount]});
    let guest = json!({"currency": "USD", "lines": [line]});
    let seen = world.guest("POST", "/v1/carts", guest.clone()).await;
    seen.expect_problem(422, "cart.adjustments_not_allowed");
    let cart = world.staff("POST", "/v1/carts", guest).await.expect(201);
    assert_eq!(cart.body.get("cart_token"), None);
    let order_id = new_uuid();
    let path = format!("/v1/carts/{}/checkout", cart.text("/id"));
    let body = json!({
        "channel": "pos", "occurred_at": "2017-01-01T12:00:00Z", "order_id": order_id,
        "customer_reference": "household-1", "payment": {"method_token": "cash"},
    });
    let seen = world.staff("POST", &path, body).await.expect(202);
    assert_eq!(seen.body["order_id"], order_id);
    assert_eq!(seen.header("location"), format!("/v1/orders/{order_id}"));
    let order = world.settled(order_id.parse().unwrap()).await;
    assert_eq!(order.status, Status::Confirmed);
    assert_eq!(order.placed.as_ref().unwrap().checkout.totals.total.amount, 499);
}

#[tokio::test]
async fn a_guest_has_a_bounded_number_of_checkouts_open() {
    let world = World::with_open_checkouts(3);
    world.product("tea", 100).await;
    for _ in 0..3 {
        world.buy("tea", 1, "tok_3ds").await;
    }
    let refused = world.try_to_buy("tea", 1, "tok_3ds").await;
    assert_eq!(refused.header("retry-after"), "10");
    refused.expect_problem(429, "too_many_open_checkouts");
}

#[tokio::test]
async fn who_settles_what_they_check_out_never_meets_the_limit() {
    let world = World::with_open_checkouts(3);
    world.product("tea", 100).await;
    for _ in 0..12 {
        let order_id = world.buy("tea", 1, "tok_ok").await;
        world.settled(order_id).await;
    }
}

#[tokio::test]
async fn what_was_answered_of_a_checkout_is_answered_again_at_the_limit() {
    let world = World::with_open_checkouts(1);
    world.product("tea", 100).await;
    let check_out = async |cart: &str, token: &str, key: &str, method: &str| {
        let headers = [("tradewind-cart-token", token), ("idempotency-key", key)];
        world.ask("POST", &format!("{cart}/checkout"), &headers, checkout(method)).await
    };
    let (empty, empty_token) = guest_cart(&world).await;
    let refused = check_out(&empty, &empty_token, "no", "tok_3ds").await;
    let refused = refused.expect_problem(422, "cart.empty");
    let (cart, token) = filled_cart(&world, "tea").await;
    let first = check_out(&cart, &token, "yes", "tok_3ds").await.expect(202);
    world.try_to_buy("tea", 1, "tok_3ds").await.expect_problem(429, "too_many_open_checkouts");

    let again = check_out(&cart, &token, "yes", "tok_3ds").await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body, first.body);
    let again = check_out(&empty, &empty_token, "no", "tok_3ds").await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect_problem(422, "cart.empty").body["detail"], refused.body["detail"]);
    let other = check_out(&cart, &token, "yes", "tok_ok").await;
    other.expect_problem(422, "idempotency_key_reused");
}
