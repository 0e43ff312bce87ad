//! Holds what goes out to so much a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Units a second.
    pub(super) rate: u32,
    next: Instant,
}

impl Pace {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: rate.max(1), next: Instant::now() }
    }

    /// When more may go out.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// So many units went out.
    pub(super) fn took(&mut self, count: u64) {
        let due = Duration::from_secs_f64(count as f64 / f64::from(self.rate));
        // Time that went by without any is not made up for.
        self.next = self.next.max(Instant::now().checked_sub(due).unwrap_or(self.next)) + due;
    }
}

/// Bytes a second of all replays of a node together.
#[derive(Clone, Debug)]
pub(super) struct Bandwidth(Arc<Mutex<Pace>>);

impl Bandwidth {
    pub(super) fn new(bytes: u32) -> Self {
        Self(Arc::new(Mutex::new(Pace::new(bytes))))
    }

    pub(super) fn next(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    pub(super) fn took(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).took(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_went_out_is_waited_for_and_silence_is_no_credit() {
        let (began, mut pace) = (Instant::now(), Pace::new(10));
        pace.took(5);
        assert_eq!(pace.next() - began, Duration::from_millis(500));
        pace.took(5);
        assert_eq!(pace.next() - began, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.took(10);
        pace.took(10);
        assert_eq!(pace.next() - began, Duration::from_secs(61));
    }
}
