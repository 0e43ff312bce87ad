//! Keeps the log's end beside the checkpoints of a shard, also while nothing is applied.

use std::{sync::Arc, time::Duration};

use domain::shard::ShardId;
use infra::telemetry::{chain, emit};
use tokio::time::{MissedTickBehavior, interval};

use super::{horizon::Horizon, shared::Shared};
use crate::{
    checkpoint::shard_column,
    metrics::{Measured, ReadFailed},
    versions::Served,
};

const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(shared: Arc<Shared>, shard: ShardId, horizon: Arc<Horizon>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match shared.log.range(shard).await {
            Ok(range) => {
                horizon.ends(range.end);
                shared.unreadable.clear(&shard);
            }
            Err(error) => {
                shared.unreadable.raise(shard, format!("shard {shard}: {}", chain(&error)));
                emit(ReadFailed { shard, error: &error });
            }
        }
        // An error is not told: whoever applies batches meets the same, and acts on it.
        if let Ok(rows) = write(&shared, shard, &horizon).await {
            for measured in rows {
                emit(measured);
            }
        }
    }
}

/// Leaves out the rows that a batch is moving right now: the batch tells the same and more.
async fn write(
    shared: &Shared,
    shard: ShardId,
    horizon: &Horizon,
) -> Result<Vec<Measured>, sqlx::Error> {
    let names: Vec<_> = shared.served.iter().map(Served::name).collect();
    let versions: Vec<_> = shared.served.iter().map(|served| served.version).collect();
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
    .bind(horizon.log_end(0))
    .fetch_all(&shared.pool)
    .await
}
