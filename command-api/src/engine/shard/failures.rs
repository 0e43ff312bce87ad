//! How often a store has failed of late.

use std::time::Duration;

use infra::retry::{Policy, Waits};
use tokio::time::Instant;

/// A store that has worked for this long has recovered.
const RECOVERED_AFTER: Duration = Duration::from_mins(1);

/// The store's failures, one after the other.
pub(super) struct Failures {
    waits: Waits,
    last: Option<Instant>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { waits: Policy::PATIENT.waits(), last: None }
    }
}

impl Failures {
    /// How long to leave the store alone after one more.
    pub(super) fn pause(&mut self) -> Duration {
        let now = Instant::now();
        if self.last.replace(now).is_none_or(|last| now - last > RECOVERED_AFTER) {
            self.waits.reset();
        }
        self.waits.next_wait().unwrap_or_default()
    }
}
