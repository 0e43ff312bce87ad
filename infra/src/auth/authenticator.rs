//! From the `Authorization` header to a [`Caller`].

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

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
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    ApiKey, Caller, Client, KeyHash, cart_of_token,
    memory::{Known, Memory},
};
use crate::{
    clock::Clock,
    http::{
        headers::{AtLeast, CART_TOKEN, PreferWait},
        problem::Problem,
    },
    position::{Entry, Position},
};

/// How old what is known of a key may be: as late may a revocation bite. Beyond it nothing is known of
/// the key, which is nobody's right and nobody's fault: 503.
pub const KEY_AGE_MAX: Duration = Duration::from_secs(5);

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

/// A key that a request brings.
pub struct Inquiry<'r> {
    pub id: ApiKeyId,
    pub hash: KeyHash,
    text: &'r str,
    /// What the client has seen: the key must be judged by no less.
    pub at_least: Position,
    /// How long it would wait for all of this. Who is believed anyway does not wait.
    pub until: Instant,
    pub client: Client,
    pub asked_at: Instant,
}

/// What there is to know of a key.
#[derive(Clone, Debug)]
pub struct Found {
    /// `None` if nobody has issued it.
    pub record: Option<KeyRecord>,
    /// All that was acknowledged before this moment has been taken into account.
    pub as_of: Instant,
    /// And all of the key's shard before this position, where positions are known.
    pub seen: Option<Entry>,
}

/// Where issued keys are found.
#[async_trait]
pub trait KeyDirectory: Send + Sync + 'static {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable>;
}

/// The directory cannot answer now.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It has not come as far as it would have to.
    #[error("what is known of API keys is too old")]
    Stale,
    #[error("API keys cannot be looked up")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Resolves callers. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    operator: Option<(KeyHash, Caller)>,
    directory: Arc<dyn KeyDirectory>,
    clock: Clock,
    /// Without one, no token opens a cart.
    cart_token_secret: Option<SecretString>,
    memory: Memory,
}

impl<'r> Inquiry<'r> {
    fn of(parts: &'r Parts, text: &'r str, hash: KeyHash) -> Option<Self> {
        // One that cannot be read is told to those who may come in, and is nothing to wait for.
        let AtLeast(at_least) = AtLeast::from_headers(&parts.headers).unwrap_or_default();
        Some(Self {
            id: ApiKey::id_of(text)?,
            hash,
            text,
            at_least,
            until: PreferWait::from_headers(&parts.headers).until(),
            client: Client::of_connection(parts),
            asked_at: Instant::now(),
        })
    }

    /// Whether the key was signed with this secret.
    #[must_use]
    pub fn is_signed(&self, signing: &SecretString) -> bool {
        ApiKey::is_signed(self.text, signing)
    }

    /// Whether who has seen the key's shard up to there has seen what the client has.
    #[must_use]
    pub fn is_seen_by(&self, seen: Option<Entry>) -> bool {
        let Some(seen) = seen else { return self.at_least.is_empty() };
        let in_shard = self.at_least.entries().filter(|wanted| wanted.shard == seen.shard);
        in_shard
            .into_iter()
            .all(|it| it.log_id != seen.log_id || it.next_offset <= seen.next_offset)
    }
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
            let roles = Arc::new(BTreeSet::from(Role::ALL));
            (hash, Caller::Key { id: ApiKeyId::new(id), roles })
        });
        let memory = Memory::default();
        Self(Arc::new(Inner { operator, directory, clock, cart_token_secret, memory }))
    }

    /// Who sends this request.
    ///
    /// # Errors
    /// 401 if there is an `Authorization` that is no valid key; 503 if it is not known whether it is.
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
        let mut inquiry = Inquiry::of(parts, text, hash).ok_or_else(Problem::invalid_key)?;
        let known = match self.0.memory.fresh(&inquiry) {
            Some(known) => known,
            None if self.0.memory.is_refused(&inquiry) => return Err(Problem::invalid_key()),
            None => self.0.look_up(&mut inquiry).await?,
        };
        if self.0.is_over(known.expires_at) {
            return Err(Problem::invalid_key());
        }
        Ok(Caller::Key { id: inquiry.id, roles: known.roles })
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
    async fn look_up(&self, inquiry: &mut Inquiry<'_>) -> Result<Known, Problem> {
        if self.memory.believed(inquiry).is_some() {
            inquiry.until = inquiry.asked_at;
        }
        match self.directory.find(inquiry).await {
            Ok(found) if found.as_of.elapsed() < KEY_AGE_MAX => self.judge(inquiry, found),
            Ok(_) => self.fall_back(inquiry, Unavailable::Stale),
            Err(unavailable) => self.fall_back(inquiry, unavailable),
        }
    }

    fn judge(&self, inquiry: &Inquiry<'_>, found: Found) -> Result<Known, Problem> {
        let Found { record, as_of, seen } = found;
        match record {
            Some(record) if record.hash.matches(&inquiry.hash) => {
                if record.revoked || self.is_over(record.expires_at) {
                    self.memory.refuse(inquiry, true);
                    return Err(Problem::invalid_key());
                }
                let KeyRecord { hash, roles, expires_at, .. } = record;
                let (roles, found_at) = (Arc::new(roles), Instant::now());
                let known = Known { hash, roles, expires_at, found_at, as_of, seen };
                self.memory.remember(inquiry.id, known.clone());
                Ok(known)
            }
            Some(_) | None => {
                self.memory.refuse(inquiry, false);
                Err(Problem::invalid_key())
            }
        }
    }

    /// What was found a moment ago is as good as what could be found now.
    fn fall_back(&self, inquiry: &Inquiry<'_>, error: Unavailable) -> Result<Known, Problem> {
        self.memory.believed(inquiry).ok_or_else(|| match error {
            Unavailable::Stale => Problem::key_unknown_yet(),
            Unavailable::Away(_) => {
                let detail = "API keys cannot be checked now";
                Problem::unavailable("unavailable", detail).caused_by(error)
            }
        })
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
