//! What the query API tells operators: log lines and metrics.

use infra::telemetry::{Event, metric::Histogram};

static BATCH_KEYS: Histogram =
    Histogram::new("tradewind_query_batch_keys", "Keys that one statement looked up, by read");

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
