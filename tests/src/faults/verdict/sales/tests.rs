//! One sale, one checkout that is refused, one that comes to nothing after all was taken: sound, and
//! then with one thing wrong.

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::audit::{Commit, Kind, Observer, Record};
use crate::faults::action::Payment;
use crate::faults::history::Answer;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn placed(cart: u128, quantity: i64) -> Value {
    let money = json!({"amount": 450, "currency": "USD"});
    json!({
        "cart_id": id(cart), "channel": "web", "placed_at": "2026-01-01T00:00:00Z",
        "lines": [{"sku": "tea", "quantity": quantity, "total": money}],
        "totals": {"total": money},
    })
}

/// Event types without their prefix, with their streams and data.
type Story = Vec<(String, &'static str, Value)>;

fn sound() -> Story {
    let stream = |kind: &str, number| format!("{kind}/{}", id(number));
    let tea = || "stock/tea".to_owned();
    let quantity = |quantity: i64| json!({ "quantity": quantity });
    let order_id = |number| json!({ "order_id": id(number) });
    let refused = json!({"order_id": id(11), "code": "order.exists", "detail": "taken"});
    let paid = json!({"paid": {"amount": 450, "currency": "USD"}});
    let parked = json!({"step_id": id(90), "step": {"event_id": id(91)}});
    vec![
        (tea(), "stock.received", quantity(5)),
        // Sold.
        (stream("cart", 1), "cart.checked_out", order_id(11)),
        (stream("order", 11), "order.placed", placed(1, 2)),
        (tea(), "stock.reserved", quantity(2)),
        (stream("order", 11), "order.stock_reserved", json!({})),
        (stream("payment", 21), "payment.authorised", order_id(11)),
        (tea(), "stock.committed", quantity(2)),
        (stream("order", 11), "order.confirmed", paid),
        // Refused.
        (stream("cart", 2), "cart.checked_out", order_id(11)),
        (stream("cart", 2), "cart.checkout_refused", refused),
        // Taken back.
        (stream("cart", 3), "cart.checked_out", order_id(13)),
        (stream("order", 13), "order.placed", placed(3, 1)),
        (tea(), "stock.reserved", quantity(1)),
        (stream("payment", 23), "payment.authorised", order_id(13)),
        (tea(), "stock.committed", quantity(1)),
        (tea(), "stock.returned", quantity(1)),
        (stream("payment", 23), "payment.voided", json!({"reason": "order rejected"})),
        (stream("order", 13), "order.rejected", json!({"reasons": []})),
        // Parked, and settled by an operator.
        ("process/2".to_owned(), "process.step_parked", parked),
        ("process/2".to_owned(), "process.event_settled", json!({"event_id": id(91)})),
    ]
}

fn checkout(cart: u128, order: u128) -> Command {
    let answer = Answer { at: 50, node: 1, status: 202, revision: 2, ..Answer::default() };
    Command {
        client: 0,
        key: "key".to_owned(),
        command_id: id(cart),
        action: Action::CheckOut {
            cart: id(cart),
            order: id(order),
            payment: Payment::Card,
            taken: cart == 2,
        },
        if_match: None,
        began: 0,
        tries: 1,
        answer: Some(answer),
    }
}

fn violations(story: Story, commands: &[Command]) -> Vec<String> {
    let mut fold = Fold::default();
    for (offset, (key, event_type, value)) in (0..).zip(story) {
        let record = Record {
            event_type: format!("tradewind.{event_type}.v1"),
            value,
            ..Record::bare(Kind::Event, &key)
        };
        fold.observe(&Commit { partition: 2, next_offset: offset + 1, records: vec![record] });
    }
    let mut violations = fold.faults.clone();
    check(commands, &fold, &mut violations);
    violations
}

fn commands() -> [Command; 3] {
    [checkout(1, 11), checkout(2, 11), checkout(3, 13)]
}

#[track_caller]
fn found(violations: &[String], expected: &str) {
    assert!(violations.iter().any(|it| it.contains(expected)), "{expected}: {violations:#?}");
}

#[test]
fn a_sound_run_has_no_violation() {
    assert_eq!(violations(sound(), &commands()), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_found() {
    // Without the nth event of a type, the run is wrong in these words.
    for (event_type, nth, expected) in [
        // A checkout came to nothing.
        ("order.placed", 1, "placed: false, refused: false"),
        ("cart.checkout_refused", 0, "placed: false, refused: false"),
        ("cart.checkout_refused", 0, "is not its own"),
        // An order stays pending.
        ("order.confirmed", 0, "neither confirmed nor rejected"),
        ("order.rejected", 0, "neither confirmed nor rejected"),
        // Units were sold without being taken.
        ("stock.committed", 0, "stock/tea: 2 units confirmed, 0 taken"),
        ("stock.returned", 0, "stock/tea: 2 units confirmed, 3 taken"),
        ("order.confirmed", 0, "stock/tea: 0 units confirmed, 2 taken"),
        // Something is held for nobody.
        ("stock.committed", 1, "1 units held at rest"),
        ("payment.voided", 0, "which is rejected"),
        // A step stays parked.
        ("process.event_settled", 0, "is parked"),
    ] {
        let mut story = sound();
        let of_type = story.iter().enumerate().filter(|(_, (_, it, _))| *it == event_type);
        let index = of_type.map(|(index, _)| index).nth(nth).unwrap();
        story.remove(index);
        found(&violations(story, &commands()), expected);
    }
}

#[test]
fn a_checkout_that_nothing_tells_of_is_found() {
    found(&violations(sound(), &[checkout(1, 12)]), "placed: false, refused: false");
}

#[test]
fn a_refusal_of_what_was_placed_is_found() {
    let mut story = sound();
    let refused = json!({"order_id": id(11), "code": "order.exists", "detail": "no"});
    story.push((format!("cart/{}", id(1)), "cart.checkout_refused", refused));
    let violations = violations(story, &commands());
    found(&violations, "placed: true, refused: true");
    found(&violations, "which says no");
}

#[test]
fn units_that_are_put_back_twice_are_found() {
    let mut story = sound();
    let returned = story.iter().position(|(_, it, _)| *it == "stock.returned").unwrap();
    story.insert(returned, story[returned].clone());
    found(&violations(story, &commands()), "units put back");
}
