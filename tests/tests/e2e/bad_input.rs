//! What is wrong is refused with its status and code, and leaves no trace in the log.

use reqwest::Method;
use serde_json::{Value, json};
use tests::audit::audit;
use tests::harness::Stack;
use tests::harness::client::send;

use crate::shop::{Cart, checkout_body, product};

const PRODUCTS: &str = "/v1/products";

fn new_product(field: &str, value: Value) -> Value {
    let price = json!({"amount": 450, "currency": "USD"});
    let mut body = json!({"sku": "tea", "name": "Tea", "price": price});
    body[field] = value;
    body
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let stack = Stack::start().await;
    let check = async |field: &str, value: Value, pointer: &str| {
        let answer = stack.staff().post(PRODUCTS, &new_product(field, value)).await;
        let answer = answer.expect_problem(422, "invalid_field");
        assert_eq!(answer.text("/errors/0/pointer"), pointer, "{}", answer.body);
    };
    let price = |amount: Value| json!({"amount": amount, "currency": "USD"});
    check("colour", json!("red"), "/colour").await;
    check("name", json!(7), "/name").await;
    check("name", json!("a\u{0}b"), "/name").await;
    check("sku", json!("no spaces"), "/sku").await;
    check("price", price(json!("450")), "/price/amount").await;
    check("price", price(json!(1.5)), "/price/amount").await;
    check("price", json!({"amount": 1, "currency": "XXXX"}), "/price/currency").await;
    check("price", price(json!(9_223_372_036_854_775_808_u64)), "/price/amount").await;
    stack.finish().await;
}

#[tokio::test]
async fn requests_that_are_no_commands_are_refused() {
    let stack = Stack::start().await;
    let post = |path: &str| stack.staff().command(Method::POST, path);
    let json = |text: &str| {
        post(PRODUCTS).header("content-type", "application/json").body(text.to_owned())
    };

    let _malformed = send(json("{\"sku\": ")).await.expect_problem(400, "malformed_json");
    let large = json(&format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20)));
    let _large = send(large).await.expect_problem(413, "body_too_large");
    let text = post(PRODUCTS).header("content-type", "text/plain").body("tea");
    let _text = send(text).await.expect_problem(415, "unsupported_media_type");
    let method = stack.staff().command(Method::DELETE, PRODUCTS);
    let _method = send(method).await.expect_problem(405, "method_not_allowed");
    let _path = send(post("/v1/nothing").json(&json!({}))).await.expect_problem(404, "not_found");
    stack.finish().await;
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let stack = Stack::start().await;
    let body = new_product("name", json!("Tea"));
    let anonymous = stack.anon().post(PRODUCTS, &body).await;
    assert_eq!(anonymous.status, 401, "{}", anonymous.body);
    let wrong = stack.client(Some("tw_wrong")).post(PRODUCTS, &body).await;
    assert_eq!(wrong.status, 401, "{}", wrong.body);
    let _analyst = stack.analyst().post(PRODUCTS, &body).await.expect_problem(403, "forbidden");
    let keys = json!({"name": "mine", "roles": ["operator"]});
    let _staff = stack.staff().post("/v1/api-keys", &keys).await.expect_problem(403, "forbidden");
    let _order = stack.anon().get("/v1/orders").await.expect(401);
    stack.finish().await;
}

#[tokio::test]
async fn business_rules_are_refused_with_their_codes() {
    let stack = Stack::start().await;
    let created = product(&stack, "tea", 450, 5).await;
    let staff = stack.staff();

    let unknown = json!({"currency": "USD", "lines": [{"sku": "nothing", "quantity": 1}]});
    let _unknown =
        stack.anon().post("/v1/carts", &unknown).await.expect_problem(422, "sku_not_sellable");
    let cart = Cart::create(stack.anon(), &json!([])).await;
    let _empty = cart.check_out("tok_ok").await.expect_problem(422, "cart.empty");
    let foreign = format!("/v1/carts/{}/checkout", cart.id);
    let _foreign = stack.anon().post(&foreign, &checkout_body("tok_ok")).await.expect(404);
    let taken = staff.post(PRODUCTS, &new_product("name", json!("Tea"))).await;
    let _taken = taken.expect_problem(409, "sku.taken");
    let below = json!({"delta": -6, "reason": "count"});
    let _below =
        staff.post("/v1/stock/tea/adjust", &below).await.expect_problem(422, "stock.insufficient");
    let negative = json!({"quantity": -1});
    let _negative =
        staff.post("/v1/stock/tea/receive", &negative).await.expect_problem(422, "invalid_field");

    let path = format!("/v1/products/{}/unpublish", created.text("/id"));
    let stale = staff.command(Method::POST, &path).header("If-Match", "\"1\"").json(&json!({}));
    let _stale = send(stale).await.expect_problem(412, "revision_mismatch");
    stack.finish().await;
}

#[tokio::test]
async fn what_is_refused_at_the_door_is_not_logged() {
    let stack = Stack::start().await;
    // Reads of the engine leave barriers, which tell of no command.
    let logged = async || {
        let audit = audit(&stack.bootstrap_servers(), stack.topic()).await.expect("an audit");
        audit.assert_sound();
        (audit.commands, audit.events)
    };
    let before = logged().await;
    let staff = stack.staff();
    let _unknown = staff.post(PRODUCTS, &new_product("colour", json!(1))).await.expect(422);
    let _anonymous =
        stack.anon().post(PRODUCTS, &new_product("name", json!("Tea"))).await.expect(401);
    let _missing = staff.post(PRODUCTS, &json!({})).await.expect(422);
    assert_eq!(logged().await, before);
    stack.finish().await;
}
