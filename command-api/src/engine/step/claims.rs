//! When the shard is claimed: at once by who has come to own it, and later by who was in doubt.

use std::time::Duration;

use domain::timestamp::Timestamp;
use infra::log::Nonce;

use super::super::effect::TakeOverReason;

/// Claims follow each other at intervals that grow from this, by as much jitter longer.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Who has served for less has not succeeded: a writer that always fails soon after its claim would
/// be replaced without a pause.
const SERVED_MIN: Duration = Duration::from_secs(1);

/// How long a deposed writer leaves the shard to the one that claimed it, although the shard should
/// be its own: the other one learns of that meanwhile.
const DEPOSED_WAIT: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Claims {
    due: Option<(Timestamp, TakeOverReason)>,
    /// Claims again since the shard was served for a while.
    again: u32,
    served_since: Option<Timestamp>,
    /// Of the last claim, so that two nodes do not depose each other in step.
    jitter_percent: u32,
}

impl Claims {
    pub(super) fn at_once(&mut self, now: Timestamp) {
        self.due = Some((now, TakeOverReason::Appointed));
    }

    pub(super) fn later(&mut self, reason: TakeOverReason, now: Timestamp) {
        let give_way = match reason {
            TakeOverReason::Deposed => DEPOSED_WAIT,
            _ => Duration::ZERO,
        };
        if self.served_since.take().is_some_and(|since| now.since(since) >= SERVED_MIN) {
            self.again = 0;
        }
        let wait = WAIT_MIN.saturating_mul(2_u32.saturating_pow(self.again)).min(WAIT_MAX);
        let jitter = wait * self.jitter_percent / 100;
        self.again = self.again.saturating_add(1);
        self.due = Some((now.plus(give_way + wait + jitter), reason));
    }

    pub(super) fn cancel(&mut self) {
        self.due = None;
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.map(|(at, _)| at)
    }

    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<TakeOverReason> {
        self.due.take_if(|(at, _)| *at <= now).map(|(_, reason)| reason)
    }

    pub(super) fn sent(&mut self, nonce: Nonce) {
        self.jitter_percent = u32::try_from(nonce.0 % 100).unwrap_or_default();
    }

    pub(super) fn served(&mut self, now: Timestamp) {
        self.served_since = Some(now);
    }
}
