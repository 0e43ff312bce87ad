//! All buckets, and whose bucket a request takes from.

use std::hash::{BuildHasher, RandomState};

use axum::http::HeaderMap;
use domain::api_key::ApiKeyId;
use quick_cache::sync::Cache;

use super::bucket::{Buckets, CLIENTS_MAX, Empty, Standing};
use crate::{
    auth::Caller,
    config::Rates,
    http::{client::Network, headers::CART_TOKEN},
};

/// All buckets of a service.
#[derive(Debug)]
pub(in crate::http) struct Limiter {
    addresses: Buckets<Network>,
    carts: Buckets<u64>,
    customers: Buckets<ApiKeyId>,
    keys: Buckets<ApiKeyId>,
    guesses: Buckets<Network>,
    /// What became of keys, by a hash of what was sent.
    pub(super) judged: Cache<u64, Judgement>,
    pub(super) hasher: RandomState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is being looked up, and has been paid for.
    Pending,
    Holds,
    Wrong,
}

/// What a request costs, and who pays.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) address: Option<Network>,
    pub(super) weight: u32,
    /// Hash of what it brings as a key.
    pub(super) key: Option<u64>,
    /// Who has paid for it as for a guess.
    pub(super) guess: Option<Network>,
}

impl Limiter {
    pub(in crate::http) fn new(rates: Rates) -> Self {
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

    pub(super) fn guest(
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
    pub(super) fn suspect(
        &self,
        key: u64,
        address: Option<Network>,
    ) -> Result<Option<Network>, Empty> {
        let judgement = self.judged.get(&key);
        let paid = matches!(judgement, Some(Judgement::Holds | Judgement::Pending));
        let Some(address) = address.filter(|_| !paid) else { return Ok(None) };
        self.guesses.take_one(address)?;
        if judgement.is_none() {
            self.judged.insert(key, Judgement::Pending);
        }
        Ok(Some(address))
    }

    /// Nobody could say whether the key holds: no guess was answered, and the address pays.
    pub(super) fn unjudged(&self, charge: &Charge) -> Result<Option<Standing>, Empty> {
        if let Some(guess) = &charge.guess {
            self.guesses.give_back(guess);
        }
        let Some(address) = charge.address else { return Ok(None) };
        self.addresses.take(address, charge.weight)
    }

    pub(super) fn holder(&self, caller: &Caller, weight: u32) -> Result<Option<Standing>, Empty> {
        match caller {
            Caller::Key { id, .. } if caller.is_customer() => self.customers.take(*id, weight),
            Caller::Key { id, .. } => self.keys.take(*id, weight),
            Caller::Anonymous { .. } => Ok(None),
        }
    }
}
