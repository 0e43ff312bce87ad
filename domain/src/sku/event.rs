//! The stored format. Nothing is renamed, ever; the golden files are the judge.

use serde::{Deserialize, Serialize};

use crate::{claim::Change, id::ProductId, money::Money, timestamp::Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    Claimed {
        product_id: ProductId,
        /// When it lapses unless the product is heard of before. `None`, as releases before this
        /// field wrote it: the claim needs no confirmation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// The product behind the code can be sold, with these facts; so the code is its own.
    Listed {
        listing: Listing,
    },
    Delisted {
        product_revision: u64,
    },
    /// The product exists, and the code is its own.
    Confirmed {
        product_id: ProductId,
    },
    /// The product was not created: the code is free.
    Withdrawn {
        product_id: ProductId,
    },
    /// The product is archived: the code is free, and cannot be sold.
    Released {
        product_id: ProductId,
    },
    /// Nothing was heard of the product in time: it is looked for.
    Lapsed {
        product_id: ProductId,
    },
    /// As an earlier release freed a code of whose product nothing was heard.
    Expired {
        product_id: ProductId,
    },
}

impl From<Change<ProductId>> for Event {
    fn from(change: Change<ProductId>) -> Self {
        match change {
            Change::Reserved { owner, expires_at } => {
                Self::Claimed { product_id: owner, expires_at: Some(expires_at) }
            }
            Change::Confirmed { owner } => Self::Confirmed { product_id: owner },
            Change::Withdrawn { owner } => Self::Withdrawn { product_id: owner },
            Change::Released { owner } => Self::Released { product_id: owner },
            Change::Lapsed { owner } => Self::Lapsed { product_id: owner },
        }
    }
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
