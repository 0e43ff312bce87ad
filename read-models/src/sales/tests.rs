use super::*;
use crate::{
    Cell,
    testing::{confirmed, fold, line, placed, usd},
};
use serde_json::{Value, json};

const ID: Uuid = Uuid::from_u128(1);

fn begun() -> Value {
    let lines =
        [line("A", Some("DAIRY"), 2, 100), line("B", None, 1, 50), line("C", Some("DAIRY"), 1, 30)];
    placed(&lines, 280)
}

fn sale(department: &str, units: i64, revenue: i64) -> Sale {
    Sale {
        day: "2026-01-30".parse().unwrap(),
        department: department.into(),
        channel: "pos".into(),
        currency: "USD".into(),
        sold: Sold { units, revenue },
    }
}

#[test]
fn no_number_of_the_largest_orders_is_too_much() {
    let largest = 500 * domain::cart::LINE_AMOUNT_MAX;
    let mut line = line("A", None, 1, 0);
    line["total"] = usd(largest);
    let order = || {
        let events = [placed(std::slice::from_ref(&line), largest), confirmed(largest)];
        fold::<PendingRow>(StreamType::Order, ID, &events).unwrap().1
    };
    let mut all = Sums::default();
    for _ in 0..100 {
        all.merge(order()).unwrap();
    }
    let total = all.rows(&TOTALS.table(), 0).next().unwrap();
    let revenue = 100 * i128::from(largest);
    assert_eq!(total.last(), Some(&Cell::Whole(revenue)));
    assert!(revenue > i128::from(i64::MAX));
}

#[test]
fn a_confirmed_order_counts_once_per_department_and_once_in_all() {
    let (pending, sums) =
        fold::<PendingRow>(StreamType::Order, ID, &[begun(), confirmed(280)]).unwrap();
    assert_eq!(pending, None);
    let mut expected = Sums::default();
    for department in [sale("DAIRY", 3, 230), sale("UNKNOWN", 1, 50)] {
        expected.add(&BY_DEPARTMENT, &department).unwrap();
    }
    expected.add(&TOTALS, &sale("", 4, 280)).unwrap();
    assert_eq!(sums, expected);
}

#[test]
fn an_order_that_is_not_confirmed_does_not_count() {
    let reserved = json!({ "type": "stock_reserved", "data": {} });
    let (pending, sums) = fold::<PendingRow>(StreamType::Order, ID, &[begun(), reserved]).unwrap();
    assert!(pending.is_some());
    assert_eq!(sums, Sums::default());
    let rejected = json!({ "type": "rejected", "data": { "reasons": [] } });
    let (pending, sums) = fold::<PendingRow>(StreamType::Order, ID, &[begun(), rejected]).unwrap();
    assert_eq!((pending, sums), (None, Sums::default()));
}

#[test]
fn an_order_cannot_count_twice() {
    let twice = [begun(), confirmed(280), confirmed(280)];
    assert_eq!(fold::<PendingRow>(StreamType::Order, ID, &twice), Err(Inapplicable::UnknownStream));
}
