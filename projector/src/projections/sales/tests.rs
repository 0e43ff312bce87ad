use serde_json::{Value, json};

use super::*;
use crate::projections::testing::{confirmed, fold, line, placed};

const ID: Uuid = Uuid::from_u128(1);

fn begun() -> Value {
    let lines =
        [line("A", Some("DAIRY"), 2, 100), line("B", None, 1, 50), line("C", Some("DAIRY"), 1, 30)];
    placed(&lines, 280)
}

fn figures(orders: i64, units: i64, revenue: i64) -> Figures {
    Figures { orders, sold: Sold { units, revenue } }
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
