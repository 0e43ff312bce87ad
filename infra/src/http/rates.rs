//! How much each client may ask of a service: token buckets, and how an answer tells of them.
//!
//! Who asks is a key that holds, else a cart's token together with the address it comes from, else the
//! address: a token alone is nobody, for it costs nothing to make up. A key that has not been seen to
//! hold costs its address a little of what it has for guesses, unless nobody can say whether it does: then
//! it is the address that asks.
//!
//! There are [`CLIENTS_MAX`] buckets of each kind at most. Beyond it those that were not asked for lately
//! are forgotten: such a client begins with a full one.

mod bucket;
mod ticket;
mod weight;

#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, header},
};
use domain::id::ApiKeyId;
use quick_cache::sync::Cache;

use super::{client::Network, headers::CART_TOKEN, problem::Problem};
use crate::{
    auth::Caller,
    config::{Rate, Rates},
};
use bucket::{Buckets, Standing};

use ticket::Asks;
pub use ticket::Ticket;
pub use weight::Weight;

/// Buckets of each kind, and keys that are remembered.
const CLIENTS_MAX: usize = 1 << 16;

/// All buckets of a service.
#[derive(Debug)]
pub(super) struct Limiter {
    addresses: Buckets<Network>,
    carts: Buckets<u64>,
    customers: Buckets<ApiKeyId>,
    keys: Buckets<ApiKeyId>,
    guesses: Buckets<Network>,
    /// What became of keys, by a hash of what was sent.
    judged: Cache<u64, Judgement>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// It is being looked up, and has been paid for.
    Asked,
    Holds,
    Wrong,
}

/// The bucket of this client is empty.
#[derive(Debug)]
pub(super) struct Empty(Standing);

impl Limiter {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            addresses: Buckets::new("address", rates.addresses),
            carts: Buckets::new("cart", rates.carts),
            customers: Buckets::new("customer", rates.customers),
            keys: Buckets::new("key", rates.keys),
            guesses: Buckets::new("unknown-keys", rates.unknown_keys),
            judged: Cache::new(CLIENTS_MAX),
            hasher: RandomState::new(),
        }
    }

    /// Lets a request in as far as it is known before anybody has looked at its key. The ticket goes
    /// with it.
    pub(super) fn enter(
        self: &Arc<Self>,
        request: &Request,
        weight: u32,
    ) -> (Ticket, Option<Problem>) {
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = address.map(|ConnectInfo(address)| Network::from(address.ip()));
        let key = request.headers().get(header::AUTHORIZATION);
        let key = key.map(|key| self.hasher.hash_one(key.as_bytes()));
        let (guess, entered) = match key {
            Some(key) => match self.suspect(key, address) {
                Ok(guess) => (guess, Ok(None)),
                Err(empty) => (None, Err(empty)),
            },
            None => (None, self.guest(address, request.headers(), weight)),
        };
        let ticket = Ticket::new(Arc::clone(self), Asks { address, weight, key, guess });
        let refused = ticket.note(entered);
        (ticket, refused)
    }

    fn guest(
        &self,
        address: Option<Network>,
        headers: &HeaderMap,
        weight: u32,
    ) -> Result<Option<Standing>, Empty> {
        let token = headers.get(CART_TOKEN).map(|token| self.hasher.hash_one(token.as_bytes()));
        let cart = token.map(|token| self.carts.take(token, weight)).transpose()?.flatten();
        let address = address.map(|address| self.addresses.take(address, weight)).transpose()?;
        Ok(cart.or(address.flatten()))
    }

    /// A key that is known to hold is judged by its own bucket, later. Tells whose guess it is, if it
    /// was paid for as one.
    fn suspect(&self, key: u64, address: Option<Network>) -> Result<Option<Network>, Empty> {
        let judgement = self.judged.get(&key);
        let paid = matches!(judgement, Some(Judgement::Holds | Judgement::Asked));
        let Some(address) = address.filter(|_| !paid) else { return Ok(None) };
        self.guesses.take_one(address)?;
        if judgement.is_none() {
            self.judged.insert(key, Judgement::Asked);
        }
        Ok(Some(address))
    }

    /// Nobody could say whether the key holds: no guess was answered, and nobody in particular asks.
    fn unjudged(&self, asks: &Asks) -> Result<Option<Standing>, Empty> {
        if let Some(guess) = &asks.guess {
            self.guesses.give_back(guess);
        }
        let Some(address) = asks.address else { return Ok(None) };
        self.addresses.take(address, asks.weight)
    }

    fn holder(&self, caller: &Caller, weight: u32) -> Result<Option<Standing>, Empty> {
        match caller {
            Caller::Key { id, .. } if caller.is_customer() => self.customers.take(*id, weight),
            Caller::Key { id, .. } => self.keys.take(*id, weight),
            Caller::Anonymous { .. } => Ok(None),
        }
    }
}

impl Rate {
    /// How long an empty bucket takes to be full again, in whole seconds.
    fn window_seconds(self) -> u32 {
        self.burst.get().div_ceil(self.per_second.get())
    }
}
