//! What is on hand of each SKU, and how much of it is held for orders.

use chrono::{DateTime, Utc};
use domain::{Event, StreamType, stock};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Fold,
    Get::{self, Long, Text, Time},
    Inapplicable, Origin, Projection, Row, Sums,
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
    folds: &[Fold::of::<StockRow>(StreamType::Stock)],
};

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
    revision: i64,
}

impl Row for StockRow {
    type Key = String;

    const TABLE: &'static str = "stock";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("sku", Text(|row| &row.sku)),
        ("on_hand", Long(|row| row.on_hand)),
        ("reserved", Long(|row| row.reserved)),
        ("updated_at", Time(|row| row.updated_at)),
        ("revision", Long(|row| row.revision)),
    ];

    fn revision(&self) -> i64 {
        self.revision
    }

    fn evolve(
        row: Option<Self>,
        event: &Event,
        origin: &Origin<'_, String>,
        _: &mut Sums,
    ) -> Result<Option<Self>, Inapplicable> {
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
        Ok(Some(Self { sku, on_hand, reserved, updated_at, revision: origin.revision }))
    }
}

#[cfg(test)]
mod tests;
