//! What can be asked of an API key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{api_key::Role, timestamp::Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Issue { name: String, roles: BTreeSet<Role>, hash: String, expires_at: Option<Timestamp> },
    Revoke,
}
