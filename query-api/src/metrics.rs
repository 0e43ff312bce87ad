//! What the query API tells operators: log lines and metrics.

use infra::telemetry::{
    Event,
    metric::{Counter, Gauge, Histogram, NO_LABELS},
};

static BATCH_KEYS: Histogram =
    Histogram::new("tradewind_query_batch_keys", "Keys that one statement looked up, by read");
static REPLAYS: Gauge = Gauge::new("tradewind_query_replays", "Replays that run");
static REPLAYED: Counter =
    Counter::new("tradewind_query_replayed_events_total", "Events that replays have shown");
static REPLAYS_REFUSED: Counter = Counter::new(
    "tradewind_query_replays_refused_total",
    "Replays refused because as many ran as may",
);

/// A replay began or ended.
pub(crate) struct ReplaysRun {
    pub(crate) running: usize,
}

impl Event for ReplaysRun {
    fn emit(self) {
        let running = u32::try_from(self.running).unwrap_or(u32::MAX);
        REPLAYS.set(NO_LABELS, f64::from(running));
    }
}

/// A replay has shown some more.
pub(crate) struct ReplayShowed {
    pub(crate) events: u64,
}

impl Event for ReplayShowed {
    fn emit(self) {
        REPLAYED.add(NO_LABELS, self.events);
    }
}

/// There was no place for a replay.
pub(crate) struct ReplayRefused;

impl Event for ReplayRefused {
    fn emit(self) {
        REPLAYS_REFUSED.add(NO_LABELS, 1);
    }
}

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
