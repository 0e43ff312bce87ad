use serde_json::{Value, json};

use super::*;
use crate::{
    dead_letters::{Corrections, testing::fact},
    projections::testing::{confirmed, fold, line, placed},
    verify::{Expect, Expected},
};

const ID: Uuid = Uuid::from_u128(1);

fn begun() -> Value {
    let lines =
        [line("A", Some("DAIRY"), 2, 100), line("B", None, 1, 50), line("C", Some("DAIRY"), 1, 30)];
    placed(&lines, 280)
}

fn figures(orders: i64, units: i64, revenue: i128) -> Figures {
    Figures { orders, units, revenue }
}

#[test]
fn no_number_of_the_largest_orders_is_too_much() {
    let largest = 500 * domain::cart::LINE_AMOUNT_MAX;
    let mut line = line("A", None, 1, 0);
    line["total"] = crate::projections::testing::usd(largest);
    let order = || {
        let events = [placed(std::slice::from_ref(&line), largest), confirmed(largest)];
        fold::<Sales>(ID, &events).unwrap().1
    };
    let mut all = Additions::default();
    for _ in 0..100 {
        Sales::merge(&mut all, order()).unwrap();
    }
    let total = all.totals.values().next().unwrap();
    assert_eq!(total.revenue, 100 * i128::from(largest));
    assert!(total.revenue > i128::from(i64::MAX));
}

#[test]
fn a_confirmed_order_counts_once_per_department_and_once_in_all() {
    let (pending, additions) = fold::<Sales>(ID, &[begun(), confirmed(280)]).unwrap();
    assert_eq!(pending, None);
    let day: NaiveDate = "2026-01-30".parse().unwrap();
    let department = |name: &str| (day, name.to_owned(), "pos".to_owned(), "USD".to_owned());
    let departments = BTreeMap::from([
        (department("DAIRY"), figures(1, 3, 230)),
        (department("UNKNOWN"), figures(1, 1, 50)),
    ]);
    let totals = BTreeMap::from([((day, "pos".to_owned(), "USD".to_owned()), figures(1, 4, 280))]);
    assert_eq!(additions, Additions { departments, totals });
}

#[test]
fn an_order_that_is_not_confirmed_does_not_count() {
    let reserved = json!({ "type": "stock_reserved", "data": {} });
    let (pending, additions) = fold::<Sales>(ID, &[begun(), reserved]).unwrap();
    assert_eq!(pending.map(|pending| pending.revision), Some(2));
    assert_eq!(additions, Additions::default());
    let rejected = json!({ "type": "rejected", "data": { "reasons": [] } });
    let (pending, additions) = fold::<Sales>(ID, &[begun(), rejected]).unwrap();
    assert_eq!((pending, additions), (None, Additions::default()));
}

#[test]
fn an_order_cannot_count_twice() {
    let twice = [begun(), confirmed(280), confirmed(280)];
    assert_eq!(fold::<Sales>(ID, &twice), Err(Inapplicable::UnknownStream));
}

#[test]
fn a_verification_adds_up_over_all_parts() {
    let mut expected = Box::new(Expected::<Sales>::default());
    for id in [1, 2] {
        let stream = format!("order/{}", Uuid::from_u128(id));
        for (revision, event) in (1..).zip([begun(), confirmed(280)]) {
            let value = event["data"].to_string().leak();
            let fact = fact(&stream, revision, event["type"].as_str().unwrap(), value);
            assert!(expected.take(&Corrections::default().see(&fact).unwrap(), 0), "{fact:?}");
        }
        let ((pending, rows), stopped) = expected.end_part();
        assert_eq!((pending.name, rows.len(), stopped), ("pending", 0, 0));
    }
    let orders = expected.into_shared().into_iter().map(|(table, rows)| {
        (table.name, rows.values().map(|row| row["orders"].clone()).collect())
    });
    let expected: [(_, Vec<Value>); 2] =
        [("sales", vec![2.into(), 2.into()]), ("sales_totals", vec![2.into()])];
    assert_eq!(orders.collect::<Vec<_>>(), expected);
}
