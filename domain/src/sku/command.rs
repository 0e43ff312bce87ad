//! What can be asked of a SKU's claim.

use serde::{Deserialize, Serialize};

use crate::{id::ProductId, sku::Listing};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// For a product that is about to be created.
    Claim {
        product_id: ProductId,
    },
    List {
        listing: Listing,
    },
    Delist {
        product_id: ProductId,
        product_revision: u64,
    },
    /// The product exists.
    Confirm {
        product_id: ProductId,
    },
    /// The product was not created.
    Withdraw {
        product_id: ProductId,
    },
    /// The product is archived.
    Release {
        product_id: ProductId,
    },
    /// Time has come: nothing was heard of the product.
    Lapse,
}
