//! API keys by id, for the services that check them. The log has only their hashes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    StreamType,
    api_key::{Event, Role},
    timestamp::Timestamp,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::projection::{
    AnyStreamFold, Cell, Column, Inapplicable, Kind, Origin, Projection, Row, StreamFold, Table,
};

pub(super) struct ApiKeys;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct ApiKey {
    id: Uuid,
    name: String,
    roles: Json<BTreeSet<Role>>,
    hash: String,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    revision: i64,
}

impl Projection for ApiKeys {
    const NAME: &'static str = "api_keys";
    const VERSION: i32 = 1;
    const TABLES: &'static str = "
        CREATE TABLE {schema}.api_keys (
            id         uuid PRIMARY KEY,
            name       text NOT NULL,
            roles      jsonb NOT NULL,
            hash       text NOT NULL,
            expires_at timestamptz,
            revoked_at timestamptz,
            revision   bigint NOT NULL
        );
    ";
    const VIEWS: &'static [(&'static str, &'static str)] = &[(
        "api_keys",
        "SELECT id, name, ARRAY(SELECT jsonb_array_elements_text(roles)) AS roles, hash,
                expires_at, revoked_at
         FROM {schema}.api_keys",
    )];
    const FOLDS: &'static [&'static dyn AnyStreamFold] = &[&Self];
}

impl StreamFold for ApiKeys {
    const STREAM: StreamType = StreamType::ApiKey;

    type Event = Event;
    type Key = Uuid;
    type Row = ApiKey;
    type Additions = ();

    fn select(event: &domain::Event) -> Option<&Event> {
        match event {
            domain::Event::ApiKey(event) => Some(event),
            _ => None,
        }
    }

    fn evolve(
        row: Option<ApiKey>,
        event: &Event,
        origin: &Origin<Uuid>,
        (): &mut (),
    ) -> Result<Option<ApiKey>, Inapplicable> {
        let Origin { key: id, revision, recorded_at } = *origin;
        match (row, event) {
            (None, Event::Issued { name, roles, hash, expires_at }) => Ok(Some(ApiKey {
                id,
                name: name.clone(),
                roles: Json(roles.clone()),
                hash: hash.clone(),
                expires_at: expires_at.map(Timestamp::to_datetime),
                revoked_at: None,
                revision,
            })),
            (Some(key), Event::Revoked {}) => {
                Ok(Some(ApiKey { revoked_at: Some(recorded_at), revision, ..key }))
            }
            (Some(_), Event::Issued { .. }) => Err(Inapplicable::ExistsAlready),
            (None, Event::Revoked {}) => Err(Inapplicable::UnknownStream),
        }
    }
}

impl Row for ApiKey {
    type Key = Uuid;

    const TABLE: Table = Table {
        name: "api_keys",
        keys: 1,
        columns: &[
            Column::of("id", Kind::Uuid),
            Column::of("name", Kind::Text),
            Column::of("roles", Kind::Json),
            Column::of("hash", Kind::Text),
            Column::of("expires_at", Kind::Time),
            Column::of("revoked_at", Kind::Time),
            Column::of("revision", Kind::Long),
        ],
    };

    fn key(&self) -> Uuid {
        self.id
    }

    fn cells(&self) -> Vec<Cell<'_>> {
        vec![
            Cell::Uuid(self.id),
            Cell::text(&self.name),
            Cell::json(&self.roles),
            Cell::text(&self.hash),
            Cell::time_or_null(self.expires_at),
            Cell::time_or_null(self.revoked_at),
            Cell::Long(self.revision),
        ]
    }

    fn revision(&self) -> i64 {
        self.revision
    }
}

#[cfg(test)]
mod tests;
