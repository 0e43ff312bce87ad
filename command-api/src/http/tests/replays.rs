//! A command that is sent again gets the first answer, byte for byte, whoever answers.

use std::sync::Arc;

use infra::clock::Clock;
use serde_json::{Value, json};

use crate::testing::{Answer, World, checkout};

const CART: &str = "0198c0de-0000-7000-8000-000000000001";
const PRODUCT: &str = "0198c0de-0000-7000-8000-000000000002";

/// What a client keeps of an answer.
#[derive(Debug, PartialEq)]
struct Kept {
    status: u16,
    headers: Vec<(&'static str, String)>,
    text: String,
}

impl Kept {
    fn of(seen: Answer) -> Self {
        let names = ["content-type", "etag", "location", "tradewind-position", "retry-after"];
        let headers = names.map(|name| (name, seen.header(name).to_owned())).to_vec();
        // The trace is that of the request, which is another one each time.
        let text = match seen.body["trace_id"].as_str() {
            Some(trace) => seen.raw.replace(trace, "[trace]"),
            None => seen.raw,
        };
        Self { status: seen.status, headers, text }
    }
}

/// One command of each way to be answered: created, changed, unchanged, begun, and refused for a
/// rule, a state and a revision.
fn commands() -> Vec<(&'static str, &'static str, String, Value)> {
    let price = json!({"amount": 250, "currency": "USD"});
    let product = json!({"id": PRODUCT, "sku": "A-1", "name": "Tea", "price": price});
    let cart = json!({"id": CART, "currency": "USD", "lines": [{"sku": "A-1", "quantity": 1}]});
    let stock = "/v1/stock/A-1";
    vec![
        ("created", "POST", "/v1/products".to_owned(), product),
        ("published", "POST", format!("/v1/products/{PRODUCT}/publish"), json!({})),
        ("unchanged", "POST", format!("/v1/products/{PRODUCT}/publish"), json!({})),
        ("refused", "POST", format!("{stock}/adjust"), json!({"delta": -1, "reason": "broken"})),
        ("changed", "POST", format!("{stock}/receive"), json!({"quantity": 5})),
        ("cart", "POST", "/v1/carts".to_owned(), cart),
        ("begun", "POST", format!("/v1/carts/{CART}/checkout"), checkout("tok_ok")),
        ("conflict", "POST", format!("/v1/carts/{CART}/checkout"), checkout("tok_declined")),
        (
            "missing",
            "POST",
            "/v1/carts/0198c0de-0000-7000-8000-00000000000f/checkout".to_owned(),
            checkout("tok_ok"),
        ),
    ]
}

/// Sends all of them, and tells whether they were answered from memory.
async fn send_all(world: &World) -> Vec<(&'static str, bool, Kept)> {
    let mut answers = Vec::new();
    for (key, method, path, body) in commands() {
        let seen = world.keyed(key, method, &path, body).await;
        let replayed = seen.header("idempotency-replayed") == "true";
        answers.push((key, replayed, Kept::of(seen)));
    }
    answers
}

#[tokio::test]
async fn answers_are_the_same_byte_for_byte_again_after_restarts_and_on_other_nodes() {
    let first = World::start();
    let answers = send_all(&first).await;
    let statuses: Vec<_> = answers.iter().map(|(_, _, kept)| kept.status).collect();
    assert_eq!(statuses, [201, 200, 200, 422, 200, 201, 202, 409, 404]);
    // What is true now is another thing than what was answered.
    first.staff("POST", "/v1/stock/A-1/receive", json!({"quantity": 7})).await.expect(200);
    first.staff("POST", &format!("/v1/products/{PRODUCT}/archive"), json!({})).await.expect(200);

    let check = |again: Vec<(&str, bool, Kept)>, by: &str| {
        for ((key, _, expected), (_, replayed, found)) in answers.iter().zip(&again) {
            assert_eq!(found, expected, "{key}, by {by}");
            assert!(replayed, "{key}, by {by}");
        }
    };
    check(send_all(&first).await, "the same node");
    let (log, stores) = (Arc::clone(&first.log), first.stores.clone());
    let other = World::over(Arc::clone(&log), Clock::System);
    check(send_all(&other).await, "a node that takes the shards from it");
    drop((first, other));
    let restarted = World::with_stores(log, stores);
    check(send_all(&restarted).await, "the node after a restart");
}
