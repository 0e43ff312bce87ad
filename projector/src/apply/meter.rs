//! Keeps the log's end beside the checkpoints of a shard, also while nothing is applied.
//!
//! The last few looks at it are kept with the moments before them: a projection that stands behind
//! one of them has applied all that was acknowledged before that moment. So readers know how fresh a
//! read model is, and whether anybody still looks, without an event.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    log::{Checkpoint, Offset},
    telemetry::{chain, emit},
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{
    events::{Measured, ReadFailed},
    shared::{Shared, Site},
};
use crate::{rows::shard_column, store::checkpoints::lowest};

const INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the log's end that are kept; a projection that is behind the oldest is not level.
const LOOKS_MAX: usize = 8;

/// Where the log ended, and a moment before that was asked, by PostgreSQL's clock.
type Look = (Offset, DateTime<Utc>);

pub(crate) async fn run(site: Site) {
    let Site { shared, shard, log_end, .. } = &site;
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    let mut looks = VecDeque::new();
    // One at most.
    let mut telling = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(stored) = telling.next() => {
                told = stored;
                continue;
            }
        }
        // Read first: whatever is slow afterwards only makes the look older than it is.
        let now = now(shared).await;
        match shared.log.range(*shard).await {
            Ok(range) => {
                log_end.ends(range.end);
                shared.unreadable.clear(shard);
                if let Ok(now) = now {
                    looks.push_back((range.end, now));
                    looks.drain(..looks.len().saturating_sub(LOOKS_MAX));
                    keep(&site, &looks).await.ok();
                }
            }
            Err(error) => {
                shared.unreadable.raise(*shard, format!("shard {shard}: {}", chain(&error)));
                emit(ReadFailed { shard: *shard, error: &error });
            }
        }
        // An error is not reported here: batches meet the same one and act on it.
        if let Ok(rows) = write(&site).await {
            for measured in rows {
                emit(measured);
            }
        }
        // On the side: how far the log is known to be does not wait for the broker of a group.
        if telling.is_empty() {
            telling.push(tell(&site, told));
        }
    }
}

async fn now(shared: &Shared) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&shared.batches).await
}

/// Keeps the looks for readers; they read what is live, so others need not.
async fn keep(site: &Site, looks: &VecDeque<Look>) -> Result<(), sqlx::Error> {
    let Site { shared, shard, log_end, .. } = site;
    if !shared.is_read() {
        return Ok(());
    }
    let ends: Vec<Offset> = looks.iter().map(|(end, _)| log_end.last_commit(*end)).collect();
    let seen_at: Vec<_> = looks.iter().map(|(_, at)| *at).collect();
    sqlx::query(
        "INSERT INTO projection.log_ends AS kept (shard, shards, ends, seen_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (shard) DO UPDATE SET
            shards = excluded.shards, ends = excluded.ends, seen_at = excluded.seen_at",
    )
    .bind(shard_column(*shard))
    .bind(i32::try_from(shared.log.shard_count()).unwrap_or(i32::MAX))
    .bind(ends)
    .bind(seen_at)
    .execute(&shared.batches)
    .await?;
    Ok(())
}

/// Tells Kafka's tools how far the slowest of the projections is; what they have been told by then.
async fn tell(site: &Site, told: Option<Checkpoint>) -> Option<Checkpoint> {
    let Site { shared, shard, .. } = site;
    let progress = shared.progress.as_ref()?;
    let (names, versions) = shared.names_and_versions();
    let lowest = lowest(&shared.batches, *shard, &names, &versions).await;
    let Some(lowest) = lowest.ok().flatten().filter(|lowest| told != Some(*lowest)) else {
        return told;
    };
    match progress.store(*shard, lowest).await {
        Ok(()) => Some(lowest),
        Err(error) => {
            warn!(shard.id = %shard, "cannot store the lag of shard {shard}: {}", chain(&error));
            told
        }
    }
}

/// Leaves out the rows that a batch is moving right now: the batch tells the same and more.
async fn write(site: &Site) -> Result<Vec<Measured>, sqlx::Error> {
    let Site { shared, shard, log_end, .. } = site;
    let (names, versions) = shared.names_and_versions();
    sqlx::query_as(
        "UPDATE projection.checkpoints AS kept
         SET log_end = GREATEST(kept.next_offset, $4), seen_at = now(),
             rate = coalesce(GREATEST(kept.next_offset - kept.metered_offset, 0)
                 / nullif(extract(epoch FROM now() - kept.metered_at)::double precision, 0), 0),
             metered_offset = kept.next_offset, metered_at = now()
         FROM (
            SELECT projection, version, shard FROM projection.checkpoints
            WHERE shard = $1
                AND (projection, version) IN (SELECT * FROM UNNEST($2::text[], $3::int[]))
            FOR UPDATE SKIP LOCKED
         ) AS free
         WHERE (kept.projection, kept.version, kept.shard)
             = (free.projection, free.version, free.shard)
         RETURNING kept.projection, kept.version, kept.shard, kept.rate,
             kept.log_end - kept.next_offset AS lag_records,
             CASE WHEN kept.next_offset >= kept.log_end THEN 0::double precision
                  ELSE extract(epoch FROM now() - coalesce(kept.last_event_at, kept.applied_at))
                      ::double precision END AS lag_seconds",
    )
    .bind(shard_column(*shard))
    .bind(names)
    .bind(versions)
    .bind(log_end.as_seen_from(0))
    .fetch_all(&shared.batches)
    .await
}
