//! What is on hand of each SKU, and how much of it is held for orders.

use chrono::{DateTime, Utc};
use domain::{StreamType, stock::Event};

use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
};

pub(super) struct Stocks;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Stock {
    sku: String,
    on_hand: i64,
    reserved: i64,
    updated_at: DateTime<Utc>,
    revision: i64,
}

impl Projection for Stocks {
    const NAME: &'static str = "stock";
    const VERSION: i32 = 1;
    // Every order writes here, and only these columns: without an index on them an update stays
    // within its page.
    const TABLES: &'static str = "
        CREATE TABLE {schema}.stock (
            sku        text PRIMARY KEY,
            on_hand    bigint NOT NULL,
            reserved   bigint NOT NULL,
            updated_at timestamptz NOT NULL,
            revision   bigint NOT NULL
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02);
    ";
    const VIEWS: &'static [(&'static str, &'static str)] = &[(
        "stock",
        "SELECT sku, on_hand, reserved, on_hand - reserved AS available, revision, updated_at
         FROM {schema}.stock",
    )];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Self];
}

impl StreamFold for Stocks {
    const STREAM: StreamType = StreamType::Stock;

    type Event = Event;
    type Key = String;
    type Row = Stock;
    type Additions = ();

    fn select(event: &domain::Event) -> Option<&Event> {
        match event {
            domain::Event::Stock(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<Stock>,
        event: &Event,
        origin: &Origin<String>,
        (): &mut (),
    ) -> Result<Option<Stock>, Inapplicable> {
        let (on_hand, reserved) = row.map_or((0, 0), |row| (row.on_hand, row.reserved));
        let (on_hand, reserved) = match *event {
            Event::Received { quantity, .. } | Event::Returned { quantity, .. } => {
                (on_hand.checked_add(quantity.into()), Some(reserved))
            }
            Event::Adjusted { delta, .. } => (on_hand.checked_add(delta), Some(reserved)),
            Event::Reserved { quantity, .. } => {
                (Some(on_hand), reserved.checked_add(quantity.into()))
            }
            Event::Released { quantity, .. } | Event::Expired { quantity, .. } => {
                (Some(on_hand), reserved.checked_sub(quantity.into()))
            }
            Event::Committed { quantity, .. } => {
                (on_hand.checked_sub(quantity.into()), reserved.checked_sub(quantity.into()))
            }
        };
        let (Some(on_hand), Some(reserved)) = (on_hand, reserved) else {
            return Err(Inapplicable::QuantityOverflow);
        };
        let (sku, updated_at) = (origin.key.clone(), origin.recorded_at);
        Ok(Some(Stock { sku, on_hand, reserved, updated_at, revision: origin.revision }))
    }
}

impl Row for Stock {
    type Key = String;

    const TABLE: Table = Table {
        name: "stock",
        keys: 1,
        columns: &[
            Column::of("sku", Kind::Text),
            Column::of("on_hand", Kind::Long),
            Column::of("reserved", Kind::Long),
            Column::of("updated_at", Kind::Time),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> String {
        self.sku.clone()
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::text(&self.sku),
            Cell::Long(self.on_hand),
            Cell::Long(self.reserved),
            Cell::Time(self.updated_at),
            Cell::Long(self.revision),
        ]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

#[cfg(test)]
mod tests;
