//! Carts as their owners see them.

use chrono::{DateTime, Utc};
use domain::{
    StreamType,
    cart::{self, Event, Totals},
    id::OrderId,
    money::{Currency, Money},
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use super::line::{self, Line};
use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
};

pub(super) struct Carts;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct Cart {
    id: Uuid,
    status: String,
    doc: Json<Doc>,
    updated_at: DateTime<Utc>,
    revision: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Doc {
    currency: Currency,
    staff: bool,
    lines: Vec<Line>,
    totals: Totals,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    /// Why its last checkout came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Refusal {
    order_id: OrderId,
    code: String,
    detail: String,
}

impl Projection for Carts {
    const NAME: &'static str = "carts";
    const VERSION: i32 = 2;
    const TABLES: &'static str = "
        CREATE TABLE {schema}.carts (
            id         uuid PRIMARY KEY,
            status     text NOT NULL,
            doc        jsonb NOT NULL,
            updated_at timestamptz NOT NULL,
            revision   bigint NOT NULL
        ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
    ";
    const VIEWS: &'static [(&'static str, &'static str)] =
        &[("carts", "SELECT id, status, doc, revision, updated_at FROM {schema}.carts")];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Self];
}

impl StreamFold for Carts {
    const STREAM: StreamType = StreamType::Cart;

    type Event = Event;
    type Key = Uuid;
    type Row = Cart;
    type Additions = ();

    fn select(event: &domain::Event) -> Option<&Event> {
        match event {
            domain::Event::Cart(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<Cart>,
        event: &Event,
        origin: &Origin<Uuid>,
        (): &mut (),
    ) -> Result<Option<Cart>, Inapplicable> {
        match row {
            None => Cart::begin(event, origin).map(Some),
            Some(cart) => cart.evolve(event, origin),
        }
    }
}

impl Row for Cart {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "carts",
        keys: 1,
        columns: &[
            Column::of("id", Kind::Uuid),
            Column::of("status", Kind::Text),
            Column::of("doc", Kind::Json),
            Column::of("updated_at", Kind::Time),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> Uuid {
        self.id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Uuid(self.id),
            Cell::text(&self.status),
            Cell::json(&self.doc),
            Cell::Time(self.updated_at),
            Cell::Long(self.revision),
        ]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Cart {
    fn begin(event: &Event, origin: &Origin<Uuid>) -> Result<Self, Inapplicable> {
        let Event::Created { currency, staff, lines, .. } = event else {
            return Err(Inapplicable::UnknownStream);
        };
        let lines = line::lines(lines);
        let totals = totals(&lines, *currency)?;
        let (currency, staff) = (*currency, *staff);
        let doc = Doc { currency, staff, lines, totals, order_id: None, refusal: None };
        Ok(Self {
            id: origin.key,
            status: "open".into(),
            doc: Json(doc),
            updated_at: origin.recorded_at,
            revision: origin.revision,
        })
    }

    fn evolve(
        mut self,
        event: &Event,
        origin: &Origin<Uuid>,
    ) -> Result<Option<Self>, Inapplicable> {
        let doc = &mut self.doc.0;
        match event {
            Event::Created { .. } => return Err(Inapplicable::ExistsAlready),
            Event::LineAdded { line, .. } | Event::LineChanged { line, .. } => doc.put(line),
            Event::LineRemoved { sku, .. } => doc.lines.retain(|line| line.sku != *sku),
            Event::LinesReplaced { lines, .. } => doc.lines = line::lines(lines),
            Event::CheckedOut { order_id, checkout } => {
                doc.lines = line::lines(&checkout.lines);
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
        self.revision = origin.revision;
        Ok(Some(self))
    }
}

impl Doc {
    /// Sets the line of a SKU, in its place or at the end.
    fn put(&mut self, line: &cart::Line) {
        match self.lines.iter_mut().find(|known| known.sku == line.sku) {
            Some(known) => *known = line.into(),
            None => self.lines.push(line.into()),
        }
    }
}

fn totals(lines: &[Line], currency: Currency) -> Result<Totals, Inapplicable> {
    let (mut subtotal, mut total) = (Money::zero(currency), Money::zero(currency));
    for line in lines {
        subtotal = subtotal.checked_add(line.unit_price.checked_mul(line.quantity)?)?;
        total = total.checked_add(line.total)?;
    }
    let discount = Money::new(subtotal.amount.saturating_sub(total.amount), currency);
    Ok(Totals { subtotal, discount, total })
}

#[cfg(test)]
mod tests;
