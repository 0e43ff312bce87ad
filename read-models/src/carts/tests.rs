use serde_json::{Value, json};

use super::*;
use crate::testing::{checkout, fold, line, usd};

const ID: Uuid = Uuid::from_u128(1);
const ORDER: Uuid = Uuid::from_u128(2);
const EXPIRES_AT: &str = "2026-02-01T12:00:00Z";

fn created(lines: &[Value]) -> Value {
    json!({ "type": "created", "data": {
        "currency": "USD", "staff": false, "lines": lines, "expires_at": EXPIRES_AT,
    } })
}

fn line_event(kind: &str, line: Value) -> Value {
    json!({ "type": kind, "data": { "line": line, "expires_at": EXPIRES_AT } })
}

fn checked_out() -> Value {
    json!({ "type": "checked_out", "data": {
        "order_id": ORDER, "checkout": checkout(&[line("A", None, 1, 90)], 90),
    } })
}

fn cart(events: &[Value]) -> CartRow {
    fold::<CartRow>(StreamType::Cart, ID, events).unwrap().0.unwrap()
}

fn quantities(cart: &CartRow) -> Vec<(&str, u32)> {
    cart.doc.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect()
}

#[test]
fn lines_keep_their_order_and_add_up() {
    let cart = cart(&[
        created(&[line("A", None, 1, 100)]),
        line_event("line_added", line("B", Some("DAIRY"), 2, 250)),
        line_event("line_changed", line("A", None, 3, 100)),
    ]);
    assert_eq!(quantities(&cart), [("A", 3), ("B", 2)]);
    let totals = serde_json::to_value(cart.doc.totals).unwrap();
    assert_eq!(totals, json!({ "subtotal": usd(800), "discount": usd(0), "total": usd(800) }));
}

#[test]
fn lines_go_and_come_anew() {
    let removed =
        json!({ "type": "line_removed", "data": { "sku": "A", "expires_at": EXPIRES_AT } });
    let lines = [line("A", None, 1, 100), line("B", None, 1, 100)];
    let without = [created(&lines), removed];
    assert_eq!(quantities(&cart(&without)), [("B", 1)]);
    let replaced = json!({ "type": "lines_replaced", "data": {
        "lines": [line("C", None, 5, 10)], "expires_at": EXPIRES_AT,
    } });
    assert_eq!(quantities(&cart(&[created(&lines), replaced])), [("C", 5)]);
}

#[test]
fn a_discount_is_what_adjustments_took_off() {
    let mut discounted = line("A", None, 2, 100);
    discounted["adjustments"] =
        json!([{ "kind": "retail", "amount": usd(-50), "reason": "loyalty" }]);
    discounted["total"] = usd(150);
    let cart = cart(&[created(&[discounted])]);
    assert_eq!(cart.doc.totals.discount, Money::new(50, Currency::USD).into());
}

#[test]
fn a_cart_becomes_an_order() {
    let begun = created(&[line("A", None, 1, 100)]);
    let ordered = cart(&[begun, checked_out()]);
    assert_eq!(ordered.status, "checked_out");
    assert_eq!(ordered.doc.order_id, Some(OrderId::new(ORDER)));
    assert_eq!(ordered.doc.totals.total.amount, 90, "the price at the checkout counts");
}

#[test]
fn a_cart_that_has_ended_is_there_for_nobody() {
    let abandoned = [created(&[]), json!({ "type": "abandoned", "data": {} })];
    assert!(fold::<CartRow>(StreamType::Cart, ID, &abandoned).unwrap().0.is_none());
    let ended = [created(&[]), checked_out(), json!({ "type": "ended", "data": {} })];
    assert!(fold::<CartRow>(StreamType::Cart, ID, &ended).unwrap().0.is_none());
}

#[test]
fn a_cart_whose_order_cannot_be_placed_is_open_again_and_says_why() {
    let refused = json!({ "type": "checkout_refused", "data": {
        "order_id": ORDER, "code": "order.exists", "detail": "taken",
        "expires_at": "2026-01-31T00:00:00Z",
    } });
    let begun = created(&[line("A", None, 1, 100)]);
    let open = cart(&[begun.clone(), checked_out(), refused.clone()]);
    assert_eq!((open.status.as_str(), open.doc.order_id), ("open", None));
    assert_eq!(
        open.doc.refusal.as_ref().map(|refusal| refusal.code.as_str()),
        Some("order.exists")
    );
    let ordered = cart(&[begun, checked_out(), refused, checked_out()]);
    assert_eq!((ordered.status.as_str(), &ordered.doc.refusal), ("checked_out", &None));
}
