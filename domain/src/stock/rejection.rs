//! Why a command on a stock is refused, in words for the client.

use crate::aggregate::{Refusal, RejectionKind};

/// The most of one SKU that can be on hand; more is refused.
pub const ON_HAND_MAX: u32 = 1_000_000_000;

/// The most reservations that one SKU carries at a time; one more is refused.
pub const HOLDS_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("quantity must be at least 1")]
    QuantityZero,
    #[error("only {available} available, the rest is reserved or not there")]
    Insufficient { available: u32 },
    #[error("at most {ON_HAND_MAX} units of a SKU can be on hand")]
    LimitReached,
    #[error("{HOLDS_MAX} orders hold this SKU already: try again when some of them are done")]
    HoldsExhausted,
    #[error("the reservation exists for another order or quantity")]
    HeldDifferently,
    #[error("the reservation ran out, was released or never was")]
    ReservationGone,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, Rule};
        match self {
            Self::QuantityZero => (Rule, "stock.quantity_zero"),
            Self::Insufficient { .. } => (Rule, "stock.insufficient"),
            Self::LimitReached => (Rule, "stock.limit_reached"),
            Self::HoldsExhausted => (Conflict, "stock.holds_exhausted"),
            Self::HeldDifferently => (Conflict, "stock.held_differently"),
            Self::ReservationGone => (Conflict, "stock.reservation_gone"),
        }
    }
}
