use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::testing::{fold, recorded_at};

fn received(quantity: u32) -> Value {
    json!({ "type": "received", "data": { "quantity": quantity } })
}

fn reserved(quantity: u32) -> Value {
    json!({ "type": "reserved", "data": {
        "reservation_id": Uuid::from_u128(1), "order_id": Uuid::from_u128(2),
        "quantity": quantity, "expires_at": "2026-01-31T12:15:00Z",
    } })
}

fn ended(kind: &str, quantity: u32) -> Value {
    json!({ "type": kind, "data": {
        "reservation_id": Uuid::from_u128(1), "quantity": quantity, "reason": "order rejected",
    } })
}

#[track_caller]
fn check(events: &[Value], on_hand: i64, reserved: i64) {
    let row = fold::<StockRow>(StreamType::Stock, "A-1".into(), events).unwrap().0.unwrap();
    assert_eq!((row.on_hand, row.reserved), (on_hand, reserved));
}

#[test]
fn quantities_follow_the_goods() {
    let adjusted = json!({ "type": "adjusted", "data": { "delta": -3, "reason": "broken" } });
    check(&[received(10)], 10, 0);
    check(&[received(10), adjusted], 7, 0);
    check(&[received(10), reserved(4)], 10, 4);
    check(&[received(10), reserved(4), ended("released", 4)], 10, 0);
    check(&[received(10), reserved(4), ended("expired", 4)], 10, 0);
    check(&[received(10), reserved(4), ended("committed", 4)], 6, 0);
    let returned = [ended("committed", 4), ended("returned", 4)];
    check(&[vec![received(10), reserved(4)], returned.to_vec()].concat(), 10, 0);
}

#[test]
fn a_row_knows_its_last_event() {
    let row = fold::<StockRow>(StreamType::Stock, "A-1".into(), &[received(1), received(2)])
        .unwrap()
        .0
        .unwrap();
    let sku = "A-1".into();
    let updated_at = recorded_at(2);
    assert_eq!(row, StockRow { sku, on_hand: 3, reserved: 0, updated_at, revision: 2 });
}
