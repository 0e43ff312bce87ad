//! An API key of a machine: issued once, usable until it is revoked or expires.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Aggregate, Decide, Evolve, Refusal, RejectionKind},
    id::{StreamId, uuid_ids},
    personal::{Texts, texts},
    timestamp::Timestamp,
    upcast::{Data, Upcast},
};

#[cfg(test)]
mod tests;

uuid_ids! { ApiKeyId }

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Issue { name: String, roles: BTreeSet<Role>, hash: String, expires_at: Option<Timestamp> },
    Revoke,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// A machine got a key.
    Issued {
        /// What people call it.
        name: String,
        /// What its bearer may do.
        roles: BTreeSet<Role>,
        /// SHA-256 of the key in hex. The key has 256 random bits, so it needs no slow hash.
        #[serde(rename = "sha256")]
        hash: String,
        /// When it ends by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// The key is worth nothing any more, for good.
    Revoked {},
}

/// What a caller may do. `privacy`: ask for what tells of a person, as it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Customer,
    Staff,
    Analyst,
    Privacy,
    Operator,
}

impl Role {
    /// All that there are.
    pub const ALL: [Self; 5] =
        [Self::Customer, Self::Staff, Self::Analyst, Self::Privacy, Self::Operator];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Analyst => "analyst",
            Self::Privacy => "privacy",
            Self::Operator => "operator",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// `None` until it is issued.
    pub issued: Option<Issued>,
    pub revoked: bool,
}

/// What never changes about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    pub name: String,
    pub roles: BTreeSet<Role>,
    /// SHA-256 of the key in hex.
    pub hash: String,
    pub expires_at: Option<Timestamp>,
}

impl Evolve for ApiKey {
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        match event.clone() {
            Event::Issued { name, roles, hash, expires_at } => {
                self.issued = Some(Issued { name, roles, hash, expires_at });
            }
            Event::Revoked {} => self.revoked = true,
        }
    }
}

impl Decide for ApiKey {
    type Command = Command;
    type Rejection = Rejection;

    /// What was issued stays as it is, and revoking is final.
    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command.clone() {
            Command::Issue { name, roles, hash, expires_at } => {
                self.issue(Issued { name, roles, hash, expires_at }, now)
            }
            Command::Revoke if self.issued.is_none() => Err(Rejection::NotFound),
            Command::Revoke if self.revoked => Ok(vec![]),
            Command::Revoke => Ok(vec![Event::Revoked {}]),
        }
    }
}

impl Aggregate for ApiKey {
    const NAME: &'static str = "api_key";
    const STATE_VERSION: u32 = 1;
    const STATE_DIGEST: &'static str = "76ba718d04a6a700";
    const TEXTS: &'static [Texts] = texts! {
        "issued": ["name", "hash", "sha256"] ["roles"];
        "revoked": [] [];
    };
    const UPCASTS: &'static [Upcast] = &[Upcast {
        event: "issued",
        from: 1,
        lift: name_the_hash,
        schema: include_str!("../schemas/api_key/issued.v1.json"),
    }];

    type Id = ApiKeyId;

    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Event> {
        let roles = BTreeSet::from([Role::Customer, Role::Staff, Role::Analyst, Role::Operator]);
        let expires_at = Some(crate::testing::NOW.plus(std::time::Duration::from_secs(60)));
        vec![
            Event::Issued { name: "till 1".into(), roles, hash: "ab".repeat(32), expires_at },
            Event::Revoked {},
        ]
    }
}

impl ApiKey {
    fn issue(&self, wanted: Issued, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match &self.issued {
            Some(issued) if *issued == wanted => return Ok(vec![]),
            Some(_) => return Err(Rejection::Exists),
            None => {}
        }
        let Issued { name, roles, hash, expires_at } = wanted;
        if name.trim().is_empty() {
            return Err(Rejection::NameEmpty);
        }
        if roles.is_empty() {
            return Err(Rejection::RolesEmpty);
        }
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Rejection::ExpiresInPast);
        }
        Ok(vec![Event::Issued { name, roles, hash, expires_at }])
    }
}

/// Version 1 said `hash`, of which a reader could not tell what it was.
fn name_the_hash(mut issued: Data) -> Data {
    if let Some(hash) = issued.remove("hash") {
        issued.insert("sha256".to_owned(), hash);
    }
    issued
}

impl ApiKeyId {
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::of::<ApiKey>(&self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no API key with this id")]
    NotFound,
    #[error("an API key with this id was issued before: use another id")]
    Exists,
    #[error("name must not be empty")]
    NameEmpty,
    #[error("roles must name at least one role")]
    RolesEmpty,
    #[error("expires_at must lie in the future")]
    ExpiresInPast,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound, Rule};
        match self {
            Self::NotFound => (NotFound, "api_key.not_found"),
            Self::Exists => (Conflict, "api_key.exists"),
            Self::NameEmpty => (Rule, "api_key.name_empty"),
            Self::RolesEmpty => (Rule, "api_key.roles_empty"),
            Self::ExpiresInPast => (Rule, "api_key.expires_in_past"),
        }
    }
}
