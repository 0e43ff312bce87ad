//! What waits and positions tell operators: log lines and metrics.

use std::time::Duration;

use tracing::{info, warn};

use crate::telemetry::{
    Event, chain,
    metric::{Gauge, Histogram, NO_LABELS},
};

static WAIT_SECONDS: Histogram = Histogram::new(
    "tradewind_query_freshness_wait_seconds",
    "Waits for a Tradewind-Position that was not applied yet, by how they ended (query API, projector)",
);
static CONNECTED: Gauge = Gauge::new(
    "tradewind_query_positions_current",
    "1 while the positions of the read models are known, 0 while PostgreSQL does not tell them (query API, projector)",
);

/// A request waited for its position.
pub(super) struct Waited {
    pub(super) reached: bool,
    pub(super) elapsed: Duration,
}

impl Event for Waited {
    fn emit(self) {
        let result = if self.reached { "reached" } else { "stale" };
        WAIT_SECONDS.record(&[("result", result)], self.elapsed.as_secs_f64());
    }
}

/// The positions are known (again).
pub(super) struct PositionsKnown;

impl Event for PositionsKnown {
    fn emit(self) {
        CONNECTED.set(NO_LABELS, 1.0);
        info!("the read models answer");
    }
}

/// The positions cannot be read; what is known of them stays true, but does not move.
pub(super) struct PositionsLost<'a> {
    pub(super) error: &'a (dyn std::error::Error + 'static),
}

impl Event for PositionsLost<'_> {
    fn emit(self) {
        CONNECTED.set(NO_LABELS, 0.0);
        warn!("the read models do not answer: {}", chain(self.error));
    }
}
