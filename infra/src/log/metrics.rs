//! What the log tells operators.

use crate::telemetry::{Event, metric::Counter};

use super::Ignored;

static RECORDS_IGNORED: Counter = Counter::new(
    "tradewind_log_records_ignored_total",
    "Records that a reader passed over, by reason",
);

/// The records of a batch that did not count.
#[derive(Debug, Default)]
pub struct IgnoredRecords(Vec<(Ignored, u64)>);

impl IgnoredRecords {
    pub fn count(&mut self, reason: Ignored) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.0.push((reason, 1)),
        }
    }
}

impl Event for IgnoredRecords {
    fn emit(self) {
        for (reason, count) in self.0 {
            RECORDS_IGNORED.add(&[("reason", reason.as_str())], count);
            // Stale records are what a fail-over leaves behind; nobody needs to act.
            tracing::debug!(count, reason = reason.as_str(), "passed over records of the log");
        }
    }
}
