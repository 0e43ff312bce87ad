//! An event that nobody can read, on Kafka, under a system that goes on selling.

use anyhow::Result;
use domain::{
    id::StreamId,
    shard::{ShardId, shard_of},
};
use infra::log::{EventLog, owner::Owner, sample};
use serde_json::{Value, json};
use stack::eventually::eventually;
use tests::harness::Stack;
use uuid::Uuid;

use crate::{
    shop::{Cart, SETTLE_WAIT_MAX, log_of, product, settled_order},
    values::verify,
};

fn usd(amount: &Value) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

/// As the checkout of one unit at 5 dollars places it, but for its total.
fn placed(total: &Value) -> Value {
    let price = usd(&json!(500));
    json!({
        "cart_id": Uuid::from_u128(2), "channel": "pos", "placed_at": "2026-01-31T12:00:00Z",
        "method_token": "cash",
        "lines": [{
            "sku": "TEA", "product_id": Uuid::from_u128(1), "name": "The TEA",
            "department": "DRINKS", "quantity": 1, "unit_price": price, "total": price,
        }],
        "totals": {"subtotal": price, "discount": usd(&json!(0)), "total": usd(total)},
    })
}

/// Takes the shard from its owner, as a broken release would, and places an order there.
async fn place_poisoned(log: &dyn EventLog, order: &StreamId) -> Result<ShardId> {
    let shard = shard_of(order, log.shard_count());
    let mut owner = Owner::claim(log, shard).await?;
    let events = [
        ("placed", placed(&json!("five dollars"))),
        ("rejected", json!({"reasons": [{"code": "payment_declined", "detail": "no"}]})),
    ];
    for (index, (kind, data)) in (1..).zip(events) {
        let kind = format!("tradewind.order.{kind}.v1");
        owner.commit(vec![sample::stored(order.clone(), index, kind, data.to_string())]).await?;
    }
    owner.finish().await?;
    Ok(shard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_order_parks_that_order_only_and_edited_it_is_as_if_it_had_never_been() {
    let stack = Stack::start().await;
    product(&stack, "TEA", 500, 100).await;
    let log = log_of(&stack).await;
    let id = Uuid::now_v7();
    let order: StreamId = format!("order/{id}").parse().expect("a stream");
    let shard = place_poisoned(&log, &order).await.expect("two events");

    // One order after another, until one is of the same shard.
    let line = json!([{"sku": "TEA", "quantity": 1}]);
    loop {
        let cart = Cart::create(stack.anon(), &line).await;
        let checkout = cart.check_out("tok_ok").await.expect(202);
        assert_eq!(settled_order(&stack, &checkout).await["status"], "confirmed");
        let other: StreamId =
            format!("order/{}", checkout.text("/order_id")).parse().expect("a stream");
        if shard_of(&other, log.shard_count()) == shard {
            break;
        }
    }
    let (staff, projector) = (stack.staff(), stack.projector());
    let shown = format!("/v1/orders/{id}");
    assert_eq!(staff.get(&shown).await.status, 404);

    let parked = eventually("the letters", SETTLE_WAIT_MAX, || async {
        let listing = projector.get("/v1/admin/dead-letters?state=parked").await;
        let items = listing.body["items"].as_array().cloned().unwrap_or_default();
        if items.len() == 2 { Ok(items) } else { Err(listing.body) }
    })
    .await;
    let edit = json!({"data": placed(&json!(500)), "reason": "ticket 4711"});
    for letter in &parked {
        assert_eq!(letter["key"], order.to_string(), "{letter}");
        let path = format!("/v1/admin/dead-letters/{}", letter["id"].as_str().expect("an id"));
        let retried = projector.post(&format!("{path}/retry"), &json!({})).await.expect(409);
        assert_eq!(retried.body["code"], "still_inapplicable");
        projector.post(&format!("{path}/edit"), &edit).await.expect(200);
    }
    let edited = staff.get(&shown).await.expect(200);
    assert_eq!(edited.body["status"], "rejected", "{}", edited.body);
    assert_eq!(edited.body["totals"]["total"], usd(&json!(500)));

    // The model equals the fold with the edit.
    verify(&stack, "orders").await;
    stack.finish().await;
}
