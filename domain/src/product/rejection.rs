//! Why a command on a product is refused, in words for the client.

use crate::{
    aggregate::{Refusal, RejectionKind},
    money::Currency,
};

/// Details as JSON; more is refused. A record of Kafka has 1,000,000 bytes unless configured
/// otherwise, and what the log does not take would stop a shard.
pub const DETAILS_BYTES_MAX: usize = 500_000;

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

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "product.not_found"),
            Self::Exists => (Conflict, "product.exists"),
            // As the code itself says it.
            Self::SkuTaken => (Conflict, "sku.taken"),
            Self::Archived => (Conflict, "product.archived"),
            Self::NameEmpty => (Rule, "product.name_empty"),
            Self::TooLarge => (Rule, "product.too_large"),
            Self::PriceNegative => (Rule, "product.price_negative"),
            Self::CurrencyDiffers { .. } => (Rule, "product.currency_differs"),
        }
    }
}
