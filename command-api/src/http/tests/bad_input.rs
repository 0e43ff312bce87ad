//! Input that is refused, with its status and code, and nothing appended.

use std::fmt::Display;

use axum::http::Request;
use serde_json::{Value, json};

use crate::testing::{Answer, OPERATOR, World, bearer, new_uuid};

/// What is sent to one path as text, under the operator's key.
async fn post(world: &World, path: &str, body: impl Display) -> Answer {
    world.staff_with(&[], path, body).await
}

fn product(change: impl FnOnce(&mut Value)) -> String {
    let mut body = super::product("A-1");
    change(&mut body);
    body.to_string()
}

async fn refused(body: String, pointer: &str, code: &str) {
    let seen = post(&World::start(), "/v1/products", body.clone()).await.expect_invalid(pointer);
    assert_eq!(seen.body["errors"][0]["code"], code, "{body}: {}", seen.raw);
}

#[tokio::test]
async fn fields_are_named_one_by_one() {
    let price = |amount: Value, currency: &str| json!({"amount": amount, "currency": currency});
    for (member, value, pointer, code) in [
        ("colour", json!("red"), "/colour", "unknown_field"),
        ("name", json!(7), "/name", "wrong_type"),
        ("name", json!("  "), "/name", "required"),
        ("name", json!("x".repeat(201)), "/name", "too_long"),
        ("name", json!("a\u{0}b"), "/name", "control_character"),
        ("sku", json!("a b"), "/sku", "invalid"),
        ("sku", json!("."), "/sku", "invalid"),
        ("sku", json!(".."), "/sku", "invalid"),
        ("price", price(json!(250), "XXX"), "/price/currency", "invalid"),
        ("price", price(json!(-1), "USD"), "/price/amount", "out_of_range"),
        ("price", price(json!(1_u64 << 63), "USD"), "/price/amount", "out_of_range"),
        ("price", price(json!(2.5), "USD"), "/price/amount", "wrong_type"),
        ("attributes", json!({"a": [1]}), "/attributes/a", "wrong_type"),
    ] {
        refused(product(|body| body[member] = value), pointer, code).await;
    }
    let mut body: Value = super::product("A-1");
    body.as_object_mut().unwrap().remove("price");
    refused(body.to_string(), "/price", "required").await;
}

/// What nobody could read back, or would read as something else.
const NO_INSTANTS: [&str; 9] = [
    "0000-06-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-05:00",
    "+10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2017-1-5 1:2:3 UTC",
    "2017-01-05 01:02:03Z",
    "2016-12-31T23:59:60Z",
    "1483574523",
];

#[tokio::test]
async fn instants_are_rfc_3339_of_the_years_1_to_9999() {
    let world = World::start();
    let cart = format!("/v1/carts/{}/checkout", new_uuid());
    for instant in NO_INSTANTS {
        let sale =
            json!({"payment": {"method_token": "cash"}, "channel": "pos", "occurred_at": instant});
        let key = json!({"name": "till", "roles": ["staff"], "expires_at": instant});
        for (path, body, pointer) in
            [(cart.as_str(), sale, "/occurred_at"), ("/v1/api-keys", key, "/expires_at")]
        {
            post(&world, path, body.to_string()).await.expect_invalid(pointer);
        }
    }
}

#[tokio::test]
async fn an_instant_at_the_edge_of_the_calendar_comes_back() {
    let world = World::start();
    for (sent, kept) in [
        ("9999-12-31T18:59:59.9999999-05:00", "9999-12-31T23:59:59.999999Z"),
        ("2999-01-01t00:00:00z", "2999-01-01T00:00:00.000000Z"),
    ] {
        let key = json!({"name": "till", "roles": ["staff"], "expires_at": sent});
        let seen = post(&world, "/v1/api-keys", key.to_string()).await.expect(201);
        assert_eq!(seen.body["expires_at"], kept);
    }
}

