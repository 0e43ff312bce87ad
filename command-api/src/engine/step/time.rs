//! Time as a shard has it, and how long it waits for the log.

use std::time::Duration;

use domain::timestamp::Timestamp;
use infra::log::mistake::Mistake;

use super::{
    super::effect::{Effect, TakeOverReason},
    Machine, Mode,
};

/// After this long without a word from the log while records are under way, new commands are
/// refused at once instead of waiting for their deadline.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// After this long the writer, or the reading of what it needs, is given up for a fresh one. The
/// producer itself goes on for a minute, most of which it has been seen to spend in silence although
/// the brokers were back; a claim costs no more than a round trip and is safe at any time.
const SILENCE_MAX: Duration = Duration::from_secs(5);

impl Machine {
    /// Time never runs backwards in a shard, whatever the clock does. Where the clock was set back, it
    /// goes on at half its pace until the clock has caught up: what waits for a moment must not wait
    /// for as long as that takes.
    pub(super) fn advance(&mut self, clock: Timestamp) {
        let passed = clock.since(std::mem::replace(&mut self.clock, clock));
        if clock > self.now || self.mistakes.has(Mistake::TimeRunsBack) {
            self.now = clock;
        } else {
            self.now = self.now.plus(passed / 2);
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        match &self.mode {
            Mode::Serving(serving) => {
                serving.batch.has_in_flight() && self.now.since(self.heard_at) >= STALLED_AFTER
            }
            Mode::Idle | Mode::Claiming { .. } | Mode::Replaying { .. } => false,
        }
    }

    pub(super) fn watch(&mut self, effects: &mut Vec<Effect>) {
        let waits_for_log = match &self.mode {
            Mode::Claiming { .. } => true,
            // A replay also waits for the store.
            Mode::Replaying { .. } => !self.is_saturated(),
            Mode::Serving(serving) => serving.batch.has_in_flight(),
            Mode::Idle => false,
        };
        if !waits_for_log {
            self.heard_at = self.now;
        } else if self.now.since(self.heard_at) >= SILENCE_MAX {
            self.take_over(TakeOverReason::Watchdog, effects);
        }
    }
}
