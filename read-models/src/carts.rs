//! Carts as their owners see them.

mod flat;

use chrono::{DateTime, Utc};
use domain::{
    Event as AnyEvent, StreamType,
    cart::{self, Event},
    id::OrderId,
    money::{Currency, Money},
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    CartTotals, Evolved, Fold,
    Get::{self, Text, Time},
    History, Inapplicable, Line, Origin, Projection, Row, Showing, Shown,
    line::lines,
};

pub const CARTS: Projection = Projection {
    name: "carts",
    version: 2,
    tables: "
        CREATE TABLE {schema}.carts (
            id         uuid PRIMARY KEY,
            status     text NOT NULL,
            doc        jsonb NOT NULL,
            updated_at timestamptz NOT NULL,
            revision   bigint NOT NULL
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
    ",
    views: &[("carts", "SELECT id, status, doc, revision, updated_at FROM {schema}.carts")],
    analytics: &[flat::CARTS],
    folds: &[Fold::of::<CartRow>(StreamType::Cart)],
};

/// One of them as it was.
pub const HISTORY: History = History::of::<CartRow>(StreamType::Cart);

/// As the view has it, and as clients see it.
pub type Cart = Shown<CartHead, CartDoc>;

#[derive(Serialize, sqlx::FromRow, ToSchema)]
#[schema(as = Cart)]
pub struct CartHead {
    pub id: Uuid,
    /// `open` or `checked_out`.
    #[schema(example = "open")]
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CartDoc {
    #[schema(value_type = String, example = "USD")]
    currency: Currency,
    /// Made by staff: its lines may carry adjustments.
    staff: bool,
    lines: Vec<Line>,
    totals: CartTotals,
    /// Once it is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// Why its last checkout came to nothing: the cart is open again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
}

/// An order that could not be placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    code: String,
    detail: String,
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct CartRow {
    id: Uuid,
    status: String,
    doc: Json<CartDoc>,
    updated_at: DateTime<Utc>,
}

impl Row for CartRow {
    type Key = Uuid;

    const TABLE: &'static str = "carts";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("id", Get::Uuid(|cart| cart.id)),
        ("status", Text(|cart| &cart.status)),
        ("doc", Get::Json(|cart| serde_json::to_string(&cart.doc))),
        ("updated_at", Time(|cart| cart.updated_at)),
    ];

    fn evolve(row: Option<Self>, event: &AnyEvent, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        let AnyEvent::Cart(event) = event else { return Err(Inapplicable::WrongStream) };
        match row {
            None => Self::begin(event, origin).map(Some),
            Some(cart) => cart.go_on(event, origin),
        }
    }
}

impl Showing for CartRow {
    fn show(&self, revision: i64) -> Result<String, serde_json::Error> {
        let head = CartHead { id: self.id, status: self.status.clone() };
        Cart::of(head, revision, &self.doc.0)?.to_json()
    }
}

impl CartRow {
    fn begin(event: &Event, origin: &Origin<'_, Uuid>) -> Result<Self, Inapplicable> {
        let Event::Created { currency, staff, lines: first, .. } = event else {
            return Err(Inapplicable::UnknownStream);
        };
        let lines = lines(first);
        let totals = totals(&lines, *currency)?;
        let (currency, staff) = (*currency, *staff);
        let doc = CartDoc { currency, staff, lines, totals, order_id: None, refusal: None };
        Ok(Self {
            id: *origin.key,
            status: "open".into(),
            doc: Json(doc),
            updated_at: origin.recorded_at,
        })
    }

    fn go_on(
        mut self,
        event: &Event,
        origin: &Origin<'_, Uuid>,
    ) -> Result<Option<Self>, Inapplicable> {
        let doc = &mut self.doc.0;
        match event {
            Event::Created { .. } => return Err(Inapplicable::ExistsAlready),
            Event::LineAdded { line, .. } | Event::LineChanged { line, .. } => doc.put(line),
            Event::LineRemoved { sku, .. } => doc.lines.retain(|line| line.sku != *sku),
            Event::LinesReplaced { lines: all, .. } => doc.lines = lines(all),
            Event::CheckedOut { order_id, checkout } => {
                doc.lines = lines(&checkout.lines);
                doc.order_id = Some(*order_id);
                doc.refusal = None;
                self.status = "checked_out".into();
            }
            Event::CheckoutRefused { order_id, code, detail, .. } => {
                let (code, detail) = (code.clone(), detail.clone());
                doc.order_id = None;
                doc.refusal = Some(Refusal { order_id: *order_id, code, detail });
                self.status = "open".into();
            }
            // What has ended is there for nobody.
            Event::Abandoned {} | Event::Ended {} => return Ok(None),
        }
        doc.totals = totals(&doc.lines, doc.currency)?;
        self.updated_at = origin.recorded_at;
        Ok(Some(self))
    }
}

impl CartDoc {
    /// Sets the line of a SKU, in its place or at the end.
    fn put(&mut self, line: &cart::Line) {
        match self.lines.iter_mut().find(|known| known.sku == line.sku) {
            Some(known) => *known = line.into(),
            None => self.lines.push(line.into()),
        }
    }
}

fn totals(lines: &[Line], currency: Currency) -> Result<CartTotals, Inapplicable> {
    let (mut subtotal, mut total) = (Money::zero(currency), Money::zero(currency));
    for line in lines {
        let price = Money::from(line.unit_price);
        subtotal = subtotal.checked_add(price.checked_mul(line.quantity)?)?;
        total = total.checked_add(line.total.into())?;
    }
    let discount = Money::new(subtotal.amount.saturating_sub(total.amount), currency);
    Ok(cart::Totals { subtotal, discount, total }.into())
}

#[cfg(test)]
mod tests;
