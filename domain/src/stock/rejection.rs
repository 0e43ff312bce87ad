//! Why a command on a stock is refused, in words for the client.

use crate::{
    aggregate::RejectionKind,
    stock::decide::{HOLDS_MAX, ON_HAND_MAX},
};

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

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::QuantityZero => "stock.quantity_zero",
            Self::Insufficient { .. } => "stock.insufficient",
            Self::LimitReached => "stock.limit_reached",
            Self::HoldsExhausted => "stock.holds_exhausted",
            Self::HeldDifferently => "stock.held_differently",
            Self::ReservationGone => "stock.reservation_gone",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::QuantityZero | Self::Insufficient { .. } | Self::LimitReached => {
                RejectionKind::Rule
            }
            Self::HoldsExhausted | Self::HeldDifferently | Self::ReservationGone => {
                RejectionKind::Conflict
            }
        }
    }
}
