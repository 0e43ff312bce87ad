use serde_json::{Value, json};

use super::*;
use crate::testing::{confirmed, fold, line, placed, usd};

const ID: Uuid = Uuid::from_u128(1);

fn order(events: &[Value]) -> OrderRow {
    fold::<OrderRow>(StreamType::Order, ID, events).unwrap().0.unwrap()
}

fn begun() -> Value {
    placed(&[line("A", Some("DAIRY"), 2, 150)], 300)
}

fn reserved() -> Value {
    json!({ "type": "stock_reserved", "data": {} })
}

#[test]
fn a_confirmed_order_shows_what_was_paid_and_how_it_came_to_that() {
    let order = order(&[begun(), reserved(), confirmed(300)]);
    let expected = json!({
        "cart_id": Uuid::from_u128(8), "status": "confirmed", "next_actions": [],
        "lines": [{
            "sku": "A", "product_id": Uuid::from_u128(7), "name": "Product A",
            "department": "DAIRY", "quantity": 2, "unit_price": usd(150), "adjustments": [],
            "total": usd(300),
        }],
        "totals": {
            "subtotal": usd(300), "discount": usd(0), "total": usd(300), "paid": usd(300),
            "refunded": usd(0),
        },
        "channel": "pos", "customer_reference": "household-7",
        "placed_at": "2026-01-30T23:30:00.000000Z",
        "timeline": [
            {"type": "placed", "at": "2026-01-31T12:00:01.000000Z"},
            {"type": "stock_reserved", "at": "2026-01-31T12:00:02.000000Z"},
            {"type": "confirmed", "paid": usd(300), "at": "2026-01-31T12:00:03.000000Z"},
        ],
    });
    assert_eq!(serde_json::to_value(&order.doc.0).unwrap(), expected);
}

#[test]
fn a_rejected_order_says_why() {
    let reason = json!({ "sku": "A", "code": "stock.insufficient", "detail": "1 available" });
    let rejected = json!({ "type": "rejected", "data": { "reasons": [reason] } });
    let order = order(&[begun(), rejected]);
    let doc = serde_json::to_value(&order.doc).unwrap();
    assert_eq!(doc["status"], "rejected");
    assert_eq!(doc["reasons"], json!([reason]));
    assert_eq!(doc["timeline"][1]["type"], "rejected");
    assert_eq!(doc["timeline"][1]["reasons"], json!([reason]));
    assert_eq!(doc["totals"]["paid"], usd(0));
}

#[test]
fn personal_data_stays_out() {
    let doc = serde_json::to_string(&order(&[begun()]).doc).unwrap();
    assert!(!doc.contains("ada@example.com"), "{doc}");
}

#[test]
fn documents_survive_their_storage() {
    let order = order(&[begun(), reserved(), confirmed(300)]);
    let stored = serde_json::to_value(&order.doc.0).unwrap();
    assert_eq!(serde_json::from_value::<OrderDoc>(stored).unwrap(), order.doc.0);
}
