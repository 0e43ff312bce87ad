//! The only retry policy: bounded tries, growing waits with jitter.
//!
//! Retry what did not happen, or what may run twice; never what may have happened and must not
//! happen again.

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};

/// How often and how patiently to try again.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Tries in all, the first one included. `None`: until it works or its caller gives up.
    pub tries_max: Option<usize>,
    pub wait_min: Duration,
    pub wait_max: Duration,
}

impl Policy {
    /// A handful of tries within about a second: for calls that a client waits for.
    pub const QUICK: Self = Self {
        tries_max: Some(5),
        wait_min: Duration::from_millis(20),
        wait_max: Duration::from_millis(500),
    };

    /// Tries for ever, at most every 5 s: for work that must be done in the end.
    pub const PATIENT: Self = Self {
        tries_max: None,
        wait_min: Duration::from_millis(50),
        wait_max: Duration::from_secs(5),
    };

    /// The waits between tries, for a loop that is not one call (a reconnect, say).
    #[must_use]
    pub fn waits(self) -> Waits {
        Waits { policy: self, backoff: self.builder().build() }
    }

    fn builder(self) -> ExponentialBuilder {
        let builder = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.wait_min)
            .with_max_delay(self.wait_max);
        match self.tries_max {
            Some(tries) => builder.with_max_times(tries.saturating_sub(1)),
            None => builder.without_max_times(),
        }
    }
}

/// Growing waits; `reset` starts again after a success.
#[derive(Debug)]
pub struct Waits {
    policy: Policy,
    backoff: ExponentialBackoff,
}

impl Waits {
    /// How long to wait before the next try; `None` if the tries are used up.
    pub fn next_wait(&mut self) -> Option<Duration> {
        self.backoff.next()
    }

    /// Sleeps the next wait. False, at once, if the tries are used up.
    pub async fn wait(&mut self) -> bool {
        match self.next_wait() {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            None => false,
        }
    }

    pub fn reset(&mut self) {
        self.backoff = self.policy.builder().build();
    }
}

/// Runs `operation` until it succeeds, fails for good or has used up its tries.
///
/// # Errors
/// The last error.
pub async fn retry<T, E, F, O>(
    policy: Policy,
    may_retry: impl FnMut(&E) -> bool,
    operation: O,
) -> Result<T, E>
where
    O: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
{
    operation.retry(policy.builder()).sleep(tokio::time::sleep).when(may_retry).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn tries(policy: Policy, failures: usize, may_retry: bool) -> (bool, usize) {
        let count = AtomicUsize::new(0);
        let operation = || async {
            if count.fetch_add(1, Ordering::SeqCst) < failures { Err("not yet") } else { Ok(()) }
        };
        let result = retry(policy, |_| may_retry, operation).await;
        (result.is_ok(), count.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn tries_are_bounded() {
        assert_eq!(tries(Policy::QUICK, 4, true).await, (true, 5));
        assert_eq!(tries(Policy::QUICK, 9, true).await, (false, 5));
        assert_eq!(tries(Policy::PATIENT, 100, true).await, (true, 101));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_for_good_is_not_tried_again() {
        assert_eq!(tries(Policy::PATIENT, 1, false).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_end_with_the_tries() {
        let mut waits = Policy { tries_max: Some(2), ..Policy::QUICK }.waits();
        assert!(waits.wait().await);
        assert!(!waits.wait().await);
        waits.reset();
        assert!(waits.wait().await);
    }
}
