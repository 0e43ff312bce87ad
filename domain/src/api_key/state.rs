//! What an API key has become.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Evolve,
    api_key::{Event, Role},
    timestamp::Timestamp,
};

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
