//! A payment that waits for its buyer, and what its provider tells of it.

use domain::{
    id::{OrderId, PaymentId},
    order::Status,
    payment::{self, Payment},
};
use serde_json::{Value, json};

use crate::{
    payment::WebhookSecret,
    testing::{Answer, WEBHOOK_SECRET, World, eventually},
};

const PATH: &str = "/v1/webhooks/payments/sandbox";

/// An order whose payment waits for the buyer.
async fn waiting(world: &World) -> (OrderId, PaymentId) {
    world.product("tea", 1).await;
    let order_id = world.buy("tea", 1, "tok_3ds").await;
    let payment_id = PaymentId::new(order_id.derive("payment"));
    eventually("waiting for the buyer", || async {
        let payment = world.read::<Payment>(&payment_id).await;
        (payment.status == payment::Status::ActionRequired).then_some(())
    })
    .await;
    (order_id, payment_id)
}

async fn send(world: &World, id: &str, body: &Value) -> Answer {
    send_text(world, id, body.to_string()).await
}

async fn send_text(world: &World, id: &str, body: String) -> Answer {
    let timestamp = (world.clock.now().as_micros() / 1_000_000).to_string();
    let secret = WebhookSecret::parse(WEBHOOK_SECRET).unwrap();
    let signature = secret.sign(id, &timestamp, body.as_bytes());
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Vec<_> = headers.into_iter().zip([id, &timestamp, &signature]).collect();
    world.ask("POST", PATH, &headers, body).await
}

fn authorised(payment_id: PaymentId) -> Value {
    let reference = format!("sandbox-{payment_id}");
    json!({"type": "payment.authorised", "data": {"payment_id": payment_id, "reference": reference}})
}

#[tokio::test]
async fn a_webhook_authorises_once() {
    let world = World::start();
    let (order_id, payment_id) = waiting(&world).await;
    send(&world, "msg_1", &authorised(payment_id)).await.expect(200);
    assert_eq!(world.settled(order_id).await.status, Status::Confirmed);
    let again = send(&world, "msg_1", &authorised(payment_id)).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_webhook_declines() {
    let world = World::start();
    let (order_id, payment_id) = waiting(&world).await;
    let data = json!({"payment_id": payment_id, "code": "not_present", "detail": "no answer"});
    send(&world, "msg_1", &json!({"type": "payment.declined", "data": data})).await.expect(200);
    assert_eq!(world.settled(order_id).await.status, Status::Rejected);
    let late = send(&world, "msg_2", &authorised(payment_id)).await;
    late.expect_problem(409, "payment.closed");
}

#[tokio::test]
async fn an_unsigned_webhook_is_not_believed() {
    let world = World::start();
    let (_, payment_id) = waiting(&world).await;
    let body = authorised(payment_id);
    world.guest("POST", PATH, body.clone()).await.expect_problem(401, "invalid_signature");
    let other = world.guest("POST", "/v1/webhooks/payments/stripe", json!({})).await;
    other.expect_problem(404, "not_found");
    let payment = world.read::<Payment>(&payment_id).await;
    assert_eq!(payment.status, payment::Status::ActionRequired);
}

#[tokio::test]
async fn what_a_provider_says_beyond_what_we_know_changes_nothing() {
    let world = World::start();
    let (order_id, payment_id) = waiting(&world).await;
    let body = format!(
        r#"{{"api_version": 1e400, "note": "a\r\u0000b", "tags": [[]], "note": 2,
            "data": {{"payment_id": "{payment_id}", "fee": [1e400], "reference": "sandbox-{payment_id}"}},
            "type": "payment.authorised"}}"#
    );
    send_text(&world, "msg_1", body).await.expect(200);
    assert_eq!(world.settled(order_id).await.status, Status::Confirmed);
}

#[tokio::test]
async fn a_type_that_we_do_not_know_is_noted() {
    let world = World::start();
    let unknown = [
        json!({"type": "payment.refunded", "data": {"payment_id": 7}}),
        json!({"type": "ping"}),
        json!({"type": "payout.paid", "data": ["\u{0}"], "more": true}),
    ];
    for (index, body) in unknown.iter().enumerate() {
        let seen = send(&world, &format!("msg_{index}"), body).await.expect(204);
        assert_eq!(seen.raw, "");
    }
    world.guest("POST", PATH, unknown[0].clone()).await.expect_problem(401, "invalid_signature");
}

#[tokio::test]
async fn what_we_know_must_be_usable() {
    let world = World::start();
    let (_, payment_id) = waiting(&world).await;
    for (index, (data, pointer)) in [
        (json!({"payment_id": payment_id}), "/data/reference"),
        (json!({"payment_id": "7", "reference": "r"}), "/data/payment_id"),
        (json!({"payment_id": payment_id, "reference": "r\u{0}"}), "/data/reference"),
        (json!({"payment_id": payment_id, "reference": "r".repeat(201)}), "/data/reference"),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"type": "payment.authorised", "data": data});
        let seen = send(&world, &format!("msg_{index}"), &body).await;
        let seen = seen.expect_problem(422, "invalid_field");
        assert_eq!(seen.body["errors"][0]["pointer"], pointer, "{}", seen.raw);
    }
    send(&world, "a", &json!({"data": {}})).await.expect_problem(422, "invalid_field");
    send_text(&world, "b", "{".to_owned()).await.expect_problem(400, "malformed_json");
}
