//! The only clock. Decisions, leases and records take their time from here, so that a test owns it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use std::time::Duration;

use domain::timestamp::Timestamp;

/// Where `now` comes from. Cheap to clone; clones of a manual clock share one time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    Manual(ManualClock),
}

/// A clock that stands still until it is told to move.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl Clock {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else uses")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => chrono::Utc::now().into(),
            Self::Manual(clock) => clock.now(),
        }
    }
}

impl ManualClock {
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_micros())))
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        self.0.store(self.now().plus(by).as_micros(), Ordering::SeqCst);
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_share_its_time() {
        let manual = ManualClock::at(Timestamp::from_micros(5));
        let clock = Clock::from(manual.clone());
        manual.advance(Duration::from_micros(2));
        assert_eq!(clock.now(), Timestamp::from_micros(7));
    }
}
