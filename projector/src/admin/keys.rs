//! Issued API keys, from the read model that this very service keeps.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::id::ApiKeyId;
use infra::{
    auth::{KeyDirectory, KeyRecord, Unavailable, role_from_name},
    postgres::Pool,
};

pub(super) struct Directory {
    pool: Pool,
}

impl Directory {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    roles: Vec<String>,
    hash: String,
    expires_at: Option<DateTime<Utc>>,
    revoked: bool,
}

#[async_trait]
impl KeyDirectory for Directory {
    async fn find(&self, id: ApiKeyId) -> Result<Option<KeyRecord>, Unavailable> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT roles, hash, expires_at, revoked_at IS NOT NULL AS revoked
             FROM read.api_keys WHERE id = $1",
        )
        .bind(id.uuid())
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| Unavailable(error.into()))?;
        row.map(Row::into_record).transpose()
    }
}

impl Row {
    fn into_record(self) -> Result<KeyRecord, Unavailable> {
        Ok(KeyRecord {
            hash: self.hash.parse().map_err(|error| Unavailable(Box::new(error)))?,
            roles: self.roles.iter().filter_map(|role| role_from_name(role)).collect(),
            expires_at: self.expires_at.map(Into::into),
            revoked: self.revoked,
        })
    }
}
