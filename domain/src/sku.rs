//! The claim of a SKU's code by one product at a time, and what a cart must know to sell it.
//!
//! Only newer facts of the product that has the code replace what is known of it. So copies that arrive
//! late or twice do no harm, also when the code has changed hands meanwhile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    claim::{Change, Claim, Taken},
    id::{ProductId, Sku, StreamId},
    money::Money,
    personal::{Texts, texts},
    timestamp::Timestamp,
};

#[cfg(test)]
mod tests;

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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A product that is being made wants the code.
    Claimed {
        /// The product.
        product_id: ProductId,
        /// When it lapses unless the product is heard of before. Absent, as releases before this
        /// field wrote it: the claim needs no confirmation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// The product behind the code can be sold, with these facts; so the code is its own.
    Listed {
        /// The facts.
        listing: Listing,
    },
    /// The product behind the code cannot be sold for now.
    Delisted {
        /// Of the product, when that was so.
        product_revision: u64,
    },
    /// The product exists, and the code is its own.
    Confirmed {
        /// The product.
        product_id: ProductId,
    },
    /// The product was not created: the code is free.
    Withdrawn {
        /// The product that wanted it.
        product_id: ProductId,
    },
    /// The product is archived: the code is free, and cannot be sold.
    Released {
        /// The product that had it.
        product_id: ProductId,
    },
    /// Nothing was heard of the product in time: it is looked for.
    Lapsed {
        /// The product that wanted it.
        product_id: ProductId,
    },
    /// As an earlier release freed a code of whose product nothing was heard.
    Expired {
        /// The product that wanted it.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listing {
    /// The product behind the code.
    pub product_id: ProductId,
    /// What it is called.
    pub name: String,
    /// The widest group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Of one.
    pub price: Money,
    /// Revision of the product that this was copied from: an older copy never replaces a newer.
    pub product_revision: u64,
}

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

    fn expire() -> Option<Command> {
        Some(Command::Lapse)
    }
}

impl Aggregate for SkuClaim {
    const NAME: &'static str = "sku";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "61f56e22bbb46453";
    const TEXTS: &'static [Texts] = texts! {
        "claimed": [] [];
        "confirmed": [] [];
        "delisted": [] [];
        "expired": [] [];
        "lapsed": [] [];
        "listed": [] ["listing.department", "listing.name"];
        "released": [] [];
        "withdrawn": [] [];
    };

    type Id = Sku;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        use crate::{
            claim::CONFIRM_WAIT,
            testing::{NOW, sample::listing, uuid},
        };
        let product_id = ProductId::new(uuid(5));
        vec![
            Event::Claimed { product_id, expires_at: None },
            Event::Claimed { product_id, expires_at: Some(NOW.plus(CONFIRM_WAIT)) },
            Event::Confirmed { product_id },
            Event::Listed { listing: listing() },
            Event::Delisted { product_revision: 3 },
            Event::Withdrawn { product_id },
            Event::Released { product_id },
            Event::Lapsed { product_id },
            Event::Expired { product_id },
        ]
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

impl Sku {
    /// The stream that claims this code for one product.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId::of::<SkuClaim>(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no product has this SKU: create one with it first")]
    NotFound,
    #[error("another product has this SKU: choose a SKU that is free")]
    Taken,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound};
        match self {
            Self::NotFound => (NotFound, "sku.not_found"),
            Self::Taken => (Conflict, "sku.taken"),
        }
    }
}
