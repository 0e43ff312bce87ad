//! Whether a provider is worth asking now. Pure: time is an argument.
//!
//! **Invariant:** silence never opens it. A provider that lets some payments hang answers others,
//! and one buyer's hanging payment must not be the end of everybody's.

use std::time::Duration;

use tokio::time::Instant;

/// Calls that fail in a row before no more are made for a while.
pub(super) const FAILURES_MAX: u32 = 10;
/// How long no call is made then; afterwards one at a time tries.
pub(super) const OPEN_FOR: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    state: State,
}

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One call tries; if it has no outcome by then, the next one does.
    Trying {
        until: Instant,
    },
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A yes or a no.
    Answer,
    /// The provider could not be reached, or failed.
    Failure,
    /// Nothing, in time.
    Silence,
}

impl Breaker {
    /// Whether a call may be made; then its outcome is told within `call_wait_max`, or never.
    pub(super) fn admit(&mut self, now: Instant, call_wait_max: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } | State::Trying { until } if now < until => false,
            State::Open { .. } | State::Trying { .. } => {
                self.state = State::Trying { until: now + call_wait_max };
                true
            }
        }
    }

    pub(super) fn record(&mut self, outcome: Outcome, now: Instant) {
        let is_trying = matches!(self.state, State::Trying { .. });
        match outcome {
            Outcome::Answer => *self = Self::default(),
            Outcome::Failure => {
                self.failures = self.failures.saturating_add(1);
                if is_trying || self.failures >= FAILURES_MAX {
                    self.state = State::Open { until: now + OPEN_FOR };
                }
            }
            Outcome::Silence if is_trying => self.state = State::Open { until: now + OPEN_FOR },
            Outcome::Silence => {}
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Duration = Duration::from_secs(5);

    /// A breaker after these outcomes, one after the other at the same time.
    fn after(outcomes: impl IntoIterator<Item = Outcome>, now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for outcome in outcomes {
            breaker.record(outcome, now);
        }
        breaker
    }

    fn failures(count: u32) -> impl Iterator<Item = Outcome> {
        (0..count).map(|_| Outcome::Failure)
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let now = Instant::now();
        assert!(after(failures(FAILURES_MAX - 1), now).admit(now, CALL));
        assert!(!after(failures(FAILURES_MAX), now).admit(now, CALL));
        let answered = failures(FAILURES_MAX - 1).chain([Outcome::Answer]);
        assert!(after(answered.chain(failures(FAILURES_MAX - 1)), now).admit(now, CALL));
    }

    #[test]
    fn silence_does_not_open_it() {
        let now = Instant::now();
        let silence = std::iter::repeat_n(Outcome::Silence, 10_000);
        assert!(after(silence, now).admit(now, CALL));
    }

    #[test]
    fn after_a_while_one_call_tries() {
        let now = Instant::now();
        let mut breaker = after(failures(FAILURES_MAX), now);
        let later = now + OPEN_FOR;
        assert!(breaker.admit(later, CALL));
        assert!(!breaker.admit(later, CALL), "one at a time");
        breaker.record(Outcome::Answer, later);
        assert!(breaker.admit(later, CALL) && breaker.admit(later, CALL));
    }

    #[test]
    fn a_try_in_vain_opens_it_again() {
        for outcome in [Outcome::Failure, Outcome::Silence] {
            let now = Instant::now();
            let mut breaker = after(failures(FAILURES_MAX), now);
            let later = now + OPEN_FOR;
            assert!(breaker.admit(later, CALL));
            breaker.record(outcome, later);
            assert!(!breaker.admit(later + OPEN_FOR / 2, CALL));
            assert!(breaker.admit(later + OPEN_FOR, CALL));
        }
    }

    #[test]
    fn a_try_that_is_never_heard_of_is_followed_by_another_one() {
        let now = Instant::now();
        let mut breaker = after(failures(FAILURES_MAX), now);
        assert!(breaker.admit(now + OPEN_FOR, CALL));
        assert!(!breaker.admit(now + OPEN_FOR + CALL / 2, CALL));
        assert!(breaker.admit(now + OPEN_FOR + CALL, CALL));
    }
}
