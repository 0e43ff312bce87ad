//! Orders as clients read them: one document per order, with its timeline.
//!
//! **Invariant:** no personal data gets in here (e-mail, address): whoever may read an order's lines
//! need not be the one who may read those.

mod flat;

use domain::{
    Event as AnyEvent, StreamType,
    cart::Channel,
    id::{CartId, Sku},
    money,
    order::{self, Event},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    Evolved, Fold,
    Get::{self, Text, TextOrNull, Time},
    History, Inapplicable, Line, Money, Origin, Projection, Row, Showing, Shown,
    line::lines,
};

pub const ORDERS: Projection = Projection {
    name: "orders",
    version: 1,
    tables: "
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
    ",
    views: &[(
        "orders",
        "SELECT id, status, channel, customer_reference, placed_at, doc, revision
         FROM {schema}.orders",
    )],
    analytics: &[flat::ORDERS, flat::ORDER_LINES],
    folds: &[Fold::of::<OrderRow>(StreamType::Order)],
};

/// One of them as it was.
pub const HISTORY: History = History::of::<OrderRow>(StreamType::Order);

/// As the view has it, and as clients see it.
pub type Order = Shown<OrderHead, OrderDoc>;

/// The cart of an order: an expression over the view.
pub const CART_ID: &str = "(doc->>'cart_id')::uuid";

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[schema(as = Order)]
pub struct OrderHead {
    pub id: Uuid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderDoc {
    /// The cart that became the order.
    // A guest reads the order with the cart's token.
    #[schema(value_type = Uuid)]
    cart_id: CartId,
    /// `pending`, `confirmed` or `rejected`.
    #[schema(value_type = String, example = "confirmed")]
    status: Status,
    /// What may be asked of the order in this status.
    next_actions: Vec<String>,
    lines: Vec<Line>,
    totals: OrderTotals,
    /// `web` or `pos`.
    #[schema(value_type = String, example = "web")]
    channel: Channel,
    customer_reference: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    placed_at: Timestamp,
    /// Why it was rejected, if it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<Reason>>)]
    reasons: Vec<Reason>,
    timeline: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    Confirmed,
    Rejected,
}

// What was agreed, and what of it has been paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderTotals {
    subtotal: Money,
    discount: Money,
    total: Money,
    paid: Money,
    refunded: Money,
}

/// Why an order was rejected; with a SKU where one line is to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    sku: Option<Sku>,
    code: String,
    detail: String,
}

/// One step of an order's life, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// `placed`, `stock_reserved`, `confirmed` or `rejected`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "placed")]
    kind: StepKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paid: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<Reason>>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepKind {
    Placed,
    StockReserved,
    Confirmed,
    Rejected,
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct OrderRow {
    id: Uuid,
    doc: Json<OrderDoc>,
}

impl Row for OrderRow {
    type Key = Uuid;

    const TABLE: &'static str = "orders";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("id", Get::Uuid(|order| order.id)),
        ("status", Text(|order| order.doc.status.as_str())),
        ("channel", Text(|order| order.doc.channel.as_str())),
        ("customer_reference", TextOrNull(|order| order.doc.customer_reference.as_deref())),
        ("placed_at", Time(|order| order.doc.placed_at.to_datetime())),
        ("doc", Get::Json(|order| serde_json::to_string(&order.doc))),
    ];

    fn evolve(row: Option<Self>, event: &AnyEvent, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        let AnyEvent::Order(event) = event else { return Err(Inapplicable::WrongStream) };
        match row {
            None => Self::begin(event, origin),
            Some(order) => order.go_on(event, origin),
        }
        .map(Some)
    }
}

impl Showing for OrderRow {
    fn show(&self, revision: i64) -> Result<String, serde_json::Error> {
        Order::of(OrderHead { id: self.id }, revision, &self.doc.0)?.to_json()
    }
}

impl OrderRow {
    fn begin(event: &Event, origin: &Origin<'_, Uuid>) -> Result<Self, Inapplicable> {
        let Event::Placed { cart_id, checkout } = event else {
            return Err(Inapplicable::UnknownStream);
        };
        let agreed = checkout.totals;
        let nothing = money::Money::zero(agreed.total.currency).into();
        let doc = OrderDoc {
            cart_id: *cart_id,
            status: Status::Pending,
            next_actions: Vec::new(),
            lines: lines(&checkout.lines),
            totals: OrderTotals {
                subtotal: agreed.subtotal.into(),
                discount: agreed.discount.into(),
                total: agreed.total.into(),
                paid: nothing,
                refunded: nothing,
            },
            channel: checkout.channel,
            customer_reference: checkout.customer_reference.clone(),
            placed_at: checkout.placed_at,
            reasons: Vec::new(),
            timeline: vec![Step::of(StepKind::Placed, origin)],
        };
        Ok(Self { id: *origin.key, doc: Json(doc) })
    }

    fn go_on(mut self, event: &Event, origin: &Origin<'_, Uuid>) -> Result<Self, Inapplicable> {
        let doc = &mut self.doc.0;
        let step = match event {
            Event::Placed { .. } => return Err(Inapplicable::ExistsAlready),
            Event::StockReserved {} => Step::of(StepKind::StockReserved, origin),
            Event::Confirmed { paid, .. } => {
                doc.status = Status::Confirmed;
                doc.totals.paid = money::Money::from(doc.totals.paid).checked_add(*paid)?.into();
                Step { paid: Some((*paid).into()), ..Step::of(StepKind::Confirmed, origin) }
            }
            Event::Rejected { reasons } => {
                doc.status = Status::Rejected;
                doc.reasons = reasons.iter().map(Reason::from).collect();
                let reasons = Some(doc.reasons.clone());
                Step { reasons, ..Step::of(StepKind::Rejected, origin) }
            }
        };
        doc.timeline.push(step);
        Ok(self)
    }
}

impl Step {
    fn of(kind: StepKind, origin: &Origin<'_, Uuid>) -> Self {
        Self { kind, paid: None, reasons: None, at: origin.recorded_at.into() }
    }
}

impl From<&order::Reason> for Reason {
    fn from(order::Reason { sku, code, detail }: &order::Reason) -> Self {
        Self { sku: sku.clone(), code: code.clone(), detail: detail.clone() }
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
