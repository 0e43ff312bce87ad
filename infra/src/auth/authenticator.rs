//! From the `Authorization` header to a [`Caller`].

use std::{collections::BTreeSet, convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use domain::{
    api_key::{ApiKeyId, Role},
    id::CartId,
    timestamp::Timestamp,
};
use secrecy::SecretString;
use tokio::time::Instant;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    Caller, KeyHash, cart_of_token,
    directory::{Found, Inquiry, KEY_AGE_MAX, KeyDirectory, KeyRecord, Unavailable},
    memory::{Known, Memory},
};
use crate::{
    clock::Clock,
    http::{headers::CART_TOKEN, problem::Problem},
};

/// The id of the operator's first key is derived from its hash.
const OPERATOR: Uuid = Uuid::from_u128(0x3c1b_5f2e_70a9_4d0c_8f6e_21d4_b8aa_9e05);

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

/// The cart whose token came with the request, whoever the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoParams)]
#[into_params(names("Tradewind-Cart-Token"), parameter_in = Header)]
pub struct OpenCart(
    /// For guests: the `cart_token` of the answer that created the cart.
    #[param(value_type = Option<String>)]
    pub Option<CartId>,
);

impl<S> FromRequestParts<S> for OpenCart
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Authenticator::from_ref(state).open_cart(&parts.headers)))
    }
}

/// The key in `Bearer <key>`; the scheme's name knows no case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
