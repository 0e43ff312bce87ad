//! What a cart has become.
//!
//! **Invariant:** all lines passed the checks of `line`, one per SKU, so sums over them fit.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    cart::{Event, Line, Totals, line},
    id::{OrderId, Sku},
    money::Currency,
    timestamp::Timestamp,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// `None` until it is created.
    pub currency: Option<Currency>,
    /// Its lines may carry adjustments and it may check out at the till.
    pub staff: bool,
    pub status: Status,
    /// The order that it became.
    pub order_id: Option<OrderId>,
    lines: Vec<Line>,
    /// When it is abandoned unless it changes before.
    expires_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Open,
    CheckedOut,
    Abandoned,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::CheckedOut => "checked_out",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Cart {
    /// In the order in which their SKUs were added.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    #[must_use]
    pub fn line(&self, sku: &Sku) -> Option<&Line> {
        self.lines.iter().find(|line| line.sku == *sku)
    }

    /// `None` until it is created.
    #[must_use]
    pub fn totals(&self) -> Option<Totals> {
        self.currency.map(|currency| line::totals(currency, &self.lines))
    }

    /// When an open cart is abandoned unless it changes before.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.status == Status::Open)
    }
}

impl Evolve for Cart {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Created { currency, staff, lines, expires_at } => {
                self.currency = Some(*currency);
                self.staff = *staff;
                self.lines.clone_from(lines);
                self.expires_at = Some(*expires_at);
            }
            Event::LineAdded { line, expires_at } => {
                self.lines.push(line.clone());
                self.expires_at = Some(*expires_at);
            }
            Event::LineChanged { line, expires_at } => {
                for old in self.lines.iter_mut().filter(|old| old.sku == line.sku) {
                    old.clone_from(line);
                }
                self.expires_at = Some(*expires_at);
            }
            Event::LineRemoved { sku, expires_at } => {
                self.lines.retain(|line| line.sku != *sku);
                self.expires_at = Some(*expires_at);
            }
            Event::LinesReplaced { lines, expires_at } => {
                self.lines.clone_from(lines);
                self.expires_at = Some(*expires_at);
            }
            Event::CheckedOut { order_id, checkout } => {
                self.status = Status::CheckedOut;
                self.order_id = Some(*order_id);
                self.lines.clone_from(&checkout.lines);
            }
            Event::Abandoned {} => self.status = Status::Abandoned,
        }
    }
}
