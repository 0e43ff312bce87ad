//! Keeps a copy below a rate.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Events of a batch that nobody holds back.
const BATCH_EVENTS_MAX: usize = 20_000;

/// The share of one shard in the rate of a version.
pub(super) struct Throttle {
    per_second: Option<f64>,
    /// When what has passed may have passed.
    free_at: Instant,
}

impl Throttle {
    pub(super) fn new(rate_max: Option<i32>, shards: u32) -> Self {
        let per_second = rate_max.map(|rate| f64::from(rate) / f64::from(shards.max(1)));
        Self { per_second, free_at: Instant::now() }
    }

    /// Events of one batch: about a second's, so that the rate is even.
    pub(super) fn batch_max(&self) -> usize {
        let Some(per_second) = self.per_second else { return BATCH_EVENTS_MAX };
        // At most a few thousand millions a second, which any usize holds.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of events"
        )]
        let events = per_second.ceil() as usize;
        events.clamp(1, BATCH_EVENTS_MAX)
    }

    /// So many records have passed: waits until they may have.
    pub(super) async fn pass(&mut self, records: i64) {
        let Some(per_second) = self.per_second else { return };
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let earliest = self.free_at.max(Instant::now() - Duration::from_secs(1));
        self.free_at = earliest + Duration::from_secs_f64(f64::from(records) / per_second);
        sleep_until(self.free_at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shard_takes_its_share_of_the_rate() {
        let began = Instant::now();
        let mut throttle = Throttle::new(Some(400), 4);
        assert_eq!(throttle.batch_max(), 100);
        for _ in 0..10 {
            throttle.pass(100).await;
        }
        assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
        assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let began = Instant::now();
        Throttle::new(None, 4).pass(1_000_000).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
