//! Who may see carts and orders, and issued keys.

use domain::{
    Event,
    api_key::{ApiKeyId, Role},
    cart::Cart,
    id::{CartId, OrderId},
    order, testing,
    timestamp::Timestamp,
};
use infra::auth::{ApiKey, cart_token};
use read_models::{carts::CARTS, orders::ORDERS};
use serde_json::json;
use uuid::Uuid;

use crate::rig::{CART_TOKEN_SECRET, Rig, checkout, get, instant};

const CART: Uuid = Uuid::from_u128(0xca27);
const ORDER: Uuid = Uuid::from_u128(0x07de7);

fn token(cart: Uuid) -> String {
    cart_token(&CART_TOKEN_SECRET.into(), CartId::new(cart))
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.stay_level().await;
    let (at, order_id) = (instant("2026-01-01T00:00:00Z"), OrderId::new(ORDER));
    let checkout = checkout("2026-01-01T00:00:00Z", "web", "USD", &[]);
    let cart = [
        ("created", json!({"currency": "USD", "staff": false, "lines": [], "expires_at": at})),
        ("checked_out", json!({"order_id": order_id, "checkout": checkout})),
    ];
    let cart_id = CartId::new(CART);
    let placed = Event::Order(order::Event::Placed { cart_id, checkout });
    let cart = cart.map(|(kind, data)| (at, Event::Cart(testing::event::<Cart>(kind, data))));
    rig.project(&CARTS, &cart_id.stream(), cart).await;
    rig.project(&ORDERS, &order_id.stream(), [(at, placed)]).await;
    rig
}

/// A key that was issued, and what became of it.
async fn key(rig: &Rig, role: Role, expires_at: Option<Timestamp>, revoked: bool) -> String {
    let key = ApiKey::generate(ApiKeyId::new(Uuid::now_v7()), &CART_TOKEN_SECRET.into())
        .expect("random numbers");
    rig.key(&key, role, expires_at, revoked).await;
    key.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_sees_the_cart_and_its_order_with_the_carts_token() {
    let rig = rig().await;
    let (cart, order) = (format!("/v1/carts/{CART}"), format!("/v1/orders/{ORDER}"));
    let (mine, other) = (token(CART), token(Uuid::nil()));
    let customer = rig.with_key(&key(&rig, Role::Customer, None, false).await);
    for (path, buyer) in [(&cart, rig.anon()), (&order, rig.anon()), (&cart, customer)] {
        let answer = get(&buyer, path, &[("tradewind-cart-token", &mine)]).await.expect(200);
        assert_eq!(answer.body["lines"], json!([]));
        get(&buyer, path, &[("tradewind-cart-token", &other)])
            .await
            .expect_problem(404, "not_found");
        get(&buyer, path, &[]).await.expect_problem(404, "not_found");
        rig.operator().get(path).await.expect(200);
    }
    let answer = rig.operator().get(&cart).await.expect(200);
    assert_eq!((answer.text("/status"), answer.header("etag")), ("checked_out", "\"2\""));
    assert_eq!(answer.text("/id"), CART.to_string());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_its_roles_open() {
    let rig = rig().await;
    let paths = ["/v1/orders", "/v1/reports/sales", &format!("/v1/orders/{ORDER}")];
    let cart = format!("/v1/carts/{CART}");
    for (role, expected) in [
        (Role::Staff, [200, 200, 200, 200]),
        (Role::Analyst, [200, 200, 200, 404]),
        (Role::Operator, [403, 403, 200, 404]),
        (Role::Customer, [403, 403, 404, 404]),
    ] {
        let client = rig.with_key(&key(&rig, role, None, false).await);
        for (path, status) in paths.into_iter().chain([&*cart]).zip(expected) {
            assert_eq!(client.get(path).await.status, status, "{role:?} at {path}");
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_valid_opens_nothing() {
    let rig = rig().await;
    let unknown = ApiKey::generate(ApiKeyId::new(Uuid::nil()), &"not ours".into());
    for key in [
        key(&rig, Role::Staff, Some(instant("2026-01-01T00:00:01Z")), false).await,
        key(&rig, Role::Staff, None, true).await,
        unknown.expect("random numbers").expose().to_owned(),
        "nonsense".to_owned(),
    ] {
        let client = rig.with_key(&key);
        client.get("/v1/orders").await.expect_problem(401, "invalid_key");
        client.get("/v1/stock/A").await.expect_problem(401, "invalid_key");
    }
    rig.end().await;
}
