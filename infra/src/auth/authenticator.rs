//! From the `Authorization` header to a [`Caller`].

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, header, request::Parts},
};
use domain::{
    api_key::Role,
    id::{ApiKeyId, CartId},
    timestamp::Timestamp,
};
use rustc_hash::FxHashMap;
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use super::{ApiKey, CART_TOKEN, Caller, KeyHash, ROLES, cart_of_token};
use crate::{clock::Clock, http::problem::Problem};

/// How long a key that was found is believed without asking again: as late may a revocation bite.
const CACHE_AGE_MAX: Duration = Duration::from_secs(2);
/// How long it is believed while it cannot be asked for, because the shard that knows it does not
/// answer: a slow shard must not lock its keys' holders out of the others.
const CACHE_AGE_ALONE_MAX: Duration = Duration::from_mins(1);
/// Keys remembered at once. A full cache is emptied, which only costs look-ups.
const CACHE_KEYS_MAX: usize = 10_000;
/// The id of the operator's first key is derived from its hash.
const OPERATOR: Uuid = Uuid::from_u128(0x3c1b_5f2e_70a9_4d0c_8f6e_21d4_b8aa_9e05);

/// What is known of an issued key.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub hash: KeyHash,
    pub roles: BTreeSet<Role>,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
}

/// Where issued keys are found.
#[async_trait]
pub trait KeyDirectory: Send + Sync + 'static {
    async fn find(&self, id: ApiKeyId) -> Result<Option<KeyRecord>, Unavailable>;
}

/// The directory cannot answer now.
#[derive(Debug, thiserror::Error)]
#[error("API keys cannot be looked up")]
pub struct Unavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Resolves callers. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    operator: Option<(KeyHash, Caller)>,
    directory: Arc<dyn KeyDirectory>,
    clock: Clock,
    /// Without one, no token opens a cart.
    cart_token_secret: Option<SecretString>,
    cache: Mutex<FxHashMap<ApiKeyId, Cached>>,
}

struct Cached {
    found_at: Instant,
    hash: KeyHash,
    expires_at: Option<Timestamp>,
    roles: Arc<BTreeSet<Role>>,
}

impl Authenticator {
    #[must_use]
    pub fn new(
        operator_key: Option<KeyHash>,
        directory: Arc<dyn KeyDirectory>,
        clock: Clock,
        cart_token_secret: Option<SecretString>,
    ) -> Self {
        let operator = operator_key.map(|hash| {
            let id = Uuid::new_v5(&OPERATOR, hash.to_string().as_bytes());
            let roles = Arc::new(BTreeSet::from(ROLES));
            (hash, Caller::Key { id: ApiKeyId::new(id), roles })
        });
        let cache = Mutex::default();
        Self(Arc::new(Inner { operator, directory, clock, cart_token_secret, cache }))
    }

    /// Who sends this request.
    ///
    /// # Errors
    /// 401 if there is an `Authorization` that is no valid key; 503 if keys cannot be looked up.
    pub async fn authenticate(&self, parts: &Parts) -> Result<Caller, Problem> {
        let Some(authorization) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(self.anonymous(parts));
        };
        let text = authorization.to_str().ok().and_then(bearer).ok_or_else(Problem::invalid_key)?;
        let hash = KeyHash::of(text);
        if let Some((operator, caller)) = &self.0.operator
            && operator.matches(&hash)
        {
            return Ok(caller.clone());
        }
        let id = ApiKey::id_of(text).ok_or_else(Problem::invalid_key)?;
        let roles = match self.0.cached(id, &hash, CACHE_AGE_MAX) {
            Some(roles) => roles,
            None => self.0.look_up(id, &hash).await?,
        };
        Ok(Caller::Key { id, roles })
    }

    fn anonymous(&self, parts: &Parts) -> Caller {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Caller::Anonymous {
            cart: self.open_cart(&parts.headers),
            address: address.map(|ConnectInfo(address)| address.ip()),
        }
    }

    /// The cart whose token was sent.
    pub(super) fn open_cart(&self, headers: &HeaderMap) -> Option<CartId> {
        let token = headers.get(CART_TOKEN)?.to_str().ok()?;
        cart_of_token(self.0.cart_token_secret.as_ref()?, token)
    }
}

impl Inner {
    fn cached(
        &self,
        id: ApiKeyId,
        hash: &KeyHash,
        age_max: Duration,
    ) -> Option<Arc<BTreeSet<Role>>> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cache.get(&id)?;
        let valid = cached.found_at.elapsed() < age_max
            && cached.hash.matches(hash)
            && !self.is_over(cached.expires_at);
        valid.then(|| Arc::clone(&cached.roles))
    }

    async fn look_up(&self, id: ApiKeyId, hash: &KeyHash) -> Result<Arc<BTreeSet<Role>>, Problem> {
        let found = match self.directory.find(id).await {
            Ok(found) => found,
            Err(error) => {
                let problem = Problem::unavailable("unavailable", "API keys cannot be checked now");
                let known = self.cached(id, hash, CACHE_AGE_ALONE_MAX);
                return known.ok_or_else(|| problem.caused_by(error));
            }
        };
        let valid = found.filter(|record| !record.revoked && !self.is_over(record.expires_at));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(KeyRecord { hash: stored, roles, expires_at, .. }) = valid else {
            // What was known of it must not be believed once nobody can be asked.
            cache.remove(&id);
            return Err(Problem::invalid_key());
        };
        if !stored.matches(hash) {
            return Err(Problem::invalid_key());
        }
        let (hash, roles) = (stored, Arc::new(roles));
        if cache.len() >= CACHE_KEYS_MAX {
            cache.clear();
        }
        let found_at = Instant::now();
        cache.insert(id, Cached { found_at, hash, expires_at, roles: Arc::clone(&roles) });
        Ok(roles)
    }

    fn is_over(&self, expires_at: Option<Timestamp>) -> bool {
        expires_at.is_some_and(|at| at <= self.clock.now())
    }
}

/// The key in `Bearer <key>`; the scheme's name knows no case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
