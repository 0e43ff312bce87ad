//! Many want what few can have.

use futures_util::future::join_all;
use serde_json::json;
use tests::harness::Stack;

use crate::shop::{Cart, product, settled_order, sound_log, stock_becomes};

#[tokio::test]
async fn a_hundred_checkouts_of_ten_units_confirm_ten() {
    let stack = Stack::start().await;
    let _tea = product(&stack, "tea", 450, 10).await;
    let lines = json!([{"sku": "tea", "quantity": 1}]);
    let carts = join_all((0..100).map(|_| Cart::create(stack.anon(), &lines))).await;
    let checkouts = join_all(carts.iter().map(|cart| cart.check_out("tok_ok"))).await;
    let mut confirmed = 0;
    for checkout in checkouts {
        let order = settled_order(&stack, &checkout.expect(202)).await;
        if order["status"] == "confirmed" {
            confirmed += 1;
        } else {
            assert!(order.to_string().contains("stock.insufficient"), "no reason in {order}");
        }
    }
    assert_eq!(confirmed, 10);
    stock_becomes(&stack, "tea", 0, 0).await;
    let audit = sound_log(&stack).await;
    assert_eq!(audit.types.get("tradewind.order.confirmed.v1"), Some(&10), "{:?}", audit.types);
    assert_eq!(audit.types.get("tradewind.order.rejected.v1"), Some(&90), "{:?}", audit.types);
    stack.finish().await;
}
