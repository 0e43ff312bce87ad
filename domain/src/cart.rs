//! A cart: lines with the prices that were shown, until it is checked out or abandoned.

mod checkout;
mod command;
mod decide;
mod event;
mod line;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

use crate::{
    aggregate::Aggregate,
    id::{CartId, StreamId},
};

pub use command::*;
pub use decide::{GUEST_IDLE_MAX, GUEST_KEPT, IDLE_MAX};
pub use event::*;
pub use line::{GUEST_QUANTITY_MAX, LINES_BYTES_MAX, QUANTITY_MAX};
pub use rejection::{LINE_AMOUNT_MAX, LINES_MAX, Rejection};
pub use state::*;

impl Aggregate for Cart {
    const NAME: &'static str = "cart";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "cfaaa16ca2883b6d";

    type Id = CartId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::{
            id::OrderId,
            testing::{
                NOW,
                sample::{checkout, line},
                usd, uuid,
            },
        };
        let currency = usd(0).currency;
        let expires_at = NOW.plus(IDLE_MAX);
        vec![
            Event::Created { currency, staff: true, lines: vec![line()], expires_at },
            Event::LineAdded { line: line(), expires_at },
            Event::LineChanged { line: line(), expires_at },
            Event::LineRemoved { sku: line().sku, expires_at },
            Event::LinesReplaced { lines: vec![line()], expires_at },
            Event::CheckedOut { order_id: OrderId::new(uuid(2)), checkout: checkout() },
            Event::CheckoutRefused {
                order_id: OrderId::new(uuid(2)),
                code: "order.exists".into(),
                detail: "another cart was checked out as this order".into(),
                expires_at,
            },
            Event::Abandoned {},
            Event::Ended {},
        ]
    }
}

impl CartId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<Cart>(&self)
    }
}
