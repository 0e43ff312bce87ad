use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    http::{Request, header},
    routing::{get as on_get, post as on_post},
};
use domain::{
    id::{OrderId, Sku},
    money::Money,
    timestamp::Timestamp,
};
use expect_test::expect;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::*;
use crate::http::{
    bounded::Bounded,
    fields::{Fields, Validate},
    testing::{Answer, app, get, post, send},
    values::{Text, Whole},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some are read through Debug only")]
struct Cart {
    email: Text<10>,
    lines: Bounded<Line, 2, 1>,
    at: Option<Timestamp>,
    price: Option<Money>,
    channel: Option<Channel>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "some are read through Debug only")]
struct Line {
    sku: Sku,
    quantity: Whole<u32, 1, 100>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Channel {
    Web,
}

impl Validate for Cart {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/email", &self.email);
        fields.each("/lines", &self.lines);
    }
}

impl Validate for Line {
    fn validate(&self, fields: &mut Fields) {
        fields.value("/quantity", &self.quantity);
    }
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they are read through Debug only")]
struct Filter {
    status: Option<Channel>,
    min: Option<u32>,
    q: Option<String>,
}

impl Validate for Filter {}

#[derive(Deserialize, IntoParams)]
struct Lot {
    #[param(value_type = String)]
    sku: Sku,
    lot: u8,
}

fn routes() -> Router {
    app(Router::new()
        .route("/carts", on_post(async |Json(cart): Json<Cart>| format!("{cart:?}")))
        .route("/any", on_post(async |Json(any): Json<serde_json::Value>| any.to_string()))
        .route("/empty", on_post(async |Json(filter): Json<Filter>| format!("{filter:?}")))
        .route("/orders", on_get(async |Query(filter): Query<Filter>| format!("{filter:?}")))
        .route("/orders/{id}", on_get(async |Id(id): Id<OrderId>| id.to_string()))
        .route(
            "/stock/{id}/{lot}/{sku}",
            on_get(async |Id(id): Id<Uuid>, Path(Lot { sku, lot }): Path<Lot>| {
                format!("{id} {lot} {sku}")
            }),
        ))
}

/// A line for the answer and one for each field; the whole body is in the tests of problems.
fn summary(answer: &Answer) -> String {
    let (status, body) = (answer.status, &answer.body);
    let text =
        |value: &serde_json::Value, name: &str| value[name].as_str().unwrap_or("").to_owned();
    let Some(errors) = body["errors"].as_array() else {
        let problem = format!("{} {}", text(body, "code"), text(body, "detail"));
        return format!("{status} {}", body.as_str().unwrap_or(&problem));
    };
    let lines = errors.iter().map(|error| {
        format!("\n{} {}: {}", text(error, "pointer"), text(error, "code"), text(error, "detail"))
    });
    format!("{status} {}{}", text(body, "code"), lines.collect::<String>())
}

async fn accepts(path: &str, expected: &str) {
    let answer = get(&routes(), path).await;
    assert_eq!(summary(&answer), format!("200 {expected}"));
}

/// A cart is refused with these errors.
async fn refuses(json: impl Into<Body>, errors: &str) {
    let answer = post(&routes(), "/carts", json).await;
    assert_eq!(summary(&answer), format!("422 invalid_field\n{errors}"));
}

/// A cart with such a line.
async fn refuses_line(line: &str, errors: &str) {
    refuses(format!(r#"{{"email": "a", "lines": [{line}]}}"#), errors).await;
}

/// A cart that would be good without this member.
fn cart_with(member: &str) -> String {
    format!(r#"{{"email": "a", "lines": [{{"sku": "A", "quantity": 1}}], {member}}}"#)
}

async fn refuses_member(member: &str, errors: &str) {
    refuses(cart_with(member), errors).await;
}

async fn refuses_path(path: &str, errors: &str) {
    let answer = get(&routes(), path).await;
    assert_eq!(summary(&answer), format!("422 invalid_field\n{errors}"));
}

async fn is_malformed(json: &'static str, detail: &str) {
    let answer = post(&routes(), "/carts", json).await;
    assert_eq!(summary(&answer), format!("400 malformed_json the body is not JSON: {detail}"));
}

#[tokio::test]
async fn a_good_body_is_read() {
    let line = r#"{"sku": "A-1", "quantity": 2}"#;
    let price = r#"{"amount": 1, "currency": "USD"}"#;
    let json = format!(r#"{{"email": "a@b", "lines": [{line}], "price": {price}}}"#);
    expect![[r#"200 Cart { email: Text("a@b"), lines: Bounded([Line { sku: Sku("A-1"), quantity: Whole(2) }]), at: None, price: Some(Money { amount: 1, currency: USD }), channel: None }"#]]
        .assert_eq(&summary(&post(&routes(), "/carts", json).await));
}

#[tokio::test]
async fn broken_json_is_malformed() {
    is_malformed(r#"{"email": "#, "EOF while parsing a value at line 1 column 10").await;
    is_malformed(r#"{"email": "a"} more"#, "trailing characters at line 1 column 16").await;
}

#[tokio::test]
async fn a_wrong_type_names_its_place() {
    let (text, below) = (r#"{"sku": "A", "quantity": "two"}"#, r#"{"sku": "A", "quantity": -1}"#);
    refuses_line(text, "/lines/0/quantity wrong_type: must be a whole number").await;
    refuses_line(below, "/lines/0/quantity out_of_range: must be between 1 and 100").await;
    refuses("[]", " wrong_type: must be an object").await;
}

const NO_SKU: &str = "invalid: a SKU has 1 to 64 characters of A-Z a-z 0-9 . _ -";

#[tokio::test]
async fn a_domain_type_says_what_it_takes() {
    refuses_line(r#"{"sku": "a b", "quantity": 1}"#, &format!("/lines/0/sku {NO_SKU}")).await;
    let no_time = "/at invalid: not an RFC 3339 time such as 2026-01-31T12:00:00Z";
    refuses_member(r#""at": "yesterday""#, no_time).await;
    let no_currency = "/price/currency invalid: not an ISO 4217 currency code such as USD";
    refuses_member(r#""price": {"amount": 1, "currency": "usd"}"#, no_currency).await;
    let no_channel = "/channel unknown_value: must be one of `web`";
    refuses_member(r#""channel": "fax""#, no_channel).await;
}

#[tokio::test]
async fn missing_and_unknown_fields_are_named() {
    refuses_line(r#"{"sku": "A"}"#, "/lines/0/quantity required: is required").await;
    let known = "known are `email`, `lines`, `at`, `price`, `channel`";
    let unknown = format!("/a~1b unknown_field: is not known here; {known}");
    refuses_member(r#""a/b": 1"#, &unknown).await;
    refuses("", "/email required: is required").await;
}

#[tokio::test]
async fn all_invalid_fields_come_at_once() {
    let lines = r#"{"sku": "A", "quantity": 0}, {"sku": "A", "quantity": 101}"#;
    let errors = "\
/email required: must not be empty
/lines/0/quantity out_of_range: must be between 1 and 100
/lines/1/quantity out_of_range: must be between 1 and 100";
    refuses(format!(r#"{{"email": " ", "lines": [{lines}]}}"#), errors).await;
}

#[tokio::test]
async fn a_list_has_bounds_and_nobody_looks_at_its_items_before() {
    let few = "/lines required: must have at least one item";
    refuses(r#"{"email": " ", "lines": []}"#, few).await;
    let lines = vec![r#"{"sku": "A", "quantity": 0}"#; 30_000].join(",");
    refuses_line(&lines, "/lines too_many: must have at most 2 items").await;
}

#[tokio::test]
async fn an_answer_is_short_whatever_it_answers() {
    let long = "x".repeat(BODY_BYTES_MAX / 4);
    let unknown_field = format!(r#"{{"email": "a", "{long}": 1}}"#);
    let in_words = cart_with(&format!(r#""channel": "{long}""#));
    let bad_items = vec![r#""\u0000""#; 10_000].join(",");
    let deep = format!(r#"{{"{long}": {{"{long}": [{bad_items}]}}}}"#);
    for (path, body) in [("/carts", unknown_field), ("/carts", in_words), ("/any", deep)] {
        let answer = post(&routes(), path, body).await;
        let length = answer.body.to_string().len();
        assert_eq!(answer.code(), "invalid_field");
        assert!(length < 64 << 10, "{length} bytes");
        for error in answer.body["errors"].as_array().unwrap() {
            let pointer = error["pointer"].as_str().unwrap();
            assert!(pointer.len() <= 256 + '…'.len_utf8(), "{}", pointer.len());
        }
    }
}

#[tokio::test]
async fn control_characters_are_refused_wherever_they_hide() {
    let refused =
        "control_character: must not contain control characters other than tab and newline";
    for character in [r"\u0000", r"\b", r"\f", r"\r", r"\u001F", r"\u007f", "\u{7f}", "\u{85}"] {
        let line = r#"{"sku": "A", "quantity": 1}"#;
        let body = format!(r#"{{"email": "a{character}", "lines": [{line}]}}"#);
        refuses(body, &format!("/email {refused}")).await;
    }
    let fine = r#"{"email": "a\t\n\u00e4\"\\", "lines": [{"sku": "A", "quantity": 1}]}"#;
    assert_eq!(post(&routes(), "/carts", fine).await.status, 200);
    refuses_path("/orders?q=a%00", &format!("/q {refused}")).await;
}

#[tokio::test]
async fn an_empty_body_counts_as_no_fields() {
    let request = Request::post("/empty").body(Body::empty()).unwrap();
    assert_eq!(send(&routes(), request).await.status, 200);
}

async fn with_content_type(kind: &str) -> Answer {
    let request = Request::post("/empty").header(header::CONTENT_TYPE, kind);
    send(&routes(), request.body("{}".into()).unwrap()).await
}

#[tokio::test]
async fn only_json_is_taken() {
    for good in ["application/json", "application/JSON; charset=utf-8", "application/vnd.x+json"] {
        assert_eq!(with_content_type(good).await.status, 200, "{good}");
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json", ""]
    {
        assert_eq!(with_content_type(bad).await.code(), "unsupported_media_type", "{bad}");
    }
}

#[tokio::test]
async fn a_body_has_a_limit_announced_or_not() {
    let answer = post(&routes(), "/empty", vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!(answer.code(), "body_too_large");
    let chunks = (0..2).map(|_| Ok::<_, std::io::Error>(vec![b' '; BODY_BYTES_MAX]));
    let streamed = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(post(&routes(), "/empty", streamed).await.code(), "body_too_large");
    let mut largest = vec![b' '; BODY_BYTES_MAX - 2];
    largest.extend_from_slice(b"{}");
    assert_eq!(post(&routes(), "/empty", largest).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, Infallible>>());
    let answer = post(&routes(), "/empty", never).await;
    assert_eq!((answer.status, answer.code()), (408, "request_timeout"));
}

#[tokio::test]
async fn parameters_are_checked() {
    accepts("/orders?status=web&min=3", "Filter { status: Some(Web), min: Some(3), q: None }")
        .await;
    refuses_path("/orders?min=3&min=4", "/min duplicate: must be given only once").await;
    refuses_path("/orders?min=three", "/min invalid: must be a whole number").await;
    refuses_path("/orders?status=fax", "/status unknown_value: must be one of `web`").await;
    let no_id = "/id invalid: must be a UUID such as 0198c0de-0000-7000-8000-000000000001";
    refuses_path("/orders/17", no_id).await;
    refuses_path("/orders/%ff", "/id invalid: must be text in UTF-8").await;
    const ID: &str = "00000000-0000-0000-0000-000000000007";
    accepts(&format!("/stock/{ID}/1/A"), &format!("{ID} 1 A")).await;
    // The type itself would take it.
    refuses_path("/stock/00000000000000000000000000000007/1/A", no_id).await;
    refuses_path(&format!("/stock/{ID}/1/a%20b"), &format!("/sku {NO_SKU}")).await;
    let no_lot = "/lot invalid: must be a whole number from 0 to 255";
    refuses_path(&format!("/stock/{ID}/1000/A"), no_lot).await;
}

#[tokio::test]
async fn a_list_is_no_object_however_deep_it_lies() {
    refuses(r#"["a@b", []]"#, " wrong_type: must be an object").await;
    refuses_line(r#"["A-1", 2]"#, "/lines/0 wrong_type: must be an object").await;
    refuses_member(r#""price": [7, "EUR"]"#, "/price wrong_type: must be an object").await;
    post(&routes(), "/empty", "[]").await.expect_problem(422, "invalid_field");
}

#[tokio::test]
async fn a_word_of_a_list_is_a_text() {
    for body in [r#"{"web": null}"#, r#"{"web": {}}"#, "{}", r#"["web"]"#, "7"] {
        let body = cart_with(&format!(r#""channel": {body}"#));
        post(&routes(), "/carts", body).await.expect_invalid("/channel");
    }
}

#[tokio::test]
async fn a_name_stands_once_in_its_object() {
    let twice = |place: &str| format!("{place} duplicate: must stand only once in its object");
    refuses_member(r#""email": "b""#, &twice("/email")).await;
    let escaped = r#"{"sku": "A", "quantity": 1, "\u0073ku": "B"}"#;
    refuses_line(escaped, &twice("/lines/0/sku")).await;
    // What no type looks into is no place to hide.
    let deep = r#"{"sku": "A", "quantity": 1, "more": {"x": [{"y": 1, "y": 2}]}}"#;
    refuses_line(deep, &twice("/lines/0/more/x/0/y")).await;
    let apart =
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 1}]}"#;
    assert_eq!(post(&routes(), "/carts", apart).await.status, 200);
}

#[tokio::test]
async fn a_number_out_of_range_is_no_broken_json() {
    let beyond = "out_of_range: is a number out of range";
    let line = r#"{"sku": "A", "quantity": 1e400}"#;
    refuses_line(line, &format!("/lines/0/quantity {beyond}")).await;
    let price = |amount: &str| format!(r#""price": {{"amount": {amount}, "currency": "USD"}}"#);
    refuses_member(&price("-1e999"), &format!("/price/amount {beyond}")).await;
    refuses_member(&price("1e3"), "/price/amount wrong_type: must be a whole number").await;
}
