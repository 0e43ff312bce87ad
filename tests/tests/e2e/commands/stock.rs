//! Commands of the stock, and batches, which carry any command.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use tests::harness::client::{Answer, send};

use super::{
    CASES,
    products::{as_created, assert_is, new_product},
    sent::{Values, draw, needed, object, optional, runner, sku, text},
    tried::{Tried, assert_shows},
};

const ON_HAND_MAX: i64 = 1_000_000_000;

fn receipt() -> Values {
    let quantity = prop_oneof![
        6 => 1..1_000_000_i64,
        3 => select(vec![1, ON_HAND_MAX]),
        1 => select(vec![0, -1, ON_HAND_MAX + 1, i64::from(u32::MAX), i64::from(u32::MAX) + 1]),
    ];
    let quantity = prop_oneof![12 => quantity.prop_map(Value::from), 1 => Just(json!(5.0))];
    object(vec![("quantity", needed(quantity)), ("reference", optional(text(200)))])
}

fn correction(on_hand: i64) -> Values {
    let delta = prop_oneof![
        3 => -on_hand..=ON_HAND_MAX - on_hand,
        3 => select(vec![0, 1, -on_hand, ON_HAND_MAX - on_hand]),
        1 => select(vec![-on_hand - 1, ON_HAND_MAX - on_hand + 1, i64::MIN, i64::MAX]),
    ];
    object(vec![("delta", needed(delta.prop_map(Value::from))), ("reason", needed(text(200)))])
}

/// Whole numbers may be written with a decimal point; no one here is too long for a double.
fn whole(number: &Value) -> i64 {
    number.as_f64().expect("a number").to_string().parse().expect("a whole one")
}

fn stock(sku: &str, on_hand: i64) -> Value {
    json!({"sku": sku, "on_hand": on_hand, "reserved": 0, "available": on_hand})
}

pub(super) async fn try_all(tried: &Tried<'_>) {
    let mut runner = runner(2);
    let (mut known, staff) = (BTreeMap::new(), &tried.staff);
    for case in 0..CASES {
        let sku =
            if case % 4 == 3 { any_of(&mut runner, &known) } else { draw(&mut runner, &sku()) };
        let (body, path) = (draw(&mut runner, &receipt()), format!("/v1/stock/{sku}"));
        let answer = staff.post(&format!("{path}/receive"), &body).await;
        let command = "POST /v1/stock/{sku}/receive";
        let Some(received) = tried.judge(command, &body, answer) else { continue };
        let on_hand = known.entry(sku.clone()).or_default();
        *on_hand += whole(&body["quantity"]);
        assert_shows(&tried.shown(&path, &received).await, &stock(&sku, *on_hand));
        tried.logs(&received, body);
    }
    for _ in 0..CASES {
        let sku = any_of(&mut runner, &known);
        let on_hand = known.entry(sku.clone()).or_default();
        let (body, path) = (draw(&mut runner, &correction(*on_hand)), format!("/v1/stock/{sku}"));
        let answer = staff.post(&format!("{path}/adjust"), &body).await;
        let command = "POST /v1/stock/{sku}/adjust";
        let Some(adjusted) = tried.judge(command, &body, answer) else { continue };
        let delta = whole(&body["delta"]);
        *on_hand += delta;
        assert_shows(&tried.shown(&path, &adjusted).await, &stock(&sku, *on_hand));
        if delta != 0 {
            tried.logs(&adjusted, body);
        }
    }
}

fn any_of(runner: &mut TestRunner, known: &BTreeMap<String, i64>) -> String {
    draw(runner, &select(known.keys().cloned().collect::<Vec<_>>()))
}

/// What a line of a batch asks for.
fn line() -> impl Strategy<Value = (Option<String>, Value)> {
    prop_oneof![(sku().prop_map(Some), receipt()), new_product().prop_map(|body| (None, body)),]
}

pub(super) async fn try_batches(tried: &Tried<'_>) {
    let mut runner = runner(3);
    // A batch has the answers of its lines, so it counts as often.
    let mut cases = 0;
    while cases < CASES {
        let sent = draw(&mut runner, &prop::collection::vec(line(), 2..8));
        cases += sent.len();
        let lines = sent.iter().map(|(sku, body)| {
            let path = match sku {
                Some(sku) => format!("/v1/stock/{sku}/receive"),
                None => "/v1/products".to_owned(),
            };
            format!("{}\n", json!({"method": "POST", "path": path, "body": body}))
        });
        let request = tried.staff.command(Method::POST, "/v1/batch");
        let request = request.header("content-type", "application/x-ndjson");
        let answers = send(request.body(lines.collect::<String>())).await.expect(200);
        let answers = answers.body.as_str().expect("lines").lines().map(answer);
        let answers: Vec<_> = answers.collect();
        assert_eq!(answers.len(), sent.len());
        for ((sku, body), answer) in sent.iter().zip(answers) {
            let Some(accepted) = tried.judge("POST /v1/batch", body, answer) else { continue };
            match sku {
                Some(sku) => {
                    let shown = tried.shown(&format!("/v1/stock/{sku}"), &accepted).await;
                    assert_shows(&shown, &stock(sku, whole(&body["quantity"])));
                    tried.logs(&accepted, body.clone());
                }
                None => {
                    let path = format!("/v1/products/{}", accepted.text("/id"));
                    assert_is(&tried.shown(&path, &accepted).await, &as_created(body));
                }
            }
        }
    }
}

/// A line's answer as if its command had been sent alone.
fn answer(line: &str) -> Answer {
    let line: Value = serde_json::from_str(line).expect(line);
    let (status, body) = (line["status"].as_u64().expect("a status"), line["body"].clone());
    let mut headers = HeaderMap::new();
    let header = |text: &str| HeaderValue::try_from(text).expect("a header");
    match body["position"].as_str() {
        Some(position) => headers.insert("Tradewind-Position", header(position)),
        None => headers.insert("content-type", header("application/problem+json")),
    };
    let status = u16::try_from(status).expect("a status");
    Answer::new(status, headers, &body.to_string().into())
}
