//! Carts: whose they are, what goes in, and how they become orders.

use domain::{cart::Cart, id::CartId, order::Status};
use serde_json::{Value, json};

use super::cart_of;
use crate::testing::{Answer, World, checkout, new_uuid};

/// A guest with a cart.
pub(super) struct Guest<'w> {
    world: &'w World,
    pub(super) path: String,
    pub(super) token: String,
}

impl<'w> Guest<'w> {
    /// With a unit of each of these in the cart.
    pub(super) async fn with(world: &'w World, skus: &[&str]) -> Self {
        let cart = world.guest("POST", "/v1/carts", cart_of(skus.iter().copied())).await;
        let cart = cart.expect(201);
        let path = format!("/v1/carts/{}", cart.text("/id"));
        Self { world, path, token: cart.text("/cart_token").to_owned() }
    }

    /// To a path below that of the cart.
    async fn send(&self, method: &str, below: &str, body: Value) -> Answer {
        let headers = [("tradewind-cart-token", self.token.as_str())];
        self.world.ask(method, &format!("{}{below}", self.path), &headers, body).await
    }

    async fn add(&self, sku: &str) -> Answer {
        self.send("POST", "/lines", json!({"sku": sku, "quantity": 1})).await
    }

    async fn check_out(&self, change: impl FnOnce(&mut Value)) -> Answer {
        let mut body = checkout("tok_ok");
        change(&mut body);
        self.send("POST", "/checkout", body).await
    }

    fn id(&self) -> CartId {
        self.path.rsplit('/').next().unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn lines_come_and_go() {
    let world = World::start();
    world.product("A", 0).await;
    world.product("B", 0).await;
    let guest = Guest::with(&world, &[]).await;
    let both = json!([{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}]);
    for (method, below, body) in [
        ("POST", "/lines", json!({"sku": "A", "quantity": 1})),
        ("POST", "/lines", json!({"sku": "A", "quantity": 2})),
        ("PUT", "/lines", json!({"lines": both})),
        ("PATCH", "/lines/A", json!({"quantity": 5})),
        ("DELETE", "/lines/B", json!({})),
    ] {
        guest.send(method, below, body).await.expect(200);
    }
    let cart = world.read::<Cart>(&guest.id()).await;
    let found: Vec<_> = cart.lines().iter().map(|l| (l.sku.as_str(), l.quantity)).collect();
    assert_eq!(found, [("A", 5)]);
}

#[tokio::test]
async fn a_cart_is_its_guests_and_staffs_only() {
    let world = World::start();
    world.product("A", 0).await;
    let guest = Guest::with(&world, &[]).await;
    let other = Guest { path: guest.path.clone(), ..Guest::with(&world, &[]).await };
    let lines = format!("{}/lines", guest.path);
    let line = json!({"sku": "A", "quantity": 1});
    world.guest("POST", &lines, line.clone()).await.expect_problem(404, "cart.not_found");
    other.add("A").await.expect_problem(404, "cart.not_found");
    guest.add("A").await.expect(200);
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
    let guest = Guest::with(&world, &[]).await;
    guest.add("A").await.expect_problem(422, "sku_not_sellable");
    let id = world.product("A", 0).await;
    guest.add("A").await.expect(200);
    world.tell_product(id, "unpublish").await.expect(200);
    guest.add("A").await.expect_problem(422, "sku_not_sellable");
}

#[tokio::test]
async fn a_checkout_on_the_web_needs_a_buyer() {
    let world = World::start();
    world.product("A", 1).await;
    let guest = Guest::with(&world, &["A"]).await;
    for (pointer, value) in [
        ("/email", json!("ada")),
        ("/shipping_address/country", json!("usa")),
        // Those are for staff.
        ("/customer_reference", json!("me")),
        ("/order_id", json!(new_uuid())),
    ] {
        let seen = guest.check_out(|body| set(body, pointer, value)).await;
        seen.expect_invalid(pointer);
    }
    let no_email = guest.check_out(|body| body["email"] = Value::Null).await;
    no_email.expect_problem(422, "cart.email_missing");
    let pos = guest.check_out(|body| body["channel"] = json!("pos")).await;
    pos.expect_problem(422, "cart.till_needs_staff");
    let seen = guest.check_out(|_| {}).await.expect(202);
    assert_eq!(seen.body["order_id"], guest.id().order_id().to_string());
}

/// Puts a value where a pointer says.
fn set(body: &mut Value, pointer: &str, value: Value) {
    *pointer.split('/').skip(1).fold(body, |at, member| &mut at[member]) = value;
}

#[tokio::test]
async fn a_changed_price_is_asked_about() {
    let world = World::start();
    let id = world.product("A", 1).await;
    let guest = Guest::with(&world, &["A"]).await;
    let price = json!({"price": {"amount": 300, "currency": "USD"}});
    world.staff("POST", &format!("/v1/products/{id}/price"), price).await.expect(200);
    guest.check_out(|_| {}).await.expect_problem(409, "cart.price_changed");
    guest.check_out(|body| body["accept_price_changes"] = json!(true)).await.expect(202);
}

#[tokio::test]
async fn staff_ring_up_what_was_sold() {
    let world = World::start();
    world.product("A", 3).await;
    let discount = json!({"kind": "discount", "amount": {"amount": -1, "currency": "USD"}, "reason": "coupon"});
    let line = json!({"sku": "A", "quantity": 2, "adjustments": [discount]});
    let cart = json!({"currency": "USD", "lines": [line]});
    let seen = world.guest("POST", "/v1/carts", cart.clone()).await;
    seen.expect_problem(422, "cart.adjustments_not_allowed");
    let cart = world.staff("POST", "/v1/carts", cart).await.expect(201);
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
    let check_out = async |guest: &Guest<'_>, key: &str, method: &str| {
        let headers = [("tradewind-cart-token", &*guest.token), ("idempotency-key", key)];
        let path = format!("{}/checkout", guest.path);
        world.ask("POST", &path, &headers, checkout(method)).await
    };
    let (empty, full) = (Guest::with(&world, &[]).await, Guest::with(&world, &["tea"]).await);
    let refused = check_out(&empty, "no", "tok_3ds").await.expect_problem(422, "cart.empty");
    let first = check_out(&full, "yes", "tok_3ds").await.expect(202);
    world.try_to_buy("tea", 1, "tok_3ds").await.expect_problem(429, "too_many_open_checkouts");

    let again = check_out(&full, "yes", "tok_3ds").await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body, first.body);
    let again = check_out(&empty, "no", "tok_3ds").await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect_problem(422, "cart.empty").body["detail"], refused.body["detail"]);
    let other = check_out(&full, "yes", "tok_ok").await;
    other.expect_problem(422, "idempotency_key_reused");
}
