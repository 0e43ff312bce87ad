//! Settled letters only grow in number; those that nobody looks up any more go.

use std::time::Duration;

use infra::{postgres::Pool, telemetry::chain};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

const INTERVAL: Duration = Duration::from_secs(3600);
/// Letters that the server removes at once.
const FORGOTTEN_AT_ONCE: i64 = 1_000;

/// Removes what was settled so long ago, now and every hour; never returns.
pub(crate) async fn forget_old(pool: Pool, kept_days: i32) {
    let mut turns = interval(INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match forget_all(&pool, kept_days).await {
            Ok(0) => {}
            Ok(letters) => info!(letters, "removed dead letters that were settled long ago"),
            // The next turn finds the same ones.
            Err(error) => warn!("old dead letters are not removed: {}", chain(&error)),
        }
    }
}

async fn forget_all(pool: &Pool, kept_days: i32) -> Result<i64, sqlx::Error> {
    let mut forgotten = 0;
    loop {
        let more: i64 = sqlx::query_scalar("SELECT projection.forget_dead_letters($1)")
            .bind(kept_days)
            .fetch_one(pool)
            .await?;
        forgotten += more;
        if more < FORGOTTEN_AT_ONCE {
            return Ok(forgotten);
        }
    }
}
