//! Why a command on a payment is refused, in words for the client.

use crate::{aggregate::RejectionKind, payment::Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no payment with this id")]
    NotFound,
    #[error("a payment with this id was requested with other terms: use another id")]
    Exists,
    #[error("the amount of a payment must not be negative")]
    AmountNegative,
    #[error("the payment is {} already", .status.as_str())]
    Closed { status: Status },
    #[error("the payment is known to the provider by another reference")]
    ReferenceDiffers,
}

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "payment.not_found",
            Self::Exists => "payment.exists",
            Self::AmountNegative => "payment.amount_negative",
            Self::Closed { .. } => "payment.closed",
            Self::ReferenceDiffers => "payment.reference_differs",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::NotFound,
            Self::Exists | Self::Closed { .. } | Self::ReferenceDiffers => RejectionKind::Conflict,
            Self::AmountNegative => RejectionKind::Rule,
        }
    }
}
