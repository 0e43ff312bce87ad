//! Who may see carts and orders, and issued keys.

use domain::id::{ApiKeyId, CartId};
use infra::auth::{ApiKey, cart_token};
use uuid::Uuid;

use crate::rig::{CART_TOKEN_SECRET, Rig, get};

const CART: Uuid = Uuid::from_u128(0xca27);
const ORDER: Uuid = Uuid::from_u128(0x07de7);

fn token(cart: Uuid) -> String {
    cart_token(&CART_TOKEN_SECRET.into(), CartId::new(cart))
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.stay_level().await;
    rig.sql(format!(
        r#"INSERT INTO carts_v1.carts VALUES ('{CART}', 'checked_out',
            '{{"currency": "USD", "staff": false, "lines": [], "order_id": "{ORDER}"}}', now(), 2);
           INSERT INTO orders_v1.orders VALUES ('{ORDER}', 'pending', 'web', NULL, now(),
            '{{"cart_id": "{CART}", "status": "pending", "lines": []}}', 1)"#
    ))
    .await;
    rig
}

async fn key(rig: &Rig, role: &str, fields: &str) -> String {
    let key = ApiKey::generate(ApiKeyId::new(Uuid::now_v7()), &CART_TOKEN_SECRET.into())
        .expect("random numbers");
    let (id, hash) = (key.id, key.hash);
    rig.sql(format!(
        r#"INSERT INTO api_keys_v1.api_keys VALUES
            ('{id}', 'test', '["{role}"]', '{hash}', {fields}, 1)"#
    ))
    .await;
    key.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_sees_the_cart_and_its_order_with_the_carts_token() {
    let rig = rig().await;
    let (cart, order) = (format!("/v1/carts/{CART}"), format!("/v1/orders/{ORDER}"));
    let (mine, other) = (token(CART), token(Uuid::nil()));
    let customer = rig.with_key(&key(&rig, "customer", "NULL, NULL").await);
    for (path, buyer) in [(&cart, rig.anon()), (&order, rig.anon()), (&cart, customer)] {
        let answer = get(&buyer, path, &[("tradewind-cart-token", &mine)]).await.expect(200);
        assert_eq!(answer.body["lines"], serde_json::json!([]));
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
        ("staff", [200, 200, 200, 200]),
        ("analyst", [200, 200, 200, 404]),
        ("operator", [403, 403, 200, 404]),
        ("customer", [403, 403, 404, 404]),
    ] {
        let client = rig.with_key(&key(&rig, role, "NULL, NULL").await);
        for (path, status) in paths.into_iter().chain([&*cart]).zip(expected) {
            assert_eq!(client.get(path).await.status, status, "{role} at {path}");
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_valid_opens_nothing() {
    let rig = rig().await;
    let unknown = ApiKey::generate(ApiKeyId::new(Uuid::nil()), &"not ours".into());
    for key in [
        key(&rig, "staff", "now() - interval '1 second', NULL").await,
        key(&rig, "staff", "NULL, now()").await,
        unknown.expect("random numbers").expose().to_owned(),
        "nonsense".to_owned(),
    ] {
        let client = rig.with_key(&key);
        client.get("/v1/orders").await.expect_problem(401, "invalid_key");
        client.get("/v1/stock/A").await.expect_problem(401, "invalid_key");
    }
    rig.end().await;
}
