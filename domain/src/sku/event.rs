//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{id::ProductId, money::Money};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    Claimed {
        product_id: ProductId,
    },
    /// The product behind the code can be sold, with these facts.
    Listed {
        listing: Listing,
    },
    Delisted {
        product_revision: u64,
    },
}

/// What a cart copies when a line is added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub product_id: ProductId,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    pub price: Money,
    /// Revision of the product that this was copied from: an older copy never replaces a newer.
    pub product_revision: u64,
}
