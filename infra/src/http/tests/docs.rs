//! The contract and its pages.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{docs::About, edge::Limits, health::Readiness, server::App, testing::get};

/// Says hello.
#[utoipa::path(get, path = "/hello", responses((status = 200, body = String)), security(("api_key" = [])))]
async fn hello() -> &'static str {
    "hello"
}

fn app() -> axum::Router {
    let about = About { title: "Hello API", description: "Greets", version: "1.2.3" };
    let api = OpenApiRouter::new().routes(routes!(hello));
    App::new(&about, api, Readiness::new(), Limits::default()).router()
}

#[tokio::test]
async fn the_contract_names_the_common_problem_and_the_way_to_sign_in() {
    let contract = get(&app(), "/openapi.json").await;
    assert_eq!(contract.header("content-type"), "application/json");
    expect_test::expect_file!["openapi.json"].assert_eq(&format!("{:#}\n", contract.body));
}

#[tokio::test]
async fn the_pages_come_with_the_binary() {
    let app = app();
    assert!((300..400).contains(&get(&app, "/docs").await.status));
    let page = get(&app, "/docs/").await;
    assert!(page.body.as_str().unwrap().contains("swagger-ui"));
    let script = get(&app, "/docs/swagger-initializer.js").await;
    assert!(script.body.as_str().unwrap().contains("/openapi.json"));
    assert_eq!(get(&app, "/docs/swagger-ui-bundle.js").await.status, 200);
}
