//! Orders as clients read them: one document per order, with its timeline.
//!
//! **Invariant:** no personal data gets in here (e-mail, address): whoever may read an order's lines
//! need not be the one who may read those.

use domain::{
    StreamType,
    cart::{Channel, Totals},
    id::CartId,
    money::Money,
    order::{Event, Reason},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use super::line::{self, Line};
use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
};

pub(super) struct Orders;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Order {
    id: Uuid,
    doc: Json<Doc>,
    revision: i64,
}

/// The order as it is shown, save its id and revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Doc {
    /// The cart that became this order: a guest reads the order with the cart's token.
    cart_id: CartId,
    status: Status,
    /// What a client may ask of the order in this status.
    next_actions: Vec<String>,
    lines: Vec<Line>,
    totals: Settlement,
    channel: Channel,
    customer_reference: Option<String>,
    placed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    timeline: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    Confirmed,
    Rejected,
}

/// What was agreed, and what of it has been paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Settlement {
    #[serde(flatten)]
    agreed: Totals,
    paid: Money,
    refunded: Money,
}

/// One step of an order's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    step: Step,
    at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Step {
    Placed,
    StockReserved,
    Confirmed { paid: Money },
    Rejected { reasons: Vec<Reason> },
}

impl Projection for Orders {
    const NAME: &'static str = "orders";
    const VERSION: i32 = 1;
    const TABLES: &'static str = "
        CREATE TABLE {schema}.orders (
            id                 uuid PRIMARY KEY,
            status             text NOT NULL,
            channel            text NOT NULL,
            customer_reference text,
            placed_at          timestamptz NOT NULL,
            doc                jsonb NOT NULL,
            revision           bigint NOT NULL
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
        CREATE INDEX ON {schema}.orders (placed_at, id);
        CREATE INDEX ON {schema}.orders (status, placed_at, id);
        CREATE INDEX ON {schema}.orders (customer_reference, placed_at, id);
    ";
    const VIEWS: &'static [(&'static str, &'static str)] = &[(
        "orders",
        "SELECT id, status, channel, customer_reference, placed_at, doc, revision
         FROM {schema}.orders",
    )];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Self];
}

impl StreamFold for Orders {
    const STREAM: StreamType = StreamType::Order;

    type Event = Event;
    type Key = Uuid;
    type Row = Order;
    type Additions = ();

    fn select(event: &domain::Event) -> Option<&Event> {
        match event {
            domain::Event::Order(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<Order>,
        event: &Event,
        origin: &Origin<Uuid>,
        (): &mut (),
    ) -> Result<Option<Order>, Inapplicable> {
        match row {
            None => Order::begin(event, origin),
            Some(order) => order.evolve(event, origin),
        }
        .map(Some)
    }
}

impl Row for Order {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "orders",
        keys: 1,
        columns: &[
            Column::of("id", Kind::Uuid),
            Column::of("status", Kind::Text),
            Column::of("channel", Kind::Text),
            Column::of("customer_reference", Kind::Text),
            Column::of("placed_at", Kind::Time),
            Column::of("doc", Kind::Json),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> Uuid {
        self.id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Uuid(self.id),
            Cell::text(self.doc.status.as_str()),
            Cell::text(self.doc.channel.as_str()),
            Cell::text_or_null(self.doc.customer_reference.as_deref()),
            Cell::Time(self.doc.placed_at.to_datetime()),
            Cell::json(&self.doc),
            Cell::Long(self.revision),
        ]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Order {
    fn begin(event: &Event, origin: &Origin<Uuid>) -> Result<Self, Inapplicable> {
        let Event::Placed { cart_id, checkout } = event else {
            return Err(Inapplicable::UnknownStream);
        };
        let nothing = Money::zero(checkout.totals.total.currency);
        let doc = Doc {
            cart_id: *cart_id,
            status: Status::Pending,
            next_actions: Vec::new(),
            lines: line::lines(&checkout.lines),
            totals: Settlement { agreed: checkout.totals, paid: nothing, refunded: nothing },
            channel: checkout.channel,
            customer_reference: checkout.customer_reference.clone(),
            placed_at: checkout.placed_at,
            reasons: Vec::new(),
            timeline: vec![Entry { step: Step::Placed, at: origin.recorded_at.into() }],
        };
        Ok(Self { id: origin.key, doc: Json(doc), revision: origin.revision })
    }

    fn evolve(mut self, event: &Event, origin: &Origin<Uuid>) -> Result<Self, Inapplicable> {
        let doc = &mut self.doc.0;
        let step = match event {
            Event::Placed { .. } => return Err(Inapplicable::ExistsAlready),
            Event::StockReserved {} => Step::StockReserved,
            Event::Confirmed { paid, .. } => {
                doc.status = Status::Confirmed;
                doc.totals.paid = doc.totals.paid.checked_add(*paid)?;
                Step::Confirmed { paid: *paid }
            }
            Event::Rejected { reasons } => {
                doc.status = Status::Rejected;
                doc.reasons.clone_from(reasons);
                Step::Rejected { reasons: reasons.clone() }
            }
        };
        doc.timeline.push(Entry { step, at: origin.recorded_at.into() });
        self.revision = origin.revision;
        Ok(self)
    }
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
        }
    }
}

#[cfg(test)]
mod tests;
