//! Issued keys, as their read model has them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{api_key::Role, id::ApiKeyId};
use uuid::Uuid;

use super::{KeyRecord, role_from_name};
use crate::postgres::Pool;

/// What the read model says of a key.
#[derive(Clone, Debug)]
pub enum Issued {
    Known(KeyRecord),
    /// An event of the key did not apply and waits for an operator. It may be the key's issue, or its
    /// revocation: as long as it waits, nobody can say whether the key holds.
    Parked,
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
    names.iter().filter_map(|name| role_from_name(name)).collect()
}
