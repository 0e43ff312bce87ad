//! How far a shard's log reaches, as far as its projections are concerned.
//!
//! Keeps the log's end beside the checkpoints of a shard, also while nothing is applied.
//!
//! The last few looks at it are kept with the moments before them: a projection that stands behind
//! one of them has applied all that was acknowledged before that moment. So readers know how fresh a
//! read model is, and whether anybody still looks, without an event.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::shard::ShardId;
use futures_util::{StreamExt, stream::FuturesUnordered};
use infra::{
    log::{Checkpoint, Offset},
    telemetry::{chain, emit},
};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{
    events::{Measured, ReadFailed},
    shared::Shared,
};
use crate::{rows::shard_column, store::checkpoints::lowest};

const INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the log's end that are kept; a projection that is behind the oldest is not level.
const LOOKS_MAX: usize = 8;

/// Where the log ended, and a moment before that was asked, by PostgreSQL's clock.
type Look = (Offset, DateTime<Utc>);

/// Shared by all who read a shard, and its meter.
///
/// The log may end in records that are no commit (a claim, a stale producer's leavings). A projection
/// that has taken the last commit has nothing more to do, so for it the log ends there.
#[derive(Debug, Default)]
pub(crate) struct LogEnd {
    /// The offset that whoever is the furthest reads next.
    read: AtomicI64,
    /// The offset after the last commit that it has read.
    committed: AtomicI64,
    /// The offset after the log's last record.
    end: AtomicI64,
}

impl LogEnd {
    /// Begins where whoever is the furthest does.
    #[must_use]
    pub(crate) fn at(offset: Offset) -> Self {
        let at = || AtomicI64::new(offset);
        Self { read: at(), committed: at(), end: at() }
    }

    /// Somebody has read so far.
    pub(crate) fn has_read(&self, read: Offset, committed: Offset) {
        self.committed.fetch_max(committed, Ordering::Relaxed);
        self.read.fetch_max(read, Ordering::Relaxed);
    }

    pub(crate) fn ends(&self, end: Offset) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// Where the log ends for a projection that stands at `next_offset`.
    #[must_use]
    pub(crate) fn as_seen_from(&self, next_offset: Offset) -> Offset {
        next_offset.max(self.last_commit(self.end.load(Ordering::Relaxed)))
    }

    /// Where a projection stands that has taken all commits before `end`, as far as that is known.
    #[must_use]
    pub(crate) fn last_commit(&self, end: Offset) -> Offset {
        let (read, committed) =
            (self.read.load(Ordering::Relaxed), self.committed.load(Ordering::Relaxed));
        if read >= end { committed.min(end) } else { end }
    }
}

pub(crate) async fn run(shared: Arc<Shared>, shard: ShardId, log_end: Arc<LogEnd>) {
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
        let now = now(&shared).await;
        match shared.log.range(shard).await {
            Ok(range) => {
                log_end.ends(range.end);
                shared.unreadable.clear(&shard);
                if let Ok(now) = now {
                    looks.push_back((range.end, now));
                    looks.drain(..looks.len().saturating_sub(LOOKS_MAX));
                    keep(&shared, shard, &log_end, &looks).await.ok();
                }
            }
            Err(error) => {
                shared.unreadable.raise(shard, format!("shard {shard}: {}", chain(&error)));
                emit(ReadFailed { shard, error: &error });
            }
        }
        // An error is not reported here: batches meet the same one and act on it.
        if let Ok(rows) = write(&shared, shard, &log_end).await {
            for measured in rows {
                emit(measured);
            }
        }
        // On the side: how far the log is known to be does not wait for the broker of a group.
        if telling.is_empty() {
            telling.push(tell(&shared, shard, told));
        }
    }
}

async fn now(shared: &Shared) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&shared.pool).await
}

/// Keeps the looks for readers; they read what is live, so others need not.
async fn keep(
    shared: &Shared,
    shard: ShardId,
    log_end: &LogEnd,
    looks: &VecDeque<Look>,
) -> Result<(), sqlx::Error> {
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
    .bind(shard_column(shard))
    .bind(i32::try_from(shared.log.shard_count()).unwrap_or(i32::MAX))
    .bind(ends)
    .bind(seen_at)
    .execute(&shared.pool)
    .await?;
    Ok(())
}

/// Tells Kafka's tools how far the slowest of the projections is; what they have been told by then.
async fn tell(shared: &Shared, shard: ShardId, told: Option<Checkpoint>) -> Option<Checkpoint> {
    let progress = shared.progress.as_ref()?;
    let (names, versions) = shared.names_and_versions();
    let lowest = lowest(&shared.pool, shard, &names, &versions).await;
    let Some(lowest) = lowest.ok().flatten().filter(|lowest| told != Some(*lowest)) else {
        return told;
    };
    match progress.store(shard, lowest).await {
        Ok(()) => Some(lowest),
        Err(error) => {
            warn!(shard.id = %shard, "cannot store the lag of shard {shard}: {}", chain(&error));
            told
        }
    }
}

/// Leaves out the rows that a batch is moving right now: the batch tells the same and more.
async fn write(
    shared: &Shared,
    shard: ShardId,
    log_end: &LogEnd,
) -> Result<Vec<Measured>, sqlx::Error> {
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
    .bind(shard_column(shard))
    .bind(names)
    .bind(versions)
    .bind(log_end.as_seen_from(0))
    .fetch_all(&shared.pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_at_the_end_is_no_lag() {
        let log_end = LogEnd::at(0);
        log_end.ends(11);
        assert_eq!(log_end.as_seen_from(10), 11, "nobody has read what is there");
        log_end.has_read(11, 10);
        assert_eq!(log_end.as_seen_from(10), 10);
        assert_eq!(log_end.as_seen_from(4), 10);
    }

    #[test]
    fn an_end_that_was_seen_before_stays_where_it_was() {
        let log_end = LogEnd::at(0);
        log_end.has_read(20, 18);
        assert_eq!((log_end.last_commit(11), log_end.last_commit(19)), (11, 18));
        assert_eq!(log_end.last_commit(21), 21, "nobody has read what is there");
    }
}
