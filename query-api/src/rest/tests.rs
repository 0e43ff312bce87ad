//! The contract, and what is refused before anything is read.

use std::sync::Arc;

use axum::{Router, body::Body, http::Request};
use domain::id::CartId;
use expect_test::expect_file;
use infra::{
    auth::{Authenticator, IssuedKeys},
    clock::Clock,
    config::{Postgres, ReplayLimits},
    freshness::{Applied, Freshness},
    http::{
        docs,
        edge::Limits,
        health::Readiness,
        server::App,
        testing::{Answer, send},
    },
    log::memory::MemoryLog,
    postgres::pool,
    shutdown::Shutdown,
};
use tokio::sync::watch;

use super::*;
use crate::{
    read_model::ReadModel,
    replay::{Audit, Replays, Source},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "the operator's first key";

/// Over a database that is not there.
fn state() -> AppState {
    // The loader tasks are dropped, so a request that gets as far as a read fails.
    let postgres = Postgres { url: "postgres://nobody@127.0.0.1:1/x".into(), connections_max: 1 };
    let (read_model, _) = ReadModel::new(pool(&postgres, "test").unwrap());
    let freshness = Freshness::new(watch::channel(Applied::default()).1);
    let operator = Some(infra::auth::KeyHash::of(KEY));
    let (rows, signing) = (read_model.clone(), Some(SECRET.into()));
    let keys = IssuedKeys { rows, freshness: freshness.clone(), signing };
    let secret = Some(SECRET.into());
    let authenticator = Authenticator::new(operator, Arc::new(keys), Clock::System, secret);
    AppState::new(read_model, freshness, authenticator, Some(replays()))
}

fn replays() -> Replays {
    let log = Source::Given(Arc::new(MemoryLog::new(2)));
    let limits =
        ReplayLimits { concurrent_max: 4, concurrent_max_each: 2, bytes_per_second: u32::MAX };
    let audit = Audit::Kept(std::sync::Mutex::default());
    Replays::new(log, SECRET.into(), &limits, audit, Shutdown::new())
}

fn app() -> Router {
    App::new(&ABOUT, routes(state()), Readiness::new(), Limits::default()).router()
}

async fn ask(request: axum::http::request::Builder) -> Answer {
    send(&app(), request.body(Body::empty()).unwrap()).await
}

async fn check(uri: &str, status: u16, code: &str) {
    let request = Request::get(uri).header("authorization", format!("Bearer {KEY}"));
    ask(request).await.expect_problem(status, code);
}

async fn check_anonymous(uri: &str, status: u16, code: &str) {
    ask(Request::get(uri)).await.expect_problem(status, code);
}

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn the_contract_is_as_published() {
    let api = docs::complete(routes(state()).into_openapi(), &ABOUT);
    let found = docs::unbounded(&serde_json::to_value(&api).unwrap());
    assert_eq!(found, [""; 0]);
    let json = serde_json::to_string_pretty(&docs::released(api)).unwrap() + "\n";
    expect_file!["../../openapi.json"].assert_eq(&json.replace(ABOUT.version, "0.0.0"));
}

#[tokio::test]
async fn unknown_parameters_and_values_out_of_range_are_refused() {
    for uri in [
        "/v1/products?colour=red",
        "/v1/products?q=tea",
        "/v1/orders?account_id=1",
        "/v1/reports/sales?currency=USD",
        "/v1/positions?limit=3",
        "/v1/orders/01890a5d-ac96-774b-bcce-b302099a8057?as_of=yesterday",
        "/v1/orders/01890a5d-ac96-774b-bcce-b302099a8057?as_of=9999-01-01T00:00:00Z",
        "/v1/stock/1?diff=now",
        "/v1/stock/1?as_of=now-1d&diff=now-2d",
        "/v1/products/by-sku/1?as_of=now",
        "/v1/streams",
        "/v1/streams?type=orders",
        "/v1/streams?type=order&changed_after=now",
        "/v1/streams/orders/1/events",
        "/v1/streams/order/%20/events",
        "/v1/streams/order/1/events?order=up",
        "/v1/streams/order/1/events?limit=0",
        "/v1/products?limit=0",
        "/v1/products?limit=201",
        "/v1/products?min_price=-1",
        "/v1/products?min_price=9223372036854775808",
        "/v1/products?min_price=3&max_price=2",
        "/v1/products?in_stock=maybe",
        "/v1/products?sort=relevance",
        "/v1/products?department=%00",
        "/v1/products/1",
        "/v1/products/01890a5dac96774bbcceb302099a8057",
        "/v1/orders/urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
        "/v1/stock/a%20b",
        "/v1/orders?status=lost",
        "/v1/orders?placed_after=yesterday",
        "/v1/reports/sales?group_by=year",
        "/v1/reports/sales?group_by=week,week",
        "/v1/reports/sales?group_by=week,%20day",
        "/v1/reports/sales?from=2017-02-30",
        "/v1/reports/sales?from=2017-02-02&to=2017-02-01",
        "/v1/reports/sales?channel=fax",
        "/v1/reports/sales?cursor=WyJVU0QiXQ",
        "/v1/events?since=now",
        "/v1/events?from=yesterday",
        "/v1/events?from=now-1d&to=now-2d",
        "/v1/events?type=order.lost",
        "/v1/events?stream=orders/1",
        "/v1/events?actor=",
        "/v1/events?where=channel=pos",
        "/v1/events?format=xml",
        "/v1/events?format=csv&columns=times",
        "/v1/events?columns=time",
        "/v1/events?order=random",
        "/v1/events?to=now&follow=true",
        "/v1/events?raw=yes",
        "/v1/events?rate=0",
        "/v1/schemas?type=order.placed",
        "/v1/schemas/order.placed",
        "/v1/schemas/tradewind.order.placed.v0",
    ] {
        check(uri, 422, "invalid_field").await;
    }
}

#[tokio::test]
async fn cursors_belong_to_their_list_and_order() {
    check("/v1/products?cursor=nonsense", 400, "invalid_cursor").await;
    // {"price":[5,"00000000-0000-0000-0000-000000000000"]}
    let price = "eyJwcmljZSI6WzUsIjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJdfQ";
    check(&format!("/v1/products?sort=name&cursor={price}"), 400, "invalid_cursor").await;
    check(&format!("/v1/products?sort=price&cursor={price}"), 503, "unavailable").await;
    check("/v1/events?from=AQAA", 400, "invalid_position").await;
    check("/v1/events?cursor=nonsense", 400, "invalid_cursor").await;
    check(&format!("/v1/events?cursor={price}"), 400, "invalid_cursor").await;
    check(&format!("/v1/orders?cursor={price}"), 400, "invalid_cursor").await;
    check(&format!("/v1/streams?type=order&cursor={price}"), 400, "invalid_cursor").await;
    // ["desc",3]
    let back = "WyJkZXNjIiwzXQ";
    check(&format!("/v1/streams/stock/1/events?cursor={back}"), 400, "invalid_cursor").await;
    check(&format!("/v1/streams/stock/1/events?order=desc&cursor={back}"), 503, "unavailable")
        .await;
}

#[tokio::test]
async fn what_needs_a_role_asks_for_a_key() {
    check_anonymous("/v1/orders", 401, "unauthenticated").await;
    check_anonymous("/v1/events", 401, "unauthenticated").await;
    check_anonymous("/v1/streams?type=order", 401, "unauthenticated").await;
    check_anonymous("/v1/stock/1?as_of=now", 401, "unauthenticated").await;
    check_anonymous(&format!("/v1/products/{ID}?as_of=now"), 401, "unauthenticated").await;
    check_anonymous(&format!("/v1/orders/{ID}?as_of=now"), 404, "not_found").await;
    check_anonymous(&format!("/v1/streams/order/{ID}/events"), 404, "not_found").await;
    check_anonymous("/v1/reports/sales", 401, "unauthenticated").await;
}

#[tokio::test]
async fn anybody_learns_what_events_look_like() {
    let list = ask(Request::get("/v1/schemas")).await.expect(200).body;
    let items = list["items"].as_array().unwrap();
    let versions = |event: &str| {
        let of_event =
            items.iter().filter(|it| it["stream_type"] == "api_key" && it["event"] == event);
        of_event.map(|it| (it["version"].as_u64(), it["newest"] == true)).collect::<Vec<_>>()
    };
    assert_eq!(versions("issued"), [(Some(1), false), (Some(2), true)]);
    for item in items {
        let (event_type, href) = (item["type"].as_str().unwrap(), item["href"].as_str().unwrap());
        let schema = ask(Request::get(href)).await.expect(200);
        assert_eq!(
            (schema.body["title"].as_str(), schema.header("content-type")),
            (Some(event_type), "application/schema+json")
        );
        assert_eq!(schema.header("cache-control"), "public, max-age=300");
        let known = Request::get(href).header("if-none-match", schema.header("etag"));
        assert_eq!(ask(known).await.expect(304).raw, "");
    }
    let log = ask(Request::get("/asyncapi.json")).await.expect(200);
    assert_eq!(log.body["asyncapi"], "3.0.0");
    check_anonymous("/v1/schemas/tradewind.order.lost.v1", 404, "not_found").await;
    check_anonymous("/v1/schemas/tradewind.order.placed.v2", 404, "not_found").await;
}

/// The request that is wrong in all that can be wrong, but for who sends it.
fn garbage(path: &str) -> axum::http::request::Builder {
    let path = path.replace("{id}", "%20").replace("{sku}", "%ff");
    Request::get(format!("{path}?no=%00&limit=x")).header("tradewind-position", "latest")
}

#[tokio::test]
async fn who_asks_is_known_before_what_is_asked_is_parsed() {
    let contract = docs::complete(routes(state()).into_openapi(), &ABOUT);
    for (path, item) in &contract.paths.paths {
        let operation = serde_json::to_value(item.get.as_ref().unwrap()).unwrap();
        let security = operation["security"].as_array().cloned().unwrap_or_default();
        let is_open = security.is_empty() || security.contains(&serde_json::json!({}));
        let answer = ask(garbage(path)).await;
        if is_open {
            assert!([400, 422].contains(&answer.status), "{path}: {}", answer.raw);
        } else {
            answer.expect_problem(401, "unauthenticated");
        }
        // A key that is none is told so wherever guests are welcome, too.
        let wrong = garbage(path).header("authorization", "Bearer nonsense");
        ask(wrong).await.expect_problem(401, "invalid_key");
    }
    check_anonymous("/v1/nothing?x=1", 404, "not_found").await;
}

#[tokio::test]
async fn a_key_of_which_nothing_is_known_is_neither_right_nor_wrong() {
    let key = infra::auth::ApiKey::generate(
        domain::api_key::ApiKeyId::new(uuid::Uuid::nil()),
        &SECRET.into(),
    );
    let key = format!("Bearer {}", key.unwrap().expose());
    let answer = ask(Request::get("/v1/stock/1").header("authorization", key)).await;
    assert_eq!(answer.expect_problem(503, "stale").header("retry-after"), "1");
}

#[tokio::test]
async fn a_cart_does_not_exist_for_who_may_not_see_it() {
    check_anonymous(&format!("/v1/carts/{ID}"), 404, "not_found").await;
    let other = infra::auth::cart_token(&SECRET.into(), CartId::new(uuid::Uuid::nil()));
    let request = Request::get(format!("/v1/carts/{ID}")).header("tradewind-cart-token", other);
    ask(request).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_position_must_be_one() {
    let request = Request::get("/v1/stock/1").header("tradewind-position", "latest");
    ask(request).await.expect_problem(400, "invalid_position");
}

#[tokio::test]
async fn a_database_that_is_away_is_told_without_details() {
    let answer = ask(Request::get("/v1/stock/1")).await.expect_problem(503, "unavailable");
    assert!(!answer.raw.contains("127.0.0.1"));
}
