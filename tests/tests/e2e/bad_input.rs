//! What is wrong is refused with its status and code, and leaves no trace in the log.

use serde_json::{Value, json};
use tests::harness::Stack;

use crate::shop::sound_log;

const PRODUCTS: &str = "/v1/products";

fn new_product(field: &str, value: Value) -> Value {
    let price = json!({"amount": 450, "currency": "USD"});
    let mut body = json!({"sku": "tea", "name": "Tea", "price": price});
    body[field] = value;
    body
}

#[tokio::test]
async fn what_is_refused_at_the_door_is_told_so_and_not_logged() {
    let stack = Stack::start().await;
    // Reads of the engine leave barriers, which tell of no command.
    let logged = async || {
        let audit = sound_log(&stack).await;
        (audit.commands, audit.events)
    };
    let before = logged().await;
    let (staff, body) = (stack.staff(), new_product("name", json!("Tea")));
    for client in [stack.anon(), stack.client(Some("tw_wrong"))] {
        let _unknown = client.post(PRODUCTS, &body).await.expect(401);
    }
    let _analyst = stack.analyst().post(PRODUCTS, &body).await.expect_problem(403, "forbidden");
    let keys = json!({"name": "mine", "roles": ["operator"]});
    let _staff = staff.post("/v1/api-keys", &keys).await.expect_problem(403, "forbidden");
    let _order = stack.anon().get("/v1/orders").await.expect(401);
    let _colour = staff.post(PRODUCTS, &new_product("colour", json!(1))).await.expect(422);
    let _missing = staff.post(PRODUCTS, &json!({})).await.expect(422);
    assert_eq!(logged().await, before);
    stack.finish().await;
}
