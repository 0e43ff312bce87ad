//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{
    id::{OrderId, ReservationId},
    timestamp::Timestamp,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    Received {
        quantity: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
    Adjusted {
        delta: i64,
        reason: String,
    },
    Reserved {
        reservation_id: ReservationId,
        order_id: OrderId,
        quantity: u32,
        expires_at: Timestamp,
    },
    Released {
        reservation_id: ReservationId,
        quantity: u32,
        reason: String,
    },
    Committed {
        reservation_id: ReservationId,
        quantity: u32,
    },
    /// Its order came to nothing after all.
    Returned {
        reservation_id: ReservationId,
        quantity: u32,
    },
    /// The hold ran out before the order was confirmed.
    Expired {
        reservation_id: ReservationId,
        quantity: u32,
    },
}
