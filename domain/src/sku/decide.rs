//! The rules of a SKU: one product at a time has it, and only newer facts of that product replace
//! what is known of it. So copies that arrive late or twice do no harm, also when the code has
//! changed hands meanwhile.

use crate::{
    aggregate::Decide,
    claim::{Change, Taken},
    id::ProductId,
    sku::{Command, Event, Rejection, SkuClaim},
    timestamp::Timestamp,
};

impl Decide for SkuClaim {
    type Command = Command;
    type Rejection = Rejection;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match *command {
            Command::Claim { product_id } => events(self.claim.reserve(product_id, now)),
            Command::Confirm { product_id } => events(self.claim.confirm(product_id)),
            Command::Withdraw { product_id } => events(Ok(self.claim.withdraw(product_id))),
            Command::Release { product_id } => events(Ok(self.claim.release(product_id))),
            Command::Lapse => events(Ok(self.claim.lapse(now))),
            Command::List { ref listing } => {
                self.check_owner(listing.product_id)?;
                let event = Event::Listed { listing: listing.clone() };
                Ok(self.if_newer(listing.product_revision, event))
            }
            Command::Delist { product_id, product_revision } => {
                self.check_owner(product_id)?;
                let event = Event::Delisted { product_revision };
                Ok(self.if_newer(product_revision, event))
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.claim.expires_at()
    }
}

fn events(change: Result<Option<Change<ProductId>>, Taken>) -> Result<Vec<Event>, Rejection> {
    match change {
        Ok(change) => Ok(change.into_iter().map(Event::from).collect()),
        Err(Taken) => Err(Rejection::Taken),
    }
}

impl SkuClaim {
    fn check_owner(&self, product_id: ProductId) -> Result<(), Rejection> {
        match self.claim.owner() {
            None => Err(Rejection::NotFound),
            Some(owner) if owner == product_id => Ok(()),
            Some(_) => Err(Rejection::Taken),
        }
    }

    fn if_newer(&self, product_revision: u64, event: Event) -> Vec<Event> {
        if product_revision > self.product_revision { vec![event] } else { vec![] }
    }
}