#[tokio::test]
async fn bodies_have_objects_where_objects_belong_and_each_name_once() {
    let world = World::start();
    let product = world.product("A-1", 0).await;
    let price = format!("/v1/products/{product}/price");
    let publish = format!("/v1/products/{product}/publish");
    for (path, body, pointer) in [
        (price.as_str(), r#"[[7,"USD"]]"#, ""),
        (&price, r#"{"price": [7, "USD"]}"#, "/price"),
        (&price, r#"{"price": {"amount": 7, "currency": "USD", "amount": 8}}"#, "/price/amount"),
        (&price, r#"{"price": {"amount": 1e400, "currency": "USD"}}"#, "/price/amount"),
        (&publish, "[]", ""),
        ("/v1/carts", r#"{"currency": "USD", "lines": [["A-1", 1, []]]}"#, "/lines/0"),
        ("/v1/api-keys", r#"{"name": "x", "roles": [{"staff": null}]}"#, "/roles/0"),
        (
            "/v1/products",
            r#"{"sku": "B", "name": "B", "price": {"amount": 1, "currency": "USD"}, "attributes": {"a": 1, "a": 2}}"#,
            "/attributes/a",
        ),
    ] {
        post(&world, path, body).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn an_attribute_is_a_scalar_that_comes_back_as_it_was() {
    let with = |number: &str| {
        product(|body| body["attributes"] = json!({"a/b": 0}))
            .replace(":0}", &format!(":{number}}}"))
    };
    for number in ["1e400", "1.7976931348623157e308", "9223372036854775808", "1e-23", "1e19"] {
        refused(with(number), "/attributes/a~1b", "out_of_range").await;
    }
    for number in ["3.141592653589793238", "0.30000000000000004", "9007199254740992.5"] {
        refused(with(number), "/attributes/a~1b", "invalid").await;
    }
    for shape in ["[]", "{}", "[1]", "{\"a\": 1}"] {
        refused(with(shape), "/attributes/a~1b", "wrong_type").await;
    }
    for good in ["1e17", "2.56e16", "0.1", "-0", "9223372036854775807", "null", "true", "\"1e400\""]
    {
        post(&World::start(), "/v1/products", with(good)).await.expect(201);
    }
}

#[tokio::test]
async fn nothing_is_received_under_a_code_that_no_url_can_carry() {
    let world = World::start();
    for path in ["/v1/stock/%2E/receive", "/v1/stock/%2E%2e/receive", "/v1/stock/.../receive"] {
        post(&world, path, "{\"quantity\": 1}").await.expect_invalid("/sku");
    }
}

#[tokio::test]
async fn a_parameter_of_a_path_is_named_wherever_it_stands() {
    let world = World::start();
    let (id, bad_id) = (new_uuid(), "17");
    for (path, pointer) in [
        (format!("/v1/carts/{id}/lines/a%20b"), "/sku"),
        (format!("/v1/carts/{bad_id}/lines/A-1"), "/id"),
    ] {
        world.guest("DELETE", &path, json!(null)).await.expect_invalid(pointer);
    }
}

#[tokio::test]
async fn quantities_are_positive_and_whole() {
    let world = World::start();
    for quantity in ["-1", "0", "1.5", "4294967296", "\"1\""] {
        let body = format!("{{\"quantity\": {quantity}}}");
        post(&world, "/v1/stock/A-1/receive", body).await.expect_invalid("/quantity");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_400_413_or_415() {
    let world = World::start();
    let path = "/v1/stock/A-1/receive";
    post(&world, path, "{\"quantity\": ").await.expect_problem(400, "malformed_json");
    post(&world, path, "{\"quantity\": 1} x").await.expect_problem(400, "malformed_json");
    let large = format!("{{\"quantity\": 1, \"reference\": \"{}\"}}", "x".repeat(1 << 20));
    post(&world, path, large).await.expect_problem(413, "body_too_large");
    let request = Request::builder().method("POST").uri(path);
    let request =
        request.header("authorization", bearer(OPERATOR)).header("content-type", "text/plain");
    let seen = world.send(request.body("{\"quantity\": 1}".into()).unwrap()).await;
    seen.expect_problem(415, "unsupported_media_type");
}

/// Sends what is wrong in all that can be wrong, but for who sends it.
async fn garbage(world: &World, method: &str, path: &str, key: Option<&str>) -> Answer {
    let path = path.split('/').map(|part| if part.starts_with('{') { "%ff" } else { part });
    let path = format!("{}?no=%00", path.collect::<Vec<_>>().join("/"));
    let request = World::request(&method.to_uppercase(), &path).header("if-match", "x");
    let request = request.header("idempotency-key", "a b").header("content-length", "99999999");
    let request = match key {
        Some(key) => request.header("authorization", bearer(key)),
        None => request,
    };
    world.send(request.body("{".into()).unwrap()).await
}

#[tokio::test]
async fn who_asks_is_known_before_what_is_asked_is_parsed() {
    let world = World::start();
    let contract = world.guest("GET", "/openapi.json", json!(null)).await.expect(200).body;
    let body = json!({"name": "no rights", "roles": ["customer"]});
    let customer = world.staff("POST", "/v1/api-keys", body).await.expect(201);
    let customer = customer.text("/key");
    let mut guarded = 0;
    for (path, operations) in contract["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let security = operation["security"].as_array();
            // A webhook proves otherwise who sends it.
            let Some(security) = security else { continue };
            garbage(&world, method, path, Some("nonsense"))
                .await
                .expect_problem(401, "invalid_key");
            let guest = garbage(&world, method, path, None).await;
            if security.contains(&json!({})) {
                assert!([400, 413, 422].contains(&guest.status), "{path} {}", guest.raw);
            } else {
                guest.expect_problem(401, "unauthenticated");
                let refused = garbage(&world, method, path, Some(customer)).await;
                refused.expect_problem(403, "forbidden");
                guarded += 1;
            }
        }
    }
    assert!(guarded >= 10, "{guarded}");
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let world = World::start();
    let seen = world.staff("GET", "/v1/stock/A-1/receive", json!({})).await;
    assert_eq!(seen.header("allow"), "POST");
    seen.expect_problem(405, "method_not_allowed");
    world.staff("POST", "/v1/nothing", json!({})).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_uuid_is_taken_in_one_way_of_writing_it() {
    let world = World::start();
    let id = world.product("A-1", 0).await;
    let upper = format!("/v1/products/{}/publish", id.to_string().to_uppercase());
    world.staff("POST", &upper, json!({})).await.expect(200);
    let simple = id.to_string().replace('-', "");
    for other in [simple, format!("urn:uuid:{id}"), format!("%7B{id}%7D")] {
        let path = format!("/v1/products/{other}/publish");
        world.staff("POST", &path, json!({})).await.expect_invalid("/id");
        let cart = json!({"id": other.replace("%7B", "{").replace("%7D", "}"), "currency": "USD"});
        let seen = world.staff("POST", "/v1/carts", cart).await;
        seen.expect_problem(422, "invalid_field");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_visible_and_short() {
    let world = World::start();
    let long = "x".repeat(256);
    for key in ["a b", &long] {
        let seen = world.keyed(key, "POST", "/v1/stock/A/receive", json!({"quantity": 1})).await;
        seen.expect_problem(400, "invalid_idempotency_key");
    }
}

#[tokio::test]
async fn what_is_no_position_is_refused_also_where_nothing_waits_for_it() {
    let world = World::start();
    let (path, latest) = ("/v1/stock/A/receive", [("tradewind-position", "latest")]);
    let seen = world.staff_with(&latest, path, json!({"quantity": 1})).await;
    seen.expect_problem(400, "invalid_position");
    let seen = world.ask("POST", path, &latest, json!({"quantity": 1})).await;
    seen.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_refused_request_appends_nothing_and_keeps_its_key() {
    let world = World::begun().await;
    let before = world.records().await;
    let path = "/v1/stock/A-1/receive";
    world.keyed("k", "POST", path, json!({"quantity": 0})).await.expect(422);
    world.keyed("k", "POST", path, json!({"amount": 1})).await.expect(422);
    world.guest("POST", path, json!({"quantity": 1})).await.expect(401);
    let nobodys = format!("/v1/carts/{}/lines", new_uuid());
    let line = json!({"sku": "A-1", "quantity": 1});
    world.guest("POST", &nobodys, line).await.expect_problem(404, "cart.not_found");
    assert_eq!(world.records().await, before);
    world.keyed("k", "POST", path, json!({"quantity": 1})).await.expect(200);
}
