//! Who calls: API keys, the operator's first key and the tokens of guests' carts.
//!
//! **Invariant:** a key's text is compared in constant time and never logged, kept or shown again.

mod authenticator;
mod directory;
mod gate;
mod issued;
mod key;
mod memory;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::request::Parts,
};
use domain::{
    api_key::{ApiKeyId, Role},
    id::CartId,
};
use uuid::Uuid;

pub use authenticator::{Authenticator, OpenCart};
pub use directory::{Found, Inquiry, KEY_AGE_MAX, KeyDirectory, KeyRecord, Unavailable};
pub use gate::guard;
pub use issued::{API_KEYS, Issued, IssuedKeys, IssuedRows, issued_keys};
pub use key::{ApiKey, InvalidKeyHash, KeyHash, cart_of_token, cart_token};

use crate::http::{client::Network, problem::Problem};

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular.
    Anonymous {
        /// Proven by its token; what tells one guest from another.
        cart: Option<CartId>,
        address: Option<IpAddr>,
    },
    Key {
        id: ApiKeyId,
        roles: Arc<BTreeSet<Role>>,
    },
}

/// Namespace of the Idempotency-Keys of guests.
const GUESTS: Uuid = Uuid::from_u128(0x8f0d_6a4e_1c62_4f1b_9a57_3d0f_6f0b_7c11);

impl Caller {
    /// The actor that events name.
    #[must_use]
    pub fn actor(&self) -> Arc<str> {
        match self {
            Self::Anonymous { .. } => "guest".into(),
            Self::Key { id, .. } => format!("key:{id}").into(),
        }
    }

    /// Where this caller's Idempotency-Keys live, so that two callers may use the same one. Guests
    /// without a cart share one place: their keys have to be as good as secrets.
    #[must_use]
    pub fn idempotency_namespace(&self) -> Uuid {
        match self {
            Self::Key { id, .. } => id.uuid(),
            Self::Anonymous { cart: Some(cart), .. } => {
                Uuid::new_v5(&GUESTS, cart.uuid().as_bytes())
            }
            // An address is nobody's own: what such a guest may ask is told by the key alone.
            Self::Anonymous { cart: None, .. } => GUESTS,
        }
    }

    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        match self {
            Self::Anonymous { .. } => false,
            Self::Key { roles, .. } => roles.contains(&role),
        }
    }

    /// Whether this is a key that has no role in the shop itself.
    #[must_use]
    pub fn is_customer(&self) -> bool {
        let own = [Role::Staff, Role::Analyst, Role::Privacy, Role::Operator];
        matches!(self, Self::Key { .. }) && !own.into_iter().any(|role| self.has(role))
    }

    /// # Errors
    /// 401 without a key, 403 with a key that has none of the roles (it names the first).
    pub fn require(&self, roles: &[Role]) -> Result<(), Problem> {
        if roles.iter().any(|role| self.has(*role)) {
            return Ok(());
        }
        match (self, roles.first()) {
            (Self::Anonymous { .. }, _) => Err(Problem::unauthenticated()),
            (Self::Key { .. }, Some(role)) => Err(Problem::forbidden(*role)),
            (Self::Key { .. }, None) => Ok(()),
        }
    }
}

/// Resolves the caller; 401 for a key that is not valid, also where guests are welcome.
impl<S> FromRequestParts<S> for Caller
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Authenticator::from_ref(state).caller(parts).await
    }
}

/// A party that shares common limits, as far as it cannot pretend to be many: it has one share, however
/// many requests it sends.
///
/// A cart's token does not count as one, for a client can get any number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    Key(ApiKeyId),
    Network(Network),
    /// A request that came over no connection, as in tests.
    Unknown,
}

impl Client {
    /// Before it is known whose key a request brings.
    #[must_use]
    pub fn of_connection(parts: &Parts) -> Self {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Self::of_address(address.map(|ConnectInfo(address)| address.ip()))
    }

    fn of_address(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Unknown, |address| Self::Network(address.into()))
    }
}

impl From<&Caller> for Client {
    fn from(caller: &Caller) -> Self {
        match caller {
            Caller::Key { id, .. } => Self::Key(*id),
            Caller::Anonymous { address, .. } => Self::of_address(*address),
        }
    }
}

#[cfg(test)]
mod tests;
