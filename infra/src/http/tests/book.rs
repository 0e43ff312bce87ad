//! HTTP by the book: what a client may ask of any path, and what every answer says.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    docs::About,
    edge::Limits,
    health::Readiness,
    server::App,
    testing::{Answer, send},
};

#[utoipa::path(
    get, path = "/things/{id}",
    responses((status = 200, body = String, content_type = "application/json")),
)]
async fn read() -> axum::Json<&'static str> {
    axum::Json("a thing")
}

#[utoipa::path(
    post, path = "/things/{id}",
    responses((status = 201, body = String, content_type = "application/x-ndjson")),
)]
async fn write() -> StatusCode {
    StatusCode::CREATED
}

#[utoipa::path(delete, path = "/things/{id}", responses((status = 204)))]
async fn remove() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn app() -> axum::Router {
    let about = About { title: "Things", description: "For tests", version: "1" };
    let api = OpenApiRouter::new().routes(routes!(read, write, remove));
    App::new(&about, api, Readiness::new(), Limits::default()).router()
}

async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&app(), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_the_client_cannot_read_is_not_answered_and_does_not_happen() {
    for (method, accept, status) in [
        (Method::GET, "application/json", 200),
        (Method::GET, "text/html, application/*;q=0.8", 200),
        (Method::GET, "text/html", 406),
        (Method::GET, "application/json;q=0, */*", 406),
        (Method::HEAD, "text/html", 406),
        (Method::POST, "application/json", 406),
        (Method::POST, "application/x-ndjson", 201),
        (Method::DELETE, "text/html", 204),
    ] {
        let answer = ask(method.clone(), "/things/1", &[("accept", accept)]).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {accept}");
        if status == 406 && method != Method::HEAD {
            assert_eq!(answer.code(), "not_acceptable");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    let twice = [("accept", "text/html"), ("accept", "application/json")];
    assert_eq!(ask(Method::GET, "/things/1", &twice).await.status, StatusCode::OK);
    let nowhere = ask(Method::GET, "/nowhere", &[("accept", "text/html")]).await;
    assert_eq!(nowhere.code(), "not_found");
}

#[tokio::test]
async fn a_body_that_is_encoded_is_refused() {
    for (coding, code) in [
        ("gzip", "unsupported_content_encoding"),
        ("identity, br", "unsupported_content_encoding"),
        ("Identity", ""),
    ] {
        let answer = ask(Method::POST, "/things/1", &[("content-encoding", coding)]).await;
        assert_eq!(answer.code(), code, "{coding}");
        assert_eq!(answer.header("accept-encoding"), if code.is_empty() { "" } else { "identity" });
    }
}

#[tokio::test]
async fn options_tell_what_a_path_takes() {
    for (path, allowed) in [
        ("/things/1", "GET,HEAD,POST,DELETE"),
        ("/livez", "GET,HEAD"),
        ("/openapi.json", "GET,HEAD"),
    ] {
        let answer = ask(Method::OPTIONS, path, &[]).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
        let sorted = |text: &str| {
            let mut methods: Vec<String> = text.split(',').map(str::to_owned).collect();
            methods.sort();
            methods
        };
        assert_eq!(sorted(answer.header("allow")), sorted(allowed), "{path}");
    }
    assert_eq!(ask(Method::OPTIONS, "*", &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ask(Method::OPTIONS, "/nowhere", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let (got, head) =
        (ask(Method::GET, "/things/1", &[]).await, ask(Method::HEAD, "/things/1", &[]).await);
    assert_eq!((head.status, head.body.as_str()), (got.status, Some("")));
    assert_eq!(head.header("content-type"), got.header("content-type"));
}

#[tokio::test]
async fn no_answer_is_to_be_guessed_at() {
    for path in ["/things/1", "/nowhere", "/livez", "/readyz", "/openapi.json", "/docs/", "/docs"] {
        let answer = ask(Method::GET, path, &[]).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let is_page = path.starts_with("/docs");
        let policy = answer.header("content-security-policy");
        assert_eq!(policy.contains("default-src 'none'"), is_page, "{path}");
    }
    let refused = ask(Method::PUT, "/livez", &[]).await;
    assert_eq!(refused.header("x-content-type-options"), "nosniff");
}
