//! What can be asked of a stock.

use serde::{Deserialize, Serialize};

use crate::id::{OrderId, ReservationId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Receive {
        quantity: u32,
        reference: Option<String>,
    },
    Adjust {
        delta: i64,
        reason: String,
    },
    Reserve {
        reservation_id: ReservationId,
        order_id: OrderId,
        quantity: u32,
    },
    Release {
        reservation_id: ReservationId,
        reason: String,
    },
    Commit {
        reservation_id: ReservationId,
    },
    /// Puts units back that were committed: their order came to nothing after all.
    Return {
        reservation_id: ReservationId,
        quantity: u32,
    },
    /// Time has come for every hold whose `expires_at` is not after now.
    Expire,
}
