//! What a cart has become.
//!
//! **Invariant:** all lines passed the checks of `line`, one per SKU, so sums over them fit.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    cart::{Address, Channel, Checkout, Event, GUEST_KEPT, Line, Terms, Totals, line},
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
    /// What was agreed with it, as long as it is checked out.
    pub agreed: Option<Box<Agreed>>,
    /// Why its last checkout came to nothing.
    pub refusal: Option<Refusal>,
    lines: Vec<Line>,
    /// When it is abandoned unless it changes before.
    expires_at: Option<Timestamp>,
}

/// A [`Checkout`] but for its lines, which the cart has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    totals: Totals,
    channel: Channel,
    placed_at: Timestamp,
    method_token: String,
    customer_reference: Option<String>,
    email: Option<String>,
    shipping_address: Option<Address>,
}

/// An order that could not be placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub order_id: OrderId,
    pub code: String,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Open,
    CheckedOut,
    Abandoned,
    Ended,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::CheckedOut => "checked_out",
            Self::Abandoned => "abandoned",
            Self::Ended => "ended",
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

    /// What was agreed at the checkout, word for word; `None` unless it is checked out.
    #[must_use]
    pub fn checkout(&self) -> Option<Checkout> {
        let agreed = self.agreed.as_deref()?.clone();
        Some(Checkout {
            lines: self.lines.clone(),
            totals: agreed.totals,
            channel: agreed.channel,
            placed_at: agreed.placed_at,
            method_token: agreed.method_token,
            customer_reference: agreed.customer_reference,
            email: agreed.email,
            shipping_address: agreed.shipping_address,
        })
    }

    /// When an open cart is abandoned unless it changes before.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.status == Status::Open)
    }

    /// When a guest's cart ends that has become an order.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let agreed = self.agreed.as_deref().filter(|_| self.status == Status::CheckedOut)?;
        // Guests buy on the web, where an order is placed when the cart is checked out.
        (!self.staff).then(|| agreed.placed_at.plus(GUEST_KEPT))
    }
}

impl Cart {
    /// Nobody comes back to it, so nothing is kept of what was in it.
    fn end(&mut self, status: Status) {
        self.status = status;
        self.lines = Vec::new();
        self.agreed = None;
    }
}

impl Agreed {
    /// Whether the buyer asks for the same once more.
    pub(super) fn is_as(&self, terms: &Terms) -> bool {
        self.channel == terms.channel
            && self.method_token == terms.method_token
            && self.customer_reference == terms.customer_reference
            && self.email == terms.email
            && self.shipping_address == terms.shipping_address
            && terms.occurred_at.is_none_or(|at| at == self.placed_at)
    }

    fn of(checkout: &Checkout) -> Self {
        Self {
            totals: checkout.totals,
            channel: checkout.channel,
            placed_at: checkout.placed_at,
            method_token: checkout.method_token.clone(),
            customer_reference: checkout.customer_reference.clone(),
            email: checkout.email.clone(),
            shipping_address: checkout.shipping_address.clone(),
        }
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
                self.agreed = Some(Box::new(Agreed::of(checkout)));
                self.refusal = None;
            }
            Event::CheckoutRefused { order_id, code, detail, expires_at } => {
                self.status = Status::Open;
                self.order_id = None;
                self.agreed = None;
                let (code, detail) = (code.clone(), detail.clone());
                self.refusal = Some(Refusal { order_id: *order_id, code, detail });
                self.expires_at = Some(*expires_at);
            }
            Event::Abandoned {} => self.end(Status::Abandoned),
            Event::Ended {} => self.end(Status::Ended),
        }
    }
}
