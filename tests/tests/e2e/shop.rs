//! What most tests need: something to sell, and guests who buy it.
#![expect(clippy::expect_used, reason = "a log that cannot be read fails the test")]

use std::time::Duration;

use infra::{config, log::kafka::KafkaLog};
use serde_json::{Value, json};
use stack::eventually::eventually;
use tests::audit::{Audit, audit};
use tests::harness::Stack;
use tests::harness::client::{Answer, Client, send};

/// How long what follows a command by itself may take.
pub(crate) const SETTLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A published product with units on hand. Its answer is that of its creation.
pub(crate) async fn product(stack: &Stack, sku: &str, price: i64, units: u32) -> Answer {
    let staff = stack.staff();
    let body = json!({
        "sku": sku, "name": format!("The {sku}"), "department": "DRINKS",
        "price": {"amount": price, "currency": "USD"},
    });
    let created = staff.post("/v1/products", &body).await.expect(201);
    let publish = format!("/v1/products/{}/publish", created.text("/id"));
    let _published = staff.post(&publish, &json!({})).await.expect(200);
    let receive = format!("/v1/stock/{sku}/receive");
    let _received = staff.post(&receive, &json!({"quantity": units})).await.expect(200);
    created
}

/// A guest's cart and the token that opens it.
pub(crate) struct Cart {
    client: Client,
    pub(crate) id: String,
    token: String,
}

impl Cart {
    pub(crate) async fn create(client: Client, lines: &Value) -> Self {
        let body = json!({"currency": "USD", "lines": lines});
        let answer = client.post("/v1/carts", &body).await.expect(201);
        let (id, token) = (answer.text("/id").to_owned(), answer.text("/cart_token").to_owned());
        Self { client, id, token }
    }

    /// A read with the cart's token.
    pub(crate) async fn read(&self, path: &str) -> Answer {
        send(self.client.query(path).header("Tradewind-Cart-Token", &self.token)).await
    }

    pub(crate) async fn check_out(&self, method_token: &str) -> Answer {
        let key = format!("checkout-{}", self.id);
        let body = json!({
            "email": "guest@example.com",
            "shipping_address": {
                "name": "A Guest", "line1": "1 Quay", "city": "Harbour", "postal_code": "10000",
                "country": "US",
            },
            "payment": {"method_token": method_token},
        });
        let path = format!("/v1/carts/{}/checkout", self.id);
        let request = self.client.command(reqwest::Method::POST, &path);
        let request = request.header("Tradewind-Cart-Token", &self.token);
        send(request.header("Idempotency-Key", key).json(&body)).await
    }
}

/// The order once nothing more happens to it by itself.
pub(crate) async fn settled_order(stack: &Stack, checkout: &Answer) -> Value {
    settled(&stack.staff(), checkout.text("/order_id")).await
}

pub(crate) async fn settled(staff: &Client, order_id: &str) -> Value {
    let path = format!("/v1/orders/{order_id}");
    eventually("the order is settled", SETTLE_WAIT_MAX, || async {
        let order = staff.get(&path).await.body;
        match order["status"].as_str() {
            Some("confirmed" | "rejected") => Ok(order),
            _ => Err(order),
        }
    })
    .await
}

/// The log, for a writer of ours.
pub(crate) async fn log_of(stack: &Stack) -> KafkaLog {
    let kafka = config::Kafka::plaintext(stack.bootstrap_servers(), stack.topic());
    KafkaLog::connect(&kafka, stack.topic()).await.expect("the log")
}

/// The log, which no writer has got wrong.
pub(crate) async fn sound_log(stack: &Stack) -> Audit {
    let audit = audit(&stack.bootstrap_servers(), stack.topic()).await.expect("an audit");
    audit.assert_sound();
    audit
}

/// The stock of a SKU once it looks as expected.
pub(crate) async fn stock_becomes(stack: &Stack, sku: &str, on_hand: u32, reserved: u32) {
    let path = format!("/v1/stock/{sku}");
    let client = stack.staff();
    eventually("the stock is as expected", SETTLE_WAIT_MAX, || async {
        let body = client.get(&path).await.body;
        let expected = [("on_hand", on_hand), ("reserved", reserved)];
        let is_there = expected.iter().all(|(field, value)| body[*field] == *value);
        if is_there { Ok(()) } else { Err(body) }
    })
    .await;
}

/// Waits for the projection behind the report: an order and its sale are two read models.
pub(crate) async fn sales_become(stack: &Stack, group_by: &str, items: &Value) {
    let path = format!("/v1/reports/sales?group_by={group_by}");
    let client = stack.analyst();
    eventually("the report is as expected", SETTLE_WAIT_MAX, || async {
        let body = client.get(&path).await.body;
        if body["items"] == *items { Ok(()) } else { Err(body) }
    })
    .await;
}
