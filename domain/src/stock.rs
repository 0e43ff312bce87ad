//! What is on hand of a SKU, and who holds how much of it.

mod command;
mod decide;
mod event;
mod rejection;
mod state;
#[cfg(test)]
mod tests;

use crate::{
    aggregate::Aggregate,
    id::{Sku, StreamId},
};

pub use command::*;
pub use decide::*;
pub use event::*;
pub use rejection::{HOLDS_MAX, ON_HAND_MAX, Rejection};
pub use state::*;

impl Aggregate for Stock {
    const NAME: &'static str = "stock";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "5ba34bd4643560ee";

    type Id = Sku;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::{
            id::{OrderId, ReservationId},
            testing::{NOW, uuid},
        };
        let reservation_id = ReservationId::new(uuid(4));
        let order_id = OrderId::new(uuid(2));
        let expires_at = NOW.plus(HOLD);
        vec![
            Event::Received { quantity: 5, reference: Some("delivery 7".into()) },
            Event::Adjusted { delta: -1, reason: "count".into() },
            Event::Reserved { reservation_id, order_id, quantity: 2, expires_at },
            Event::Released { reservation_id, quantity: 2, reason: "order_rejected".into() },
            Event::Committed { reservation_id, quantity: 2 },
            Event::Returned { reservation_id, quantity: 2 },
            Event::Expired { reservation_id, quantity: 2 },
        ]
    }
}

impl Sku {
    /// The stream of what is on hand of it.
    #[must_use]
    pub fn stock_stream(&self) -> StreamId {
        StreamId::of::<Stock>(self)
    }
}
