//! Issued API keys, from their read model: believed only while that is known to be level.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::api_key::{ApiKeyId, Role};
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Found, Inquiry, KEY_AGE_MAX, KeyDirectory, KeyRecord, Unavailable};
use crate::{
    freshness::{Freshness, Projection},
    log::BoxError,
    postgres::Pool,
};

/// The read model of keys.
pub const API_KEYS: Projection = Projection("api_keys");

/// What the read model says of a key.
#[derive(Clone, Debug)]
pub enum Issued {
    Known(KeyRecord),
    /// An event of the key did not apply and waits for an operator. It may be the key's issue, or its
    /// revocation: as long as it waits, nobody can say whether the key holds.
    Parked,
}

/// Where the read model is asked for a key.
#[async_trait]
pub trait IssuedRows: Send + Sync + 'static {
    async fn issued(&self, id: ApiKeyId) -> Result<Option<Issued>, BoxError>;
}

/// Judges keys by their read model.
pub struct IssuedKeys<R> {
    pub rows: R,
    pub freshness: Freshness,
    /// What keys are signed with. Without it each key that is not there may have been issued a moment
    /// ago.
    pub signing: Option<SecretString>,
}

#[async_trait]
impl<R: IssuedRows> KeyDirectory for IssuedKeys<R> {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable> {
        let found = self.find_since(inquiry, None).await?;
        // It may have been issued a moment ago. Nobody else could have signed it, so none but those
        // who were given a key wait here.
        let asked_at = inquiry.asked_at;
        let is_news = found.record.is_none() && found.as_of < asked_at;
        if !is_news || self.signing.as_ref().is_some_and(|signing| !inquiry.is_signed(signing)) {
            return Ok(found);
        }
        self.find_since(inquiry, Some(asked_at)).await
    }
}

impl<R: IssuedRows> IssuedKeys<R> {
    /// What is there once the client's position is applied in the shard of the key, and as much as has
    /// to be known: what was acknowledged [`KEY_AGE_MAX`] ago, or even a moment ago.
    async fn find_since(
        &self,
        inquiry: &Inquiry<'_>,
        moment: Option<Instant>,
    ) -> Result<Found, Unavailable> {
        let Inquiry { id, at_least, client, until, .. } = inquiry;
        let is_recent = |as_of: Instant| {
            as_of.elapsed() < KEY_AGE_MAX && moment.is_none_or(|moment| as_of >= moment)
        };
        let stream = id.stream();
        let progress =
            self.freshness.progress(API_KEYS, &stream, at_least, is_recent, *client, *until).await;
        let progress = progress.ok_or(Unavailable::Stale)?;
        let record = match self.rows.issued(*id).await.map_err(Unavailable::Away)? {
            Some(Issued::Known(record)) => Some(record),
            Some(Issued::Parked) => return Err(Unavailable::Stale),
            None => None,
        };
        Ok(Found { record, as_of: progress.as_of, seen: progress.seen })
    }
}

/// One at a time, for services that few ask.
#[async_trait]
impl IssuedRows for Pool {
    async fn issued(&self, id: ApiKeyId) -> Result<Option<Issued>, BoxError> {
        let rows = issued_keys(self, &[id.uuid()]).await?;
        Ok(rows.into_iter().next().map(|(_, issued)| issued))
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    roles: Option<Vec<String>>,
    hash: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    revoked: bool,
    parked: bool,
}

/// What there is of these keys, in any order.
///
/// # Errors
/// If PostgreSQL cannot answer, or holds what no projector writes.
pub async fn issued_keys(pool: &Pool, ids: &[Uuid]) -> Result<Vec<(Uuid, Issued)>, sqlx::Error> {
    let streams: Vec<String> =
        ids.iter().map(|id| ApiKeyId::new(*id).stream().to_string()).collect();
    // One statement: an event is folded or parked in one transaction, and so it is seen.
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT asked.id, roles, hash, expires_at, revoked_at IS NOT NULL AS revoked,
            parked.stream IS NOT NULL AS parked
         FROM UNNEST($1::uuid[], $2::text[]) AS asked (id, stream)
            LEFT JOIN read.api_keys AS keys ON keys.id = asked.id
            LEFT JOIN read.parked_streams AS parked
                ON parked.projection = 'api_keys' AND parked.stream = asked.stream
         WHERE keys.id IS NOT NULL OR parked.stream IS NOT NULL",
    )
    .bind(ids)
    .bind(streams)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((row.id, row.issued()?))).collect()
}

impl Row {
    fn issued(self) -> Result<Issued, sqlx::Error> {
        let (false, Some(hash)) = (self.parked, self.hash) else { return Ok(Issued::Parked) };
        let undecodable = |error| sqlx::Error::Decode(Box::new(error));
        Ok(Issued::Known(KeyRecord {
            hash: hash.parse().map_err(undecodable)?,
            roles: roles(&self.roles.unwrap_or_default()),
            expires_at: self.expires_at.map(Into::into),
            revoked: self.revoked,
        }))
    }
}

/// A role that this release does not know gives no right in it.
fn roles(names: &[String]) -> BTreeSet<Role> {
    names.iter().filter_map(|name| Role::named(name)).collect()
}

#[cfg(test)]
mod tests;
