//! API keys by id, for the services that check them (`infra::auth` reads the view). The log has only
//! their hashes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    Event, StreamType,
    api_key::{self, Role},
    timestamp::Timestamp,
};
use infra::auth;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Evolved, Fold,
    Get::{self, Text, TimeOrNull},
    Inapplicable, Origin, Projection, Row,
};

pub const API_KEYS: Projection = Projection {
    name: auth::API_KEYS.0,
    version: 1,
    tables: "
        CREATE TABLE {schema}.api_keys (
            id         uuid PRIMARY KEY,
            name       text NOT NULL,
            roles      jsonb NOT NULL,
            hash       text NOT NULL,
            expires_at timestamptz,
            revoked_at timestamptz,
            revision   bigint NOT NULL
        );
    ",
    views: &[(
        "api_keys",
        "SELECT id, name, ARRAY(SELECT jsonb_array_elements_text(roles)) AS roles, hash,
                expires_at, revoked_at
         FROM {schema}.api_keys",
    )],
    analytics: &[],
    folds: &[Fold::of::<ApiKeyRow>(StreamType::ApiKey)],
};

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct ApiKeyRow {
    id: Uuid,
    name: String,
    roles: Json<BTreeSet<Role>>,
    hash: String,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl Row for ApiKeyRow {
    type Key = Uuid;

    const TABLE: &'static str = "api_keys";
    const COLUMNS: &'static [(&'static str, Get<Self>)] = &[
        ("id", Get::Uuid(|key| key.id)),
        ("name", Text(|key| &key.name)),
        ("roles", Get::Json(|key| serde_json::to_string(&key.roles))),
        ("hash", Text(|key| &key.hash)),
        ("expires_at", TimeOrNull(|key| key.expires_at)),
        ("revoked_at", TimeOrNull(|key| key.revoked_at)),
    ];

    fn evolve(row: Option<Self>, event: &Event, origin: &mut Origin<'_, Uuid>) -> Evolved<Self> {
        use api_key::Event::{Issued, Revoked};
        let Event::ApiKey(event) = event else { return Err(Inapplicable::WrongStream) };
        let Origin { key: &id, recorded_at, .. } = *origin;
        match (row, event) {
            (None, Issued { name, roles, hash, expires_at }) => Ok(Some(Self {
                id,
                name: name.clone(),
                roles: Json(roles.clone()),
                hash: hash.clone(),
                expires_at: expires_at.map(Timestamp::to_datetime),
                revoked_at: None,
            })),
            (Some(key), Revoked {}) => Ok(Some(Self { revoked_at: Some(recorded_at), ..key })),
            (Some(_), Issued { .. }) => Err(Inapplicable::ExistsAlready),
            (None, Revoked {}) => Err(Inapplicable::UnknownStream),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{fold, recorded_at};

    const ID: Uuid = Uuid::from_u128(1);

    fn issued() -> Value {
        json!({ "type": "issued", "data": {
            "name": "till", "roles": ["staff", "analyst"], "sha256": "ab",
            "expires_at": "2027-01-01T00:00:00Z",
        } })
    }

    #[test]
    fn a_key_is_issued_and_revoked() {
        let revoked = json!({ "type": "revoked", "data": {} });
        let key =
            fold::<ApiKeyRow>(StreamType::ApiKey, ID, &[issued(), revoked]).unwrap().0.unwrap();
        let expected = ApiKeyRow {
            id: ID,
            name: "till".into(),
            roles: Json(BTreeSet::from([Role::Staff, Role::Analyst])),
            hash: "ab".into(),
            expires_at: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            revoked_at: Some(recorded_at(2)),
        };
        assert_eq!(key, expected);
    }

    #[test]
    fn only_an_issued_key_can_be_revoked() {
        let revoked = json!({ "type": "revoked", "data": {} });
        assert_eq!(
            fold::<ApiKeyRow>(StreamType::ApiKey, ID, &[revoked]),
            Err(Inapplicable::UnknownStream)
        );
    }
}
