//! The rules of a SKU: one product claims it for good, and only newer facts of that product
//! replace what is known of it. So copies that arrive late or twice do no harm.

use crate::{
    aggregate::Decide,
    id::ProductId,
    sku::{Command, Event, Rejection, SkuClaim},
    timestamp::Timestamp,
};

impl Decide for SkuClaim {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Claim { product_id } => match self.product_id {
                None => Ok(vec![Event::Claimed { product_id: *product_id }]),
                Some(owner) if owner == *product_id => Ok(vec![]),
                Some(_) => Err(Rejection::Taken),
            },
            Command::List { listing } => {
                self.check_owner(listing.product_id)?;
                let event = Event::Listed { listing: listing.clone() };
                Ok(self.if_newer(listing.product_revision, event))
            }
            Command::Delist { product_id, product_revision } => {
                self.check_owner(*product_id)?;
                let event = Event::Delisted { product_revision: *product_revision };
                Ok(self.if_newer(*product_revision, event))
            }
        }
    }
}

impl SkuClaim {
    fn check_owner(&self, product_id: ProductId) -> Result<(), Rejection> {
        match self.product_id {
            None => Err(Rejection::NotFound),
            Some(owner) if owner == product_id => Ok(()),
            Some(_) => Err(Rejection::Taken),
        }
    }

    fn if_newer(&self, product_revision: u64, event: Event) -> Vec<Event> {
        if product_revision > self.product_revision { vec![event] } else { vec![] }
    }
}
