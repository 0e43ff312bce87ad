//! What holds for every request of every service.

use std::sync::Arc;

use axum::{Router, body::Body, extract::OriginalUri, http::Request, routing::get as on_get};
use expect_test::expect;
use serde::Deserialize;
use tokio::sync::Notify;

use super::{
    edge::Limits,
    extract::Query,
    fields::Validate,
    health::Readiness,
    page::{Cursor, Limit, Page},
    problem::Problem,
    testing::{app, app_with, get, ready_when, send, whole},
    trace::RequestContext,
};

fn routes() -> Router {
    app(items()
        .route("/panic", on_get(async || -> &str { panic!("secret plans") }))
        .route("/trace", on_get(async |context: RequestContext| context.trace.to_string())))
}

fn items() -> Router {
    Router::new().route("/items/{id}", on_get(async || "an item"))
}

#[tokio::test]
async fn a_path_that_is_not_there_is_a_problem() {
    let answer = get(&routes(), "/nowhere").await;
    assert_eq!(answer.body["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    expect![[r#"404 {"code":"not_found","detail":"there is nothing at this path","status":404,"title":"Not found","type":"urn:tradewind:problem:not_found"}"#]]
    .assert_eq(&answer.told());
}

#[tokio::test]
async fn a_method_that_is_not_there_tells_the_others() {
    let request = Request::delete("/items/1").body(Body::empty()).unwrap();
    let answer = send(&routes(), request).await;
    assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_method_that_is_not_there_is_a_problem_at_every_path() {
    let check = async |app: &Router, path: &str| {
        let answer = send(app, Request::post(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"), "{path}");
    };
    let app = whole(Router::new(), Limits::default());
    for path in ["/livez", "/readyz", "/openapi.json"] {
        check(&app.router(), path).await;
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        check(&app.ops(), path).await;
    }
}

#[tokio::test]
async fn clients_find_nothing_that_is_for_operators_or_nodes() {
    let internal = Router::new().route("/internal/v1/ask", on_get(async || "for nodes"));
    let app = whole(Router::new(), Limits::default());
    let app = app.with_internal(internal, Limits::default());
    for path in ["/metrics", "/internal/v1/ask"] {
        let answer = get(&app.router(), path).await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{path}");
        assert_eq!(get(&app.ops(), path).await.status, 200, "{path}");
    }
    assert_eq!(get(&app.ops(), "/v1/orders").await.code(), "not_found");
}

#[tokio::test]
async fn a_panic_is_a_problem_without_its_text() {
    expect![[r#"500 {"code":"internal","detail":"something went wrong on our side; quote the trace id when you report it","status":500,"title":"Internal","type":"urn:tradewind:problem:internal"}"#]]
    .assert_eq(&get(&routes(), "/panic").await.told());
}

#[tokio::test]
async fn the_trace_goes_through_and_back() {
    let answer = get(&routes(), "/trace").await;
    assert!(answer.header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_eq!(answer.body, answer.header("traceparent"));
    assert_eq!(answer.header("x-request-id"), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn a_request_id_is_echoed_if_it_is_printable() {
    for (sent, echoed) in [("my-id-1", true), ("", false), ("a b", false)] {
        let request = Request::get("/trace").header("x-request-id", sent);
        let answer = send(&routes(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("x-request-id") == sent, echoed, "{sent:?}");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_a_problem() {
    let slow = on_get(async || std::future::pending::<()>().await);
    let answer = get(&app(Router::new().route("/slow", slow)), "/slow").await;
    assert_eq!((answer.status, answer.code()), (503, "deadline_exceeded"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn more_requests_than_the_limit_are_refused_at_once() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        async move || {
            entered.notify_one();
            leave.notified().await;
        }
    };
    let limits = Limits { requests_max: 1, ..Limits::default() };
    let app = app_with(Router::new().route("/busy", on_get(handler)), limits);
    let first = crate::task::spawn("first", {
        let app = app.clone();
        async move { get(&app, "/busy").await.status }
    });
    entered.notified().await;
    let refused = get(&app, "/busy").await;
    assert_eq!((refused.status, refused.code()), (503, "overloaded"));
    assert_eq!(get(&app, "/livez").await.status, 200);
    leave.notify_one();
    assert_eq!(first.await.unwrap(), 200);
    leave.notify_one();
    assert_eq!(get(&app, "/busy").await.status, 200);
}

#[tokio::test]
async fn requests_are_measured_by_route_and_not_by_path() {
    let app = whole(items(), Limits::default());
    get(&app.router(), "/items/17").await;
    get(&app.router(), "/items/18").await;
    let metrics = get(&app.ops(), "/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let series = "tradewind_http_request_seconds_count{route=\"/items/{id}\",method=\"GET\",status=\"200\"} 2";
    assert!(metrics.body.as_str().unwrap().contains(series), "{}", metrics.body);
}

#[tokio::test]
async fn health_says_what_is_awaited() {
    let readiness = Readiness::new();
    let kafka = readiness.condition("kafka");
    kafka.unmet("no broker answers");
    let app = ready_when(readiness, Router::new(), Limits::default()).router();
    expect![[
        r#"503 {"ready":false,"reasons":[{"condition":"kafka","reason":"no broker answers"}]}"#
    ]]
    .assert_eq(&get(&app, "/readyz").await.told());
    assert_eq!(get(&app, "/livez").await.status, 200);
    kafka.met();
    assert_eq!(get(&app, "/readyz").await.status, 200);
}

fn numbers() -> Router {
    #[derive(Deserialize)]
    struct Parameters {
        limit: Option<Limit>,
        cursor: Option<Cursor>,
    }
    impl Validate for Parameters {}
    let list = async |OriginalUri(uri): OriginalUri, Query(asked): Query<Parameters>| {
        let page = Page::new(uri, asked.limit.as_ref(), asked.cursor.as_ref())?;
        let after: u32 = page.after()?.unwrap_or(0);
        let rows = (after + 1..=5).take(usize::from(page.limit()) + 1).collect();
        Ok::<_, Problem>(page.listing(rows, |last| *last))
    };
    app(Router::new().nest("/v1", Router::new().route("/numbers", on_get(list))))
}

#[tokio::test]
async fn pages_lead_to_the_next() {
    let app = numbers();
    let first = get(&app, "/v1/numbers?limit=3&q=a%20b").await;
    assert_eq!(first.header("link"), "</v1/numbers?limit=3&q=a+b&cursor=Mw>; rel=\"next\"");
    assert_eq!(first.body, serde_json::json!({ "items": [1, 2, 3], "next": "Mw" }));
    let last = get(&app, "/v1/numbers?limit=3&cursor=Mw").await;
    assert_eq!(last.header("link"), "");
    assert_eq!(last.body, serde_json::json!({ "items": [4, 5], "next": null }));
}

#[tokio::test]
async fn a_page_has_bounds() {
    for limit in ["0", "201", "-1", "many", "", "99999999999"] {
        let answer = get(&numbers(), &format!("/v1/numbers?limit={limit}")).await;
        assert_eq!((answer.status, answer.code()), (422, "invalid_field"), "{limit}");
        assert_eq!(answer.body["errors"][0]["pointer"], "/limit");
    }
    for cursor in ["x", "!!", "ImEi", ""] {
        let answer = get(&numbers(), &format!("/v1/numbers?cursor={cursor}")).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_cursor"), "{cursor}");
    }
}

#[test]
fn a_cursor_carries_no_text_that_a_column_could_not_hold() {
    let forged = serde_json::from_str::<Cursor>("\"ImFcdTAwMDAi\"").unwrap();
    assert_eq!(forged.decode::<String>().unwrap_err().code(), "invalid_cursor");
    let own = Cursor::encode(&"a\tb");
    assert_eq!(own.decode::<String>().unwrap(), "a\tb");
}

mod book;
mod serving;
mod slow;
mod wire;
