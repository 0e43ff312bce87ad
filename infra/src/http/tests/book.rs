//! HTTP by the book: what a client may ask of any path, what every answer says, and the contract that has
//! both.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
    response::IntoResponse,
    routing::get as on_get,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    docs::About,
    edge::Limits,
    etag::{ETag, IfNoneMatch, not_modified},
    health::Readiness,
    problem::Problem,
    server::App,
    testing::{Answer, app_with, get, send, whole},
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

fn app() -> Router {
    whole(OpenApiRouter::new().routes(routes!(read, write, remove)), Limits::default()).router()
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
        assert_eq!(answer.status, status, "{method} {accept}");
        if status == 406 && method != Method::HEAD {
            assert_eq!(answer.code(), "not_acceptable");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    let twice = [("accept", "text/html"), ("accept", "application/json")];
    assert_eq!(ask(Method::GET, "/things/1", &twice).await.status, 200);
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
        assert_eq!(answer.status, 204, "{path}");
        let sorted = |text: &str| {
            let mut methods: Vec<String> = text.split(',').map(str::to_owned).collect();
            methods.sort();
            methods
        };
        assert_eq!(sorted(answer.header("allow")), sorted(allowed), "{path}");
    }
    assert_eq!(ask(Method::OPTIONS, "*", &[]).await.status, 204);
    assert_eq!(ask(Method::OPTIONS, "/nowhere", &[]).await.status, 404);
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

#[tokio::test]
async fn a_read_shows_what_if_match_names_or_nothing() {
    let tagged = async |known: IfNoneMatch| match known.matches(7) {
        true => not_modified(7),
        false => (ETag(7), "shown").into_response(),
    };
    let routes = Router::new()
        .route("/tagged", on_get(tagged).post(async || (ETag(8), "done")))
        .route("/list", on_get(async || "shown"))
        .route("/missing", on_get(async || Problem::not_found("there is no such thing")));
    let app = app_with(routes, Limits::default());
    for (method, path, if_match, if_none_match, status) in [
        (Method::GET, "/tagged", "\"7\"", "", 200),
        (Method::GET, "/tagged", "\"6\", \"7\"", "", 200),
        (Method::GET, "/tagged", "*", "", 200),
        (Method::GET, "/tagged", "\"6\"", "", 412),
        (Method::GET, "/tagged", "\"67\"", "", 412),
        (Method::HEAD, "/tagged", "\"6\"", "", 412),
        (Method::GET, "/tagged", "W/\"7\"", "", 412),
        (Method::GET, "/tagged", "7", "", 400),
        (Method::GET, "/tagged", "\"6\"", "\"7\"", 412),
        (Method::GET, "/tagged", "\"7\"", "\"7\"", 304),
        (Method::GET, "/list", "*", "", 200),
        (Method::GET, "/list", "\"1\"", "", 412),
        (Method::GET, "/missing", "\"6\"", "", 404),
        (Method::POST, "/tagged", "\"6\"", "", 200),
    ] {
        let mut request = Request::builder().method(&method).uri(path).header("if-match", if_match);
        if !if_none_match.is_empty() {
            request = request.header("if-none-match", if_none_match);
        }
        let answer = send(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{method} {path} {if_match} {if_none_match}");
        if status == 412 {
            let code = if method == Method::HEAD { "" } else { "precondition_failed" };
            assert_eq!(answer.code(), code);
            let tag = if path == "/tagged" { "\"7\"" } else { "" };
            assert_eq!(answer.header("etag"), tag);
        }
    }
}

/// Says hello.
#[utoipa::path(get, path = "/hello", responses((status = 200, body = String)), security(("api_key" = [])))]
async fn hello() -> &'static str {
    "hello"
}

fn greeter() -> Router {
    let about = About { title: "Hello API", description: "Greets", version: "1.2.3" };
    let api = OpenApiRouter::new().routes(routes!(hello));
    App::new(&about, api, Readiness::new(), Limits::default()).router()
}

#[tokio::test]
async fn the_contract_names_the_common_problem_and_the_way_to_sign_in() {
    let contract = get(&greeter(), "/openapi.json").await;
    assert_eq!(contract.header("content-type"), "application/json");
    expect_test::expect_file!["openapi.json"].assert_eq(&format!("{:#}\n", contract.body));
}

#[tokio::test]
async fn the_pages_come_with_the_binary() {
    let app = greeter();
    assert!((300..400).contains(&get(&app, "/docs").await.status));
    let page = get(&app, "/docs/").await;
    assert!(page.body.as_str().unwrap().contains("swagger-ui"));
    let script = get(&app, "/docs/swagger-initializer.js").await;
    assert!(script.body.as_str().unwrap().contains("/openapi.json"));
    assert_eq!(get(&app, "/docs/swagger-ui-bundle.js").await.status, 200);
}
