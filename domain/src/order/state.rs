//! What an order has become.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    cart::Checkout,
    id::{CartId, PaymentId},
    order::Event,
};

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
