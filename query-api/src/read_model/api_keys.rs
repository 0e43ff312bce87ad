//! Issued API keys, for the authenticator.

use chrono::{DateTime, Utc};
use domain::id::ApiKeyId;
use infra::{
    auth::{KeyRecord, role_from_name},
    postgres::Pool,
};
use uuid::Uuid;

use super::{ReadError, ReadModel, batch::Lookup, document::undecodable};

pub(super) struct ById;

impl Lookup for ById {
    const NAME: &'static str = "api_keys";
    type Key = Uuid;
    type Row = KeyRecord;

    async fn find(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, KeyRecord)>, sqlx::Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, roles, hash, expires_at, revoked_at IS NOT NULL AS revoked
             FROM read.api_keys WHERE id = ANY($1)",
        )
        .bind(ids)
        .fetch_all(pool)
        .await?;
        rows.into_iter().map(Row::record).collect()
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    roles: Vec<String>,
    hash: String,
    expires_at: Option<DateTime<Utc>>,
    revoked: bool,
}

impl Row {
    fn record(self) -> Result<(Uuid, KeyRecord), sqlx::Error> {
        let record = KeyRecord {
            hash: self.hash.parse().map_err(undecodable)?,
            // A role that this release does not know gives no right in it.
            roles: self.roles.iter().filter_map(|name| role_from_name(name)).collect(),
            expires_at: self.expires_at.map(Into::into),
            revoked: self.revoked,
        };
        Ok((self.id, record))
    }
}

impl ReadModel {
    pub(crate) async fn api_key(&self, id: ApiKeyId) -> Result<Option<KeyRecord>, ReadError> {
        self.api_keys.find(id.uuid()).await
    }
}
