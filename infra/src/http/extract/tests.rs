use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    routing::{get as on_get, post as on_post},
};
use domain::{
    id::{OrderId, Sku},
    money::Money,
    timestamp::Timestamp,
};
use expect_test::{Expect, expect};
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
    let (status, body) = (answer.status.as_u16(), &answer.body);
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

async fn check_body(json: &str, expected: Expect) {
    expected.assert_eq(&summary(&post(&routes(), "/carts", json.to_owned()).await));
}

async fn check_path(path: &str, expected: Expect) {
    expected.assert_eq(&summary(&get(&routes(), path).await));
}

#[tokio::test]
async fn a_good_body_is_read() {
    check_body(
        r#"{"email": "a@b", "lines": [{"sku": "A-1", "quantity": 2}], "price": {"amount": 1, "currency": "USD"}}"#,
        expect![[r#"200 Cart { email: Text("a@b"), lines: Bounded([Line { sku: Sku("A-1"), quantity: Whole(2) }]), at: None, price: Some(Money { amount: 1, currency: USD }), channel: None }"#]],
    )
    .await;
}

#[tokio::test]
async fn broken_json_is_malformed() {
    check_body(
        r#"{"email": "#,
        expect![
            "400 malformed_json the body is not JSON: EOF while parsing a value at line 1 column 10"
        ],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}]} more"#,
        expect!["400 malformed_json the body is not JSON: trailing characters at line 1 column 56"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_type_names_its_place() {
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": "two"}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/quantity wrong_type: must be a whole number"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": -1}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/quantity out_of_range: must be between 1 and 100"#]],
    )
    .await;
    check_body(
        "[]",
        expect![[r#"
            422 invalid_field
             wrong_type: must be an object"#]],
    )
    .await;
}

#[tokio::test]
async fn a_domain_type_says_what_it_takes() {
    check_body(
        r#"{"email": "a", "lines": [{"sku": "a b", "quantity": 1}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/sku invalid: a SKU has 1 to 64 characters of A-Z a-z 0-9 . _ -"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "at": "yesterday"}"#,
        expect![[r#"
            422 invalid_field
            /at invalid: not an RFC 3339 time such as 2026-01-31T12:00:00Z"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "price": {"amount": 1, "currency": "usd"}}"#,
        expect![[r#"
            422 invalid_field
            /price/currency invalid: not an ISO 4217 currency code such as USD"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "channel": "fax"}"#,
        expect![[r#"
            422 invalid_field
            /channel unknown_value: must be one of `web`"#]],
    )
    .await;
}

#[tokio::test]
async fn missing_and_unknown_fields_are_named() {
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A"}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/quantity required: is required"#]],
    )
    .await;
    check_body(r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "a/b": 1}"#, expect![[r#"
        422 invalid_field
        /a~1b unknown_field: is not known here; known are `email`, `lines`, `at`, `price`, `channel`"#]]).await;
    check_body(
        "",
        expect![[r#"
            422 invalid_field
            /email required: is required"#]],
    )
    .await;
}

#[tokio::test]
async fn all_invalid_fields_come_at_once() {
    check_body(
        r#"{"email": " ", "lines": [{"sku": "A", "quantity": 0}, {"sku": "A", "quantity": 101}]}"#,
        expect![[r#"
            422 invalid_field
            /email required: must not be empty
            /lines/0/quantity out_of_range: must be between 1 and 100
            /lines/1/quantity out_of_range: must be between 1 and 100"#]],
    )
    .await;
}

#[tokio::test]
async fn a_list_has_bounds_and_nobody_looks_at_its_items_before() {
    check_body(
        r#"{"email": " ", "lines": []}"#,
        expect![[r#"
        422 invalid_field
        /lines required: must have at least one item"#]],
    )
    .await;
    let lines = vec![r#"{"sku": "A", "quantity": 0}"#; 30_000].join(",");
    let body = format!(r#"{{"email": "a", "lines": [{lines}]}}"#);
    check_body(
        &body,
        expect![[r#"
        422 invalid_field
        /lines too_many: must have at most 2 items"#]],
    )
    .await;
}

#[tokio::test]
async fn an_answer_is_short_whatever_it_answers() {
    let long = "x".repeat(BODY_BYTES_MAX / 4);
    let unknown_field = format!(r#"{{"email": "a", "{long}": 1}}"#);
    let in_words = format!(
        r#"{{"email": "a", "lines": [{{"sku": "A", "quantity": 1}}], "channel": "{long}"}}"#
    );
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
    check_body(
        r#"{"email": "a\u0000", "lines": [{"sku": "A", "quantity": 1}]}"#,
        expect![[r#"
            422 invalid_field
            /email control_character: must not contain control characters other than tab and newline"#]],
    )
    .await;
    let escaped = [r"\b", r"\f", r"\r", r"\u001F", r"\u007f", "\u{7f}", "\u{85}"];
    for character in escaped {
        let body =
            format!(r#"{{"email": "a{character}", "lines": [{{"sku": "A", "quantity": 1}}]}}"#);
        let answer = post(&routes(), "/carts", body).await;
        assert_eq!(answer.body["errors"][0]["code"], "control_character", "{character:?}");
    }
    let fine = r#"{"email": "a\t\n\u00e4\"\\", "lines": [{"sku": "A", "quantity": 1}]}"#;
    assert_eq!(post(&routes(), "/carts", fine).await.status, StatusCode::OK);
    check_path(
        "/orders?q=a%00",
        expect![[r#"
            422 invalid_field
            /q control_character: must not contain control characters other than tab and newline"#]],
    )
    .await;
}

#[tokio::test]
async fn an_empty_body_counts_as_no_fields() {
    let request = Request::post("/empty").body(Body::empty()).unwrap();
    assert_eq!(send(&routes(), request).await.status, StatusCode::OK);
}

async fn with_content_type(kind: &str) -> Answer {
    let request = Request::post("/empty").header(header::CONTENT_TYPE, kind);
    send(&routes(), request.body("{}".into()).unwrap()).await
}

#[tokio::test]
async fn only_json_is_taken() {
    for good in ["application/json", "application/JSON; charset=utf-8", "application/vnd.x+json"] {
        assert_eq!(with_content_type(good).await.status, StatusCode::OK, "{good}");
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
    assert_eq!(post(&routes(), "/empty", largest).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, Infallible>>());
    let answer = post(&routes(), "/empty", never).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::REQUEST_TIMEOUT, "request_timeout"));
}

#[tokio::test]
async fn parameters_are_checked() {
    check_path(
        "/orders?status=web&min=3",
        expect!["200 Filter { status: Some(Web), min: Some(3), q: None }"],
    )
    .await;
    check_path(
        "/orders?min=3&min=4",
        expect![[r#"
            422 invalid_field
            /min duplicate: must be given only once"#]],
    )
    .await;
    check_path(
        "/orders?min=three",
        expect![[r#"
            422 invalid_field
            /min invalid: must be a whole number"#]],
    )
    .await;
    check_path(
        "/orders?status=fax",
        expect![[r#"
            422 invalid_field
            /status unknown_value: must be one of `web`"#]],
    )
    .await;
    check_path(
        "/orders/17",
        expect![[r#"
            422 invalid_field
            /id invalid: must be a UUID such as 0198c0de-0000-7000-8000-000000000001"#]],
    )
    .await;
    check_path(
        "/orders/%ff",
        expect![[r#"
            422 invalid_field
            /id invalid: must be text in UTF-8"#]],
    )
    .await;
    const PLACE: &str = "/stock/00000000-0000-0000-0000-000000000007";
    check_path(&format!("{PLACE}/1/A"), expect!["200 00000000-0000-0000-0000-000000000007 1 A"])
        .await;
    // The type itself would take it.
    check_path(
        "/stock/00000000000000000000000000000007/1/A",
        expect![[r#"
            422 invalid_field
            /id invalid: must be a UUID such as 0198c0de-0000-7000-8000-000000000001"#]],
    )
    .await;
    check_path(
        &format!("{PLACE}/1/a%20b"),
        expect![[r#"
            422 invalid_field
            /sku invalid: a SKU has 1 to 64 characters of A-Z a-z 0-9 . _ -"#]],
    )
    .await;
    check_path(
        &format!("{PLACE}/1000/A"),
        expect![[r#"
            422 invalid_field
            /lot invalid: must be a whole number from 0 to 255"#]],
    )
    .await;
}

#[tokio::test]
async fn a_list_is_no_object_however_deep_it_lies() {
    check_body(
        r#"["a@b", []]"#,
        expect![[r#"
            422 invalid_field
             wrong_type: must be an object"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [["A-1", 2]]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0 wrong_type: must be an object"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "price": [7, "EUR"]}"#,
        expect![[r#"
            422 invalid_field
            /price wrong_type: must be an object"#]],
    )
    .await;
    let empty = post(&routes(), "/empty", "[]").await;
    assert_eq!((empty.status.as_u16(), empty.code()), (422, "invalid_field"));
}

#[tokio::test]
async fn a_word_of_a_list_is_a_text() {
    for body in [r#"{"web": null}"#, r#"{"web": {}}"#, "{}", r#"["web"]"#, "7"] {
        let body = format!(
            r#"{{"email": "a", "lines": [{{"sku": "A", "quantity": 1}}], "channel": {body}}}"#
        );
        let answer = post(&routes(), "/carts", body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "invalid_field"), "{body}");
        assert_eq!(answer.body["errors"][0]["pointer"], "/channel", "{body}");
    }
}

#[tokio::test]
async fn a_name_stands_once_in_its_object() {
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "email": "b"}"#,
        expect![[r#"
            422 invalid_field
            /email duplicate: must stand only once in its object"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1, "\u0073ku": "B"}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/sku duplicate: must stand only once in its object"#]],
    )
    .await;
    // What no type looks into is no place to hide.
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1, "more": {"x": [{"y": 1, "y": 2}]}}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/more/x/0/y duplicate: must stand only once in its object"#]],
    )
    .await;
    let apart =
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 1}]}"#;
    assert_eq!(post(&routes(), "/carts", apart).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_number_out_of_range_is_no_broken_json() {
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1e400}]}"#,
        expect![[r#"
            422 invalid_field
            /lines/0/quantity out_of_range: is a number out of range"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "price": {"amount": -1e999, "currency": "USD"}}"#,
        expect![[r#"
            422 invalid_field
            /price/amount out_of_range: is a number out of range"#]],
    )
    .await;
    check_body(
        r#"{"email": "a", "lines": [{"sku": "A", "quantity": 1}], "price": {"amount": 1e3, "currency": "USD"}}"#,
        expect![[r#"
            422 invalid_field
            /price/amount wrong_type: must be a whole number"#]],
    )
    .await;
}
