//! Why a command on a payment is refused, in words for the client.

use crate::{
    aggregate::{Refusal, RejectionKind},
    payment::Status,
};

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

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "payment.not_found"),
            Self::Exists => (Conflict, "payment.exists"),
            Self::AmountNegative => (Rule, "payment.amount_negative"),
            Self::Closed { .. } => (Conflict, "payment.closed"),
            Self::ReferenceDiffers => (Conflict, "payment.reference_differs"),
        }
    }
}
