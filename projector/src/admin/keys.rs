//! Issued API keys, from the read model that this very service keeps.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    id::ApiKeyId,
    shard::{ShardId, shard_of},
};
use infra::{
    auth::{Found, Inquiry, Issued, KeyDirectory, KeyRecord, Unavailable, issued_keys},
    log::{Nonce, Offset},
    position::Entry,
    postgres::Pool,
};
use tokio::{sync::Semaphore, time::Instant};

/// Requests that wait at once. More of them are told to come back.
const WAITERS_MAX: usize = 16;
/// How often it is looked whether the projection has come to where a client has seen.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Directory {
    pool: Pool,
    waiters: Semaphore,
}

/// How far the projection of the keys is in one shard.
#[derive(sqlx::FromRow)]
struct Stand {
    shard: i32,
    log_id: Option<String>,
    next_offset: Offset,
    /// Seconds since a moment before which all is applied.
    age: Option<f64>,
    shard_count: Option<i32>,
}

#[async_trait]
impl KeyDirectory for Directory {
    async fn find(&self, inquiry: &Inquiry<'_>) -> Result<Found, Unavailable> {
        // Before what is read, so that it never claims more than the row shows.
        let mut stand = self.stand(inquiry.id).await?;
        if !inquiry.is_seen_by(stand.1) {
            let _place = self.waiters.try_acquire().map_err(|_full| Unavailable::Stale)?;
            let deadline = inquiry.asked_at + inquiry.patience;
            while !inquiry.is_seen_by(stand.1) {
                if Instant::now() + LOOK_INTERVAL > deadline {
                    return Err(Unavailable::Stale);
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
                stand = self.stand(inquiry.id).await?;
            }
        }
        let (as_of, seen) = stand;
        Ok(Found { record: self.record(inquiry.id).await?, as_of, seen })
    }
}

impl Directory {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, waiters: Semaphore::new(WAITERS_MAX) }
    }

    /// How far the shard of the key is.
    async fn stand(&self, id: ApiKeyId) -> Result<(Instant, Option<Entry>), Unavailable> {
        let asked_at = Instant::now();
        let stands: Vec<Stand> = sqlx::query_as(
            "SELECT shard, log_id, next_offset, shard_count,
                extract(epoch FROM clock_timestamp() - level_at)::double precision AS age
             FROM read.positions WHERE projection = 'api_keys'",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|error| Unavailable::Away(error.into()))?;
        let count = stands.iter().find_map(|stand| u32::try_from(stand.shard_count?).ok());
        let shard = shard_of(&id.stream(), count.ok_or(Unavailable::Stale)?);
        let stand = stands.into_iter().find(|it| u32::try_from(it.shard) == Ok(shard.index()));
        let stand = stand.ok_or(Unavailable::Stale)?;
        let age = stand.age.and_then(|age| Duration::try_from_secs_f64(age).ok());
        let as_of = age.and_then(|age| asked_at.checked_sub(age)).ok_or(Unavailable::Stale)?;
        Ok((as_of, stand.entry(shard)))
    }

    async fn record(&self, id: ApiKeyId) -> Result<Option<KeyRecord>, Unavailable> {
        let issued = issued_keys(&self.pool, &[id.uuid()]).await;
        let issued = issued.map_err(|error| Unavailable::Away(error.into()))?;
        match issued.into_iter().next() {
            Some((_, Issued::Known(record))) => Ok(Some(record)),
            Some((_, Issued::Parked)) => Err(Unavailable::Stale),
            None => Ok(None),
        }
    }
}

impl Stand {
    /// `None` before the first event.
    fn entry(&self, shard: ShardId) -> Option<Entry> {
        let log_id: Nonce = self.log_id.as_deref()?.parse().ok()?;
        Some(Entry { shard, log_id, next_offset: self.next_offset })
    }
}
