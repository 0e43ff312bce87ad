//! Whose code it is, and what a cart must know to sell it.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    claim::{Change, Claim},
    id::ProductId,
    sku::{Event, Listing},
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkuClaim {
    /// The product that has the code.
    pub claim: Claim<ProductId>,
    /// `None` while it cannot be sold.
    pub listing: Option<Listing>,
    /// The newest revision of that product that listed or delisted it.
    pub product_revision: u64,
}

impl SkuClaim {
    fn change(&mut self, change: Change<ProductId>) {
        self.claim.evolve(change);
        // What was said of one product is nothing about the next one.
        if self.claim.owner().is_none() {
            self.listing = None;
            self.product_revision = 0;
        }
    }
}

impl Evolve for SkuClaim {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Claimed { product_id, expires_at } => {
                let owner = *product_id;
                self.change(match *expires_at {
                    Some(expires_at) => Change::Reserved { owner, expires_at },
                    None => Change::Confirmed { owner },
                });
            }
            Event::Confirmed { product_id } => {
                self.change(Change::Confirmed { owner: *product_id });
            }
            Event::Withdrawn { product_id } => {
                self.change(Change::Withdrawn { owner: *product_id });
            }
            Event::Released { product_id } => self.change(Change::Released { owner: *product_id }),
            Event::Lapsed { product_id } => self.change(Change::Lapsed { owner: *product_id }),
            Event::Expired { product_id } => self.change(Change::Withdrawn { owner: *product_id }),
            Event::Listed { listing } => {
                self.change(Change::Confirmed { owner: listing.product_id });
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
