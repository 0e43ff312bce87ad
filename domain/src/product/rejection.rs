//! Why a command on a product is refused, in words for the client.

use crate::{aggregate::RejectionKind, money::Currency, product::DETAILS_BYTES_MAX};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no product with this id")]
    NotFound,
    #[error("a product with this id exists and says something else: update it, or use another id")]
    Exists,
    #[error("another product has this SKU: choose a SKU that is free")]
    SkuTaken,
    #[error("the product is archived and changes no more: create a new one")]
    Archived,
    #[error("name must not be empty")]
    NameEmpty,
    #[error("the product's text and attributes take more than {DETAILS_BYTES_MAX} bytes of JSON")]
    TooLarge,
    #[error("the amount of a price must not be negative")]
    PriceNegative,
    #[error(
        "the product is priced in {currency}, which cannot change: give the price in {currency}"
    )]
    CurrencyDiffers { currency: Currency },
}

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "product.not_found",
            Self::Exists => "product.exists",
            // As the code itself says it.
            Self::SkuTaken => "sku.taken",
            Self::Archived => "product.archived",
            Self::NameEmpty => "product.name_empty",
            Self::TooLarge => "product.too_large",
            Self::PriceNegative => "product.price_negative",
            Self::CurrencyDiffers { .. } => "product.currency_differs",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::NotFound,
            Self::Exists | Self::SkuTaken | Self::Archived => RejectionKind::Conflict,
            Self::NameEmpty
            | Self::TooLarge
            | Self::PriceNegative
            | Self::CurrencyDiffers { .. } => RejectionKind::Rule,
        }
    }
}
