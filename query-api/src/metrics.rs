//! What the query API tells operators: log lines and metrics.

use std::time::Duration;

use infra::telemetry::{
    Event, chain,
    metric::{Gauge, Histogram, NO_LABELS},
};
use tracing::{info, warn};

static BATCH_KEYS: Histogram =
    Histogram::new("tradewind_query_batch_keys", "Keys that one statement looked up, by read");
static WAIT_SECONDS: Histogram = Histogram::new(
    "tradewind_query_freshness_wait_seconds",
    "Waits for a Tradewind-Position that was not applied yet, by how they ended",
);
static CONNECTED: Gauge = Gauge::new(
    "tradewind_query_positions_current",
    "1 while the positions of the read models are known, 0 while PostgreSQL does not tell them",
);

/// A statement goes out for keys that were asked for meanwhile.
pub(crate) struct BatchRead {
    pub(crate) name: &'static str,
    pub(crate) keys: usize,
}

impl Event for BatchRead {
    fn emit(self) {
        // A batch has a few hundred keys at most.
        let keys = u32::try_from(self.keys).unwrap_or(u32::MAX);
        BATCH_KEYS.record(&[("read", self.name)], f64::from(keys));
    }
}

/// A request waited for its position.
pub(crate) struct Waited {
    pub(crate) reached: bool,
    pub(crate) elapsed: Duration,
}

impl Event for Waited {
    fn emit(self) {
        let result = if self.reached { "reached" } else { "stale" };
        WAIT_SECONDS.record(&[("result", result)], self.elapsed.as_secs_f64());
    }
}

/// The positions are known (again).
pub(crate) struct PositionsKnown;

impl Event for PositionsKnown {
    fn emit(self) {
        CONNECTED.set(NO_LABELS, 1.0);
        info!("the read models answer");
    }
}

/// The positions cannot be read; what is known of them stays true, but does not move.
pub(crate) struct PositionsLost<'a> {
    pub(crate) error: &'a (dyn std::error::Error + 'static),
}

impl Event for PositionsLost<'_> {
    fn emit(self) {
        CONNECTED.set(NO_LABELS, 0.0);
        warn!("the read models do not answer: {}", chain(self.error));
    }
}
