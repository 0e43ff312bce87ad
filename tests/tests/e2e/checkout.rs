//! A cart becomes an order, or does not, with its reasons.

use futures_util::future::join_all;
use serde_json::json;
use stack::eventually::eventually;
use tests::harness::Stack;

use crate::shop::{
    Cart, SETTLE_WAIT_MAX, product, sales_become, settled, settled_order, sound_log, stock_becomes,
};

#[tokio::test]
async fn a_guest_buys_and_everybody_can_see_it() {
    let stack = Stack::start().await;
    let created = product(&stack, "tea", 450, 10).await;
    let lines = json!([{"sku": "tea", "quantity": 3}]);
    let cart = Cart::create(stack.anon(), &lines).await;
    let checkout = cart.check_out("tok_ok").await.expect(202);

    let order = settled_order(&stack, &checkout).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    assert_eq!(order["totals"]["total"], json!({"amount": 1350, "currency": "USD"}));
    assert_eq!(order["lines"][0]["sku"], "tea");
    assert_eq!(order["lines"][0]["product_id"], created.body["id"]);
    assert_eq!(order["channel"], "web");
    stock_becomes(&stack, "tea", 7, 0).await;

    let revenue = json!({"amount": 1350, "currency": "USD"});
    let expected = json!({"department": "DRINKS", "orders": 1, "units": 3, "revenue": revenue});
    sales_become(&stack, "department", &json!([expected])).await;

    let audit = sound_log(&stack).await;
    assert_eq!(audit.types.get("tradewind.order.confirmed.v1"), Some(&1), "{:?}", audit.types);
    stack.finish().await;
}

#[tokio::test]
async fn a_position_reads_what_its_command_wrote() {
    let stack = Stack::start().await;
    let created = product(&stack, "tea", 450, 1).await;
    let path = format!("/v1/products/{}", created.text("/id"));
    let read = stack.anon().get_after(&path, &created).await;
    // At least as far as the creation; the publication behind it may be visible already.
    assert!([200, 404].contains(&read.status), "{}", read.body);
    let price = json!({"price": {"amount": 500, "currency": "USD"}});
    let changed = stack.staff().post(&format!("{path}/price"), &price).await.expect(200);
    let read = stack.anon().get_after(&path, &changed).await.expect(200);
    assert_eq!(read.body["price"]["amount"], 500);
    assert_eq!(read.header("etag"), changed.header("etag"));
    stack.finish().await;
}

#[tokio::test]
async fn a_payment_that_waits_for_its_buyer_goes_on_with_the_webhook() {
    let stack = Stack::start().await;
    let _tea = product(&stack, "tea", 450, 10).await;
    let cart = Cart::create(stack.anon(), &json!([{"sku": "tea", "quantity": 3}])).await;
    let checkout = cart.check_out("tok_3ds").await.expect(202);
    let payment_id = checkout.text("/payment_id");
    let body = json!({
        "type": "payment.authorised",
        "data": {"payment_id": payment_id, "reference": format!("sandbox-{payment_id}")},
    });
    // Until the provider has been asked there is nothing that could be authorised.
    eventually("the webhook is taken", SETTLE_WAIT_MAX, || async {
        let answer = stack.payment_webhook(&body).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    })
    .await;
    let order = settled_order(&stack, &checkout).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    stock_becomes(&stack, "tea", 7, 0).await;
    stack.finish().await;
}

#[tokio::test]
async fn an_order_that_is_not_paid_or_not_in_stock_is_rejected_whole() {
    let stack = Stack::start().await;
    let _tea = product(&stack, "tea", 450, 10).await;
    let _cup = product(&stack, "cup", 900, 1).await;
    for (token, cups, reason) in
        [("tok_declined", 1, "declined"), ("tok_ok", 2, "stock.insufficient")]
    {
        let lines = json!([{"sku": "tea", "quantity": 3}, {"sku": "cup", "quantity": cups}]);
        let checkout = Cart::create(stack.anon(), &lines).await.check_out(token).await.expect(202);
        let order = settled_order(&stack, &checkout).await;
        assert_eq!(order["status"], "rejected", "{order}");
        assert!(order.to_string().contains(reason), "no reason in {order}");
        stock_becomes(&stack, "tea", 10, 0).await;
        stock_becomes(&stack, "cup", 1, 0).await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_hundred_checkouts_of_ten_units_confirm_ten() {
    let stack = Stack::start().await;
    let _tea = product(&stack, "tea", 450, 10).await;
    let lines = json!([{"sku": "tea", "quantity": 1}]);
    let (guest, staff) = (stack.anon(), stack.staff());
    let carts = join_all((0..100).map(|_| Cart::create(guest.clone(), &lines))).await;
    let checkouts = join_all(carts.iter().map(|cart| cart.check_out("tok_ok"))).await;
    let mut confirmed = 0;
    for checkout in checkouts {
        let order = settled(&staff, checkout.expect(202).text("/order_id")).await;
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
