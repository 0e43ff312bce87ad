//! What is on hand of each SKU, and how much of it is held for orders.

mod flat;

use chrono::{DateTime, Utc};
use domain::{Event, StreamType, stock};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Evolved, Fold,
    Get::{self, Long, Text, Time},
    History, Inapplicable, Origin, Projection, Row, Showing,
};

pub const STOCK: Projection = Projection {
    name: "stock",
    version: 1,
    // Every order writes here, and only these columns: without an index on them an update stays
    // within its page.
    tables: "
        CREATE TABLE {schema}.stock (
            sku        text PRIMARY KEY,
            on_hand    bigint NOT NULL,
            reserved   bigint NOT NULL,
            updated_at timestamptz NOT NULL,
            revision   bigint NOT NULL
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
    ",
    views: &[(
        "stock",
        "SELECT sku, on_hand, reserved, on_hand - reserved AS available, revision, updated_at
         FROM {schema}.stock",
    )],
    analytics: &[flat::STOCK],
    folds: &[Fold::of::<StockRow>(StreamType::Stock)],
};

/// One of them as it was.
pub const HISTORY: History = History::of::<StockRow>(StreamType::Stock);

/// The stock of a SKU as it is shown.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Stock {
    #[schema(example = "1082185")]
    pub sku: String,
    on_hand: i64,
    /// Held for orders that are under way.
    reserved: i64,
    /// `on_hand - reserved`
    available: i64,
    #[serde(skip)]
    pub revision: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct StockRow {
    sku: String,
    on_hand: i64,
    reserved: i64,
    updated_at: DateTime<Utc>,
}

impl Row for StockRow {
    type Key = String;

    const TABLE: &'static str = "stock";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("sku", Text(|row| &row.sku)),
        ("on_hand", Long(|row| row.on_hand)),
        ("reserved", Long(|row| row.reserved)),
        ("updated_at", Time(|row| row.updated_at)),
    ];

    fn evolve(row: Option<Self>, event: &Event, origin: &mut Origin<'_, String>) -> Evolved<Self> {
        use stock::Event::{Adjusted, Committed, Expired, Received, Released, Reserved, Returned};
        let Event::Stock(event) = event else { return Err(Inapplicable::WrongStream) };
        let (on_hand, reserved) = row.map_or((0, 0), |row| (row.on_hand, row.reserved));
        let (on_hand, reserved) = match *event {
            Received { quantity, .. } | Returned { quantity, .. } => {
                (on_hand.checked_add(quantity.into()), Some(reserved))
            }
            Adjusted { delta, .. } => (on_hand.checked_add(delta), Some(reserved)),
            Reserved { quantity, .. } => (Some(on_hand), reserved.checked_add(quantity.into())),
            Released { quantity, .. } | Expired { quantity, .. } => {
                (Some(on_hand), reserved.checked_sub(quantity.into()))
            }
            Committed { quantity, .. } => {
                (on_hand.checked_sub(quantity.into()), reserved.checked_sub(quantity.into()))
            }
        };
        let (Some(on_hand), Some(reserved)) = (on_hand, reserved) else {
            return Err(Inapplicable::QuantityOverflow);
        };
        let (sku, updated_at) = (origin.key.clone(), origin.recorded_at);
        Ok(Some(Self { sku, on_hand, reserved, updated_at }))
    }
}

impl Showing for StockRow {
    fn show(&self, revision: i64) -> Result<String, serde_json::Error> {
        let Self { sku, on_hand, reserved, .. } = self.clone();
        let available = on_hand.saturating_sub(reserved);
        serde_json::to_string(&Stock { sku, on_hand, reserved, available, revision })
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(row, StockRow { sku, on_hand: 3, reserved: 0, updated_at });
    }
}
