//! An order: placed, then confirmed or rejected with a reason per line.
//!
//! It is confirmed once its stock is held and its total is paid, or rejected; either is final. Process
//! managers send all commands at least once, so each of them finds nothing to do the second time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    cart::Checkout,
    id::{CartId, OrderId, PaymentId, Sku, StreamId},
    money::Money,
    personal::{Texts, texts},
    timestamp::Timestamp,
};

#[cfg(test)]
mod tests;

#[expect(clippy::large_enum_variant, reason = "passed on, never kept in numbers")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Place { cart_id: CartId, checkout: Checkout },
    RecordStockReserved,
    Confirm { payment_id: PaymentId, paid: Money },
    Reject { reasons: Vec<Reason> },
}

#[expect(clippy::large_enum_variant, reason = "passed on, never kept in numbers")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A cart was checked out, and this is what was ordered.
    Placed {
        /// The cart that became the order.
        cart_id: CartId,
        #[serde(flatten)]
        checkout: Checkout,
    },
    /// Every line is held in stock; the payment may begin.
    StockReserved {},
    /// It is held and paid, and so a sale.
    Confirmed {
        /// What paid for it.
        payment_id: PaymentId,
        /// As much as its total.
        paid: Money,
    },
    /// It came to nothing.
    Rejected {
        /// Why, one by one.
        reasons: Vec<Reason>,
    },
}

/// Why an order was rejected; with a SKU where one line is to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The line that is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// For machines, such as `stock.insufficient`; stable.
    pub code: String,
    /// The same for people.
    pub detail: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// `None` until it is placed.
    pub placed: Option<Placed>,
    pub status: Status,
    /// Every line is held in stock; the payment may begin.
    pub stock_reserved: bool,
    /// What paid for a confirmed order.
    pub payment_id: Option<PaymentId>,
}

/// What was ordered; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub cart_id: CartId,
    pub checkout: Checkout,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Pending,
    Confirmed,
    Rejected,
}

impl Status {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
        }
    }
}

impl Evolve for Order {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Placed { cart_id, checkout } => {
                self.placed = Some(Placed { cart_id: *cart_id, checkout: checkout.clone() });
            }
            Event::StockReserved {} => self.stock_reserved = true,
            Event::Confirmed { payment_id, .. } => {
                self.status = Status::Confirmed;
                self.payment_id = Some(*payment_id);
            }
            Event::Rejected { .. } => self.status = Status::Rejected,
        }
    }
}

impl Decide for Order {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Place { cart_id, checkout } => self.place(*cart_id, checkout),
            Command::RecordStockReserved => self.record_stock_reserved(),
            Command::Confirm { payment_id, paid } => self.confirm(*payment_id, *paid),
            Command::Reject { reasons } => {
                self.placed()?;
                match self.status {
                    Status::Pending => Ok(vec![Event::Rejected { reasons: reasons.clone() }]),
                    Status::Confirmed => Err(Rejection::Confirmed),
                    Status::Rejected => Ok(vec![]),
                }
            }
        }
    }
}

impl Aggregate for Order {
    const NAME: &'static str = "order";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "da77003a322d0758";
    const TEXTS: &'static [Texts] = texts! {
        "confirmed": [] [];
        "placed": ["customer_reference", "email", "method_token", "shipping_address",
            "lines.adjustments"]
            ["channel", "lines.department", "lines.name", "shipping_address.country"];
        "rejected": ["reasons.detail"] ["reasons.code"];
        "stock_reserved": [] [];
    };

    type Id = OrderId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::testing::{sample::checkout, sku, usd, uuid};
        let reason = Reason {
            sku: Some(sku("A-1")),
            code: "stock.insufficient".into(),
            detail: "only 1 available".into(),
        };
        vec![
            Event::Placed { cart_id: CartId::new(uuid(1)), checkout: checkout() },
            Event::StockReserved {},
            Event::Confirmed { payment_id: PaymentId::new(uuid(3)), paid: usd(250) },
            Event::Rejected { reasons: vec![reason] },
        ]
    }
}

impl Order {
    fn placed(&self) -> Result<&Placed, Rejection> {
        self.placed.as_ref().ok_or(Rejection::NotFound)
    }

    fn place(&self, cart_id: CartId, checkout: &Checkout) -> Result<Vec<Event>, Rejection> {
        match &self.placed {
            None => Ok(vec![Event::Placed { cart_id, checkout: checkout.clone() }]),
            Some(placed) if placed.cart_id == cart_id && placed.checkout == *checkout => Ok(vec![]),
            // Also of the same cart: one that was opened again may hold something else by now.
            Some(_) => Err(Rejection::Exists),
        }
    }

    fn record_stock_reserved(&self) -> Result<Vec<Event>, Rejection> {
        self.placed()?;
        match self.status {
            Status::Rejected => Err(Rejection::Rejected),
            Status::Pending | Status::Confirmed if self.stock_reserved => Ok(vec![]),
            Status::Pending | Status::Confirmed => Ok(vec![Event::StockReserved {}]),
        }
    }

    fn confirm(&self, payment_id: PaymentId, paid: Money) -> Result<Vec<Event>, Rejection> {
        let total = self.placed()?.checkout.totals.total;
        match self.status {
            Status::Rejected => Err(Rejection::Rejected),
            Status::Confirmed if self.payment_id == Some(payment_id) => Ok(vec![]),
            Status::Confirmed => Err(Rejection::Confirmed),
            Status::Pending if !self.stock_reserved => Err(Rejection::StockNotReserved),
            Status::Pending if paid != total => Err(Rejection::PaidDiffers),
            Status::Pending => Ok(vec![Event::Confirmed { payment_id, paid }]),
        }
    }
}

impl OrderId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Order>(&self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no order with this id")]
    NotFound,
    #[error("another cart was checked out as this order: use another order_id")]
    Exists,
    #[error("the order is confirmed already")]
    Confirmed,
    #[error("the order is rejected already")]
    Rejected,
    #[error("the order cannot be confirmed before its stock is reserved")]
    StockNotReserved,
    #[error("the order cannot be confirmed with a payment that differs from its total")]
    PaidDiffers,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "order.not_found"),
            Self::Exists => (Conflict, "order.exists"),
            Self::Confirmed => (Conflict, "order.confirmed"),
            Self::Rejected => (Conflict, "order.rejected"),
            Self::StockNotReserved => (Conflict, "order.stock_not_reserved"),
            Self::PaidDiffers => (Rule, "order.paid_differs"),
        }
    }
}
