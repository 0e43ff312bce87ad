//! What is accepted comes back as it was sent, from the read models and from a verification of them.
#![expect(clippy::expect_used, reason = "a test that cannot go on says what it lacked")]

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json, value::RawValue};
use stack::eventually::eventually;
use tests::harness::{
    Stack,
    client::{Answer, Client, send},
};

use crate::shop::{SETTLE_WAIT_MAX, product, settled_order};

const PRODUCTS: u32 = 60;

/// The same cases in each run; each topic has its own.
pub(crate) fn runner(topic: u8) -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[topic; 32]);
    TestRunner::new_with_rng(Config::default(), rng)
}

pub(crate) fn draw<T>(runner: &mut TestRunner, values: &impl Strategy<Value = T>) -> T {
    values.new_tree(runner).expect("a case").current()
}

/// An attribute as JSON text. About half of the numbers cannot be kept.
fn attribute() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?",
        2 => any::<f64>().prop_filter("JSON has no others", |it| it.is_finite()).prop_map(|it| format!("{it:e}")),
        2 => (any::<i32>(), 0..20_u32).prop_map(|(digits, places)| format!("{digits}e-{places}")),
        2 => any::<i64>().prop_map(|it| it.to_string()),
        1 => any::<bool>().prop_map(|it| it.to_string()),
        1 => "\\PC{0,20}".prop_map(|text| Value::from(text).to_string()),
    ]
}

/// A number as (negative, digits, exponent) without zeros at its ends; anything else as it is.
fn canonical(json: &str) -> (bool, String, i64) {
    if !json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        let value: Value = serde_json::from_str(json).expect("JSON");
        return (false, value.to_string(), i64::MAX);
    }
    let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return (false, String::new(), 0);
    }
    let exponent: i64 = exponent.parse().expect("an exponent");
    let count = |length: usize| i64::try_from(length).expect("a short text");
    let exponent = exponent - count(fraction.len()) + count(digits.len() - kept.len());
    (json.starts_with('-'), kept.to_owned(), exponent)
}

async fn create(staff: &Client, sku: &str, attributes: &BTreeMap<String, String>) -> Answer {
    let members =
        attributes.iter().map(|(name, value)| format!("{}:{value}", Value::from(&**name)));
    let members: Vec<_> = members.collect();
    let body = format!(
        r#"{{"sku":"{sku}","name":"{sku}","price":{{"amount":1,"currency":"USD"}},"attributes":{{{}}}}}"#,
        members.join(",")
    );
    let request = staff.command(Method::POST, "/v1/products");
    send(request.header("content-type", "application/json").body(body)).await
}

#[derive(serde::Deserialize)]
struct Product {
    attributes: BTreeMap<String, Box<RawValue>>,
}

/// The attributes of a product as text.
async fn shown(staff: &Client, created: &Answer) -> BTreeMap<String, Box<RawValue>> {
    let path = format!("/v1/products/{}", created.text("/id"));
    let position = created.header("Tradewind-Position");
    let request = staff.query(&path).header("Tradewind-Position", position);
    let text = request.header("Prefer", "wait=30").send().await.expect("an answer");
    let text = text.text().await.expect("a body");
    serde_json::from_str::<Product>(&text).expect(&text).attributes
}

pub(crate) async fn verify(stack: &Stack, projection: &str) {
    let projector = stack.projector();
    let path = format!("/v1/admin/projections/{projection}/verify");
    let ordered = projector.post(&path, &json!({})).await.expect(202);
    let path =
        format!("/v1/admin/verifications/{}", ordered.body["id"].as_str().unwrap_or_default());
    let verified = eventually("it is verified", SETTLE_WAIT_MAX, || async {
        let answer = projector.get(&path).await;
        if answer.body["finished_at"].is_null() { Err(answer.body) } else { Ok(answer.body) }
    })
    .await;
    assert_eq!(verified["state"], "equal", "{verified}");
}

