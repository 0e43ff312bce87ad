//! What a command answers, and under which conditions.

use serde_json::{Value, json};

use super::product_with_id;
use crate::testing::{World, new_uuid};

#[tokio::test]
async fn a_created_product_tells_where_it_is_and_how_to_read_it() {
    let world = World::start();
    let id = new_uuid();
    let body = product_with_id(&id, "A-1");
    let seen = world.staff("POST", "/v1/products", body).await.expect(201);
    assert_eq!(seen.header("location"), format!("/v1/products/{id}"));
    assert_eq!(seen.header("etag"), "\"1\"");
    assert_eq!(seen.header("tradewind-position"), seen.body["position"]);
    assert_eq!(seen.body["stream"], format!("product/{id}"));
    assert_eq!(seen.body["id"], id);
    assert_eq!(seen.body["revision"], 1);
    assert_eq!(seen.body["events"][0]["type"], "tradewind.product.created.v1");
}

#[tokio::test]
async fn if_match_names_the_revision_that_was_seen() {
    let world = World::start();
    let id = world.product("A-1", 0).await;
    let path = format!("/v1/products/{id}/price");
    let send = async |tag: &str, amount: i64| {
        let body = json!({"price": {"amount": amount, "currency": "USD"}});
        world.staff_with(&[("if-match", tag)], &path, body).await
    };
    send("\"1\"", 300).await.expect_problem(412, "revision_mismatch");
    send("\"2\"", 300).await.expect(200);
    send("*", 301).await.expect(200);
    send("\"1\", W/\"4\", \"4\"", 302).await.expect(200);
    send("\"2\", \"3\"", 303).await.expect_problem(412, "revision_mismatch");
    send("W/\"5\"", 303).await.expect_problem(412, "revision_mismatch");
    send("2", 302).await.expect_problem(400, "invalid_if_match");
}

#[tokio::test]
async fn a_condition_may_be_that_something_exists_or_does_not() {
    let world = World::start();
    let send = async |path: &str, body: &Value, condition: (&str, &str)| {
        world.staff_with(&[condition], path, body).await
    };
    const MISMATCH: &str = "revision_mismatch";
    let cart = json!({"id": new_uuid(), "currency": "USD"});
    send("/v1/carts", &cart, ("if-match", "*")).await.expect_problem(412, MISMATCH);
    send("/v1/carts", &cart, ("if-none-match", "*")).await.expect(201);
    send("/v1/carts", &cart, ("if-none-match", "*")).await.expect_problem(412, MISMATCH);
    let product = product_with_id(new_uuid(), "A");
    send("/v1/products", &product, ("if-match", "*")).await.expect_problem(412, MISMATCH);
    send("/v1/products", &product, ("if-none-match", "\"0\"")).await.expect_problem(412, MISMATCH);
    send("/v1/products", &product, ("if-none-match", "*")).await.expect(201);
    send("/v1/products", &product, ("if-none-match", "*")).await.expect_problem(412, MISMATCH);
    let stock = json!({"quantity": 1});
    send("/v1/stock/A/receive", &stock, ("if-none-match", "W/\"0\"")).await.expect(412);
    send("/v1/stock/A/receive", &stock, ("if-none-match", "\"1\", \"x\"")).await.expect(200);
    let seen = send("/v1/stock/A/receive", &stock, ("if-none-match", "1")).await;
    seen.expect_problem(400, "invalid_if_none_match");
}

#[tokio::test]
async fn two_conditions_have_to_hold_both() {
    let world = World::start();
    let id = world.product("A-1", 0).await;
    let path = format!("/v1/products/{id}/publish");
    for (if_match, if_none_match, status) in [
        ("\"2\"", "\"1\"", 200),
        ("\"2\"", "\"2\"", 412),
        ("\"1\", \"2\"", "\"1\"", 200),
        ("\"1\"", "\"3\"", 412),
        ("*", "\"1\"", 200),
        ("*", "W/\"2\"", 412),
        ("\"2\"", "*", 412),
        ("*", "*", 412),
    ] {
        let conditions = [("if-match", if_match), ("if-none-match", if_none_match)];
        let seen = world.staff_with(&conditions, &path, "{}").await;
        assert_eq!(seen.status, status, "{if_match} but not {if_none_match}");
    }
}

#[tokio::test]
async fn a_product_is_patched_field_by_field() {
    let world = World::start();
    let id = world.product("A-1", 0).await;
    let path = format!("/v1/products/{id}");
    let patch = json!({"brand": "Acme", "attributes": {"organic": true}});
    world.staff("PATCH", &path, patch.clone()).await.expect(200);
    let same = world.staff("PATCH", &path, patch).await.expect(200);
    assert_eq!(same.body["events"], json!([]));
    world.staff("PATCH", &path, json!({"brand": null})).await.expect(200);
    world.staff("PATCH", &path, json!({"sku": "B"})).await.expect_problem(422, "invalid_field");
    let nobody = format!("/v1/products/{}", new_uuid());
    world.staff("PATCH", &nobody, json!({})).await.expect_problem(404, "product.not_found");
}
