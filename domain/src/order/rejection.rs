//! Why a command on an order is refused, in words for the client.

use crate::aggregate::RejectionKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no order with this id")]
    NotFound,
    #[error("another cart was checked out as this order: use another order_id")]
    Exists,
    #[error("the order is confirmed already")]
    Confirmed,
    #[error("the order is rejected already")]
    Rejected,
    #[error("the order cannot be confirmed before its stock is reserved")]
    StockNotReserved,
    #[error("the order cannot be confirmed with a payment that differs from its total")]
    PaidDiffers,
}

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "order.not_found",
            Self::Exists => "order.exists",
            Self::Confirmed => "order.confirmed",
            Self::Rejected => "order.rejected",
            Self::StockNotReserved => "order.stock_not_reserved",
            Self::PaidDiffers => "order.paid_differs",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::NotFound,
            Self::Exists | Self::Confirmed | Self::Rejected | Self::StockNotReserved => {
                RejectionKind::Conflict
            }
            Self::PaidDiffers => RejectionKind::Rule,
        }
    }
}
