//! Why a command on a SKU is refused, in words for the client.

use crate::aggregate::RejectionKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no product has this SKU: create one with it first")]
    NotFound,
    #[error("another product has this SKU: choose a SKU that is free")]
    Taken,
}

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "sku.not_found",
            Self::Taken => "sku.taken",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::NotFound,
            Self::Taken => RejectionKind::Conflict,
        }
    }
}
