use axum::http::StatusCode;
use domain::api_key::Role;
use expect_test::{Expect, expect};

use super::*;
use crate::http::testing::Answer;

async fn check(problem: Problem, expected: Expect) {
    let answer = Answer::of(problem.into_response()).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let headers = ["retry-after", "www-authenticate"].map(|name| answer.header(name).to_owned());
    expected.assert_eq(format!("{} {}", answer.told(), headers.join(" ").trim()).trim_end());
}

macro_rules! bodies {
    ($($name:ident: $problem:expr => $expected:expr;)+) => {
        $(#[tokio::test]
        async fn $name() {
            check($problem, $expected).await;
        })+
    };
}

bodies! {
    bad_request: Problem::bad_request("invalid_cursor", "send it back unchanged") => expect![[r#"400 {"code":"invalid_cursor","detail":"send it back unchanged","status":400,"title":"Invalid cursor","type":"urn:tradewind:problem:invalid_cursor"}"#]];
    rejected: Problem::rejected(StatusCode::CONFLICT, "stock.insufficient".to_owned(), "1 is left") => expect![[r#"409 {"code":"stock.insufficient","detail":"1 is left","status":409,"title":"Stock insufficient","type":"urn:tradewind:problem:stock.insufficient"}"#]];
    invalid_key: Problem::invalid_key() => expect![[r#"401 {"code":"invalid_key","detail":"the API key is unknown, expired or revoked","status":401,"title":"Invalid key","type":"urn:tradewind:problem:invalid_key"} Bearer realm="tradewind""#]];
    unauthenticated: Problem::unauthenticated() => expect![[r#"401 {"code":"unauthenticated","detail":"send an API key as `Authorization: Bearer <key>`","status":401,"title":"Unauthenticated","type":"urn:tradewind:problem:unauthenticated"} Bearer realm="tradewind""#]];
    forbidden: Problem::forbidden(Role::Staff) => expect![[r#"403 {"code":"forbidden","detail":"this needs the role `staff`","status":403,"title":"Forbidden","type":"urn:tradewind:problem:forbidden"}"#]];
    not_found: Problem::not_found("there is no such order") => expect![[r#"404 {"code":"not_found","detail":"there is no such order","status":404,"title":"Not found","type":"urn:tradewind:problem:not_found"}"#]];
    method_not_allowed: Problem::method_not_allowed() => expect![[r#"405 {"code":"method_not_allowed","detail":"this path exists, but not for this method","status":405,"title":"Method not allowed","type":"urn:tradewind:problem:method_not_allowed"}"#]];
    request_timeout: Problem::request_timeout("no line came for too long") => expect![[r#"408 {"code":"request_timeout","detail":"no line came for too long","status":408,"title":"Request timeout","type":"urn:tradewind:problem:request_timeout"}"#]];
    conflict: Problem::conflict("under_way", "the same request is still under way") => expect![[r#"409 {"code":"under_way","detail":"the same request is still under way","status":409,"title":"Under way","type":"urn:tradewind:problem:under_way"}"#]];
    precondition_failed: Problem::precondition_failed("the revision is 4") => expect![[r#"412 {"code":"precondition_failed","detail":"the revision is 4","status":412,"title":"Precondition failed","type":"urn:tradewind:problem:precondition_failed"}"#]];
    body_too_large: Problem::body_too_large(1_048_576) => expect![[r#"413 {"code":"body_too_large","detail":"a body may have at most 1048576 bytes","status":413,"title":"Body too large","type":"urn:tradewind:problem:body_too_large"}"#]];
    unsupported_media_type: Problem::unsupported_media_type("application/json") => expect![[r#"415 {"code":"unsupported_media_type","detail":"the body must be application/json; say so in Content-Type","status":415,"title":"Unsupported media type","type":"urn:tradewind:problem:unsupported_media_type"}"#]];
    idempotency_key_reused: Problem::idempotency_key_reused() => expect![[r#"422 {"code":"idempotency_key_reused","detail":"this Idempotency-Key was used for another request; take a new one","status":422,"title":"Idempotency key reused","type":"urn:tradewind:problem:idempotency_key_reused"}"#]];
    internal: Problem::internal("SELECT secret FROM db-1") => expect![[r#"500 {"code":"internal","detail":"something went wrong on our side; quote the trace id when you report it","status":500,"title":"Internal","type":"urn:tradewind:problem:internal"}"#]];
    overloaded: Problem::overloaded() => expect![[r#"503 {"code":"overloaded","detail":"too many requests are under way; try again shortly","status":503,"title":"Overloaded","type":"urn:tradewind:problem:overloaded"} 1"#]];
    deadline_exceeded: Problem::deadline_exceeded() => expect![[r#"503 {"code":"deadline_exceeded","detail":"the answer took too long and may still come true; send the same request with the same Idempotency-Key again","status":503,"title":"Deadline exceeded","type":"urn:tradewind:problem:deadline_exceeded"} 1"#]];
    stale: Problem::stale() => expect![[r#"503 {"code":"stale","detail":"what you wrote is not visible here yet; ask again, or wait longer with `Prefer: wait=<seconds>`","status":503,"title":"Stale","type":"urn:tradewind:problem:stale"} 1"#]];
    one_field: Problem::invalid_field("/sku", "required", "must not be empty") => expect![[r#"422 {"code":"invalid_field","detail":"`/sku`: must not be empty","errors":[{"code":"required","detail":"must not be empty","pointer":"/sku"}],"status":422,"title":"Invalid field","type":"urn:tradewind:problem:invalid_field"}"#]];
}

#[tokio::test]
async fn what_went_wrong_inside_stays_inside() {
    let problem = Problem::unavailable("unavailable", "try again").caused_by("db-1 is down");
    let answer = Answer::of(problem.into_response()).await;
    assert!(!answer.told().contains("db-1"));
}

#[test]
fn the_code_in_words_is_the_title() {
    assert_eq!(title("stock.insufficient"), "Stock insufficient");
    assert_eq!(title(""), "");
}