#[tokio::test]
async fn whatever_attributes_a_product_was_accepted_with_it_shows_and_proves() {
    let stack = Stack::start().await;
    let (staff, mut runner, mut accepted) = (stack.staff(), runner(17), 0);
    let fixed: Vec<_> = "1e17 2.56e16 1.0 0.1 0.30000000000000004 9223372036854775807 -0.0 \
        1.7976931348623157e308 18446744073709551615 1e400 5e-324 1e-100 3.141592653589793238"
        .split_whitespace()
        .collect();
    for number in 0..PRODUCTS {
        let attributes = prop::collection::btree_map("\\PC{0,10}", attribute(), 1..3);
        let mut attributes = draw(&mut runner, &attributes);
        if let Some(fixed) = fixed.get(usize::try_from(number).expect("a small number")) {
            attributes = BTreeMap::from([("fixed".to_owned(), (*fixed).to_owned())]);
        }
        let created = create(&staff, &format!("P-{number}"), &attributes).await;
        if created.status != 201 {
            let refused = created.expect_problem(422, "invalid_field");
            let pointer = refused.text("/errors/0/pointer");
            assert!(pointer.starts_with("/attributes/"), "{pointer}: {}", refused.body);
            continue;
        }
        accepted += 1;
        let shown = shown(&staff, &created).await;
        let found: Vec<_> =
            shown.iter().map(|(name, value)| (name.clone(), canonical(value.get()))).collect();
        let sent: Vec<_> =
            attributes.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
        assert_eq!(found, sent, "{attributes:?}");
        // The next event reads the row that the first one made.
        let path = format!("/v1/products/{}/publish", created.text("/id"));
        let _published = staff.post(&path, &json!({})).await.expect(200);
    }
    assert!((PRODUCTS / 4..PRODUCTS).contains(&accepted), "{accepted} of {PRODUCTS}");
    verify(&stack, "products").await;
    let letters = stack.projector().get("/v1/admin/dead-letters").await.expect(200);
    assert_eq!(letters.body["items"], json!([]), "{}", letters.body);
    stack.finish().await;
}

#[tokio::test]
async fn a_sale_of_any_accepted_day_is_found_and_counted() {
    let stack = Stack::start().await;
    product(&stack, "tea", 450, 10).await;
    let (staff, analyst) = (stack.staff(), stack.analyst());
    for (occurred_at, placed_at, week) in [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z", "0001-W01"),
        ("1969-12-31T23:59:59.9999999-00:00", "1969-12-31T23:59:59.999999Z", "1970-W01"),
        ("2017-01-01t01:30:00+02:00", "2016-12-31T23:30:00.000000Z", "2016-W52"),
    ] {
        let lines = json!({"currency": "USD", "lines": [{"sku": "tea", "quantity": 1}]});
        let cart = staff.post("/v1/carts", &lines).await.expect(201);
        let path = format!("/v1/carts/{}/checkout", cart.text("/id"));
        let sale = json!({"channel": "pos", "occurred_at": occurred_at, "payment": {"method_token": "cash"}});
        let checkout = staff.post(&path, &sale).await.expect(202);
        let order = settled_order(&stack, &checkout).await;
        assert_eq!(
            (&order["status"], &order["placed_at"]),
            (&json!("confirmed"), &json!(placed_at))
        );
        let day = &placed_at[..10];
        let report = format!("/v1/reports/sales?group_by=day,week&from={day}&to={day}");
        let expected = json!([{"day": day, "week": week, "orders": 1, "units": 1,
            "revenue": {"amount": 450, "currency": "USD"}}]);
        eventually("the sale is counted", SETTLE_WAIT_MAX, || async {
            let body = analyst.get(&report).await.body;
            if body["items"] == expected { Ok(()) } else { Err(body) }
        })
        .await;
    }
    for projection in ["orders", "sales", "carts"] {
        verify(&stack, projection).await;
    }
    stack.finish().await;
}
