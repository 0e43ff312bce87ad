//! Whose code it is, and what a cart must know to sell it.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    id::ProductId,
    sku::{Event, Listing},
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuClaim {
    /// The product that claimed the code, for good.
    pub product_id: Option<ProductId>,
    /// `None` while it cannot be sold.
    pub listing: Option<Listing>,
    /// The newest revision of the product that listed or delisted it.
    pub product_revision: u64,
}

impl Evolve for SkuClaim {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Claimed { product_id } => self.product_id = Some(*product_id),
            Event::Listed { listing } => {
                self.product_revision = listing.product_revision;
                self.listing = Some(listing.clone());
            }
            Event::Delisted { product_revision } => {
                self.product_revision = *product_revision;
                self.listing = None;
            }
        }
    }
}
