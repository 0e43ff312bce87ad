//! What can be asked of a SKU's claim.

use serde::{Deserialize, Serialize};

use crate::{id::ProductId, sku::Listing};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Claim { product_id: ProductId },
    List { listing: Listing },
    Delist { product_id: ProductId, product_revision: u64 },
}
