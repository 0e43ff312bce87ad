//! Folds events into a row without a database.

use chrono::{DateTime, Utc};
use domain::StreamType;
use serde::de::DeserializeSeed;
use serde_json::{Value, json};

use crate::{Inapplicable, Origin, Row, Sums};

/// What the events, given as they are stored, make of the row with this key.
pub(crate) fn fold<R: Row>(
    stream: StreamType,
    key: R::Key,
    events: &[Value],
) -> Result<(Option<R>, Sums), Inapplicable> {
    let (mut row, mut sums) = (None, Sums::default());
    for (revision, event) in (1..).zip(events) {
        let event = stream.deserialize(event).expect("an event of the stream");
        let recorded_at = recorded_at(revision);
        let mut origin = Origin { key: &key, recorded_at, sums: &mut sums };
        row = R::evolve(row, &event, &mut origin)?;
    }
    Ok((row, sums))
}

/// The n-th event was recorded n seconds past noon.
pub(crate) fn recorded_at(revision: i64) -> DateTime<Utc> {
    let noon: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().expect("a time");
    noon + chrono::Duration::seconds(revision)
}

pub(crate) fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

/// A line without adjustments.
pub(crate) fn line(sku: &str, department: Option<&str>, quantity: u32, price: i64) -> Value {
    let mut line = json!({
        "sku": sku, "product_id": uuid::Uuid::from_u128(7), "name": format!("Product {sku}"),
        "quantity": quantity, "unit_price": usd(price), "total": usd(price * i64::from(quantity)),
    });
    if let Some(department) = department {
        line["department"] = department.into();
    }
    line
}

/// A checkout at the till, half an hour before the day's end.
pub(crate) fn checkout(lines: &[Value], total: i64) -> Value {
    json!({
        "lines": lines,
        "totals": { "subtotal": usd(total), "discount": usd(0), "total": usd(total) },
        "channel": "pos", "placed_at": "2026-01-30T23:30:00Z", "method_token": "cash",
        "customer_reference": "household-7", "email": "ada@example.com",
    })
}

/// An order of this checkout is placed.
pub(crate) fn placed(lines: &[Value], total: i64) -> Value {
    let mut data = checkout(lines, total);
    data["cart_id"] = json!(uuid::Uuid::from_u128(8));
    json!({ "type": "placed", "data": data })
}

pub(crate) fn confirmed(paid: i64) -> Value {
    let payment_id = uuid::Uuid::from_u128(9);
    json!({ "type": "confirmed", "data": { "payment_id": payment_id, "paid": usd(paid) } })
}
