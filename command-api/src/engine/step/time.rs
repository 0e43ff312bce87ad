//! Time as a shard has it: how long it waits for the log, and the deadlines of aggregates. When one comes,
//! the shard decides the command itself.

use std::{sync::Arc, time::Duration};

use domain::{
    addressed::Addressed,
    envelope::Revision,
    id::{CommandId, StreamId},
    timestamp::Timestamp,
};
use infra::log::{mistake::Mistake, record::RequestHash};
use uuid::Uuid;

use super::{
    super::{
        Submission,
        effect::{Effect, Role, TakeOverReason},
        store::Untold,
    },
    Machine, Mode, Waiting,
};

/// After this long without a word from the log while records are under way, new commands are
/// refused at once instead of waiting for their deadline.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// After this long the writer, or the reading of what it needs, is given up for a fresh one. The
/// producer itself goes on for a minute, most of which it has been seen to spend in silence although
/// the brokers were back; a claim costs no more than a round trip and is safe at any time.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Deadlines handled in one tick, so that a backlog of them does not hold up commands.
const EXPIRED_AT_ONCE_MAX: usize = 500;

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

    pub(super) fn expire(&mut self, effects: &mut Vec<Effect>) {
        let is_held_up = self.is_stalled() || self.is_saturated();
        if !self.is_serving() || self.role != Role::Owner || is_held_up {
            return;
        }
        if self.mistakes.has(Mistake::DeadlinesIgnored) {
            return;
        }
        for (deadline, stream) in self.streams.due(self.now, EXPIRED_AT_ONCE_MAX) {
            let revision = match self.streams.decide(&stream, |_, revision| revision) {
                Ok(revision) => revision,
                Err(Untold::Unreadable) => {
                    self.streams.forget_deadline(&(deadline, stream));
                    continue;
                }
                Err(Untold::StoreFailed) => continue,
            };
            let Some(submission) = self.expiry(deadline, stream, revision) else { continue };
            let command_id = submission.command_id;
            let is_new = self.dedup.get(command_id, self.now) == Ok(None);
            if !is_new || self.commands.contains_key(&command_id) {
                continue;
            }
            let waiting =
                Waiting { submission: Arc::new(submission), waiters: Vec::new(), decided_in: None };
            self.commands.insert(command_id, waiting);
            self.undecided.push_back(command_id);
        }
        self.decide_undecided(effects);
    }

    /// The id follows from the deadline and the state that has it, so that it fires once. The
    /// deadline alone will not do: the same instant comes again where a clock was set back.
    fn expiry(
        &self,
        deadline: Timestamp,
        stream: StreamId,
        revision: Revision,
    ) -> Option<Submission> {
        let name = format!("{stream} at {revision} expires at {deadline}");
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let expiry = Addressed::expiry(stream)?;
        let (id, hash) = (CommandId::new(id), RequestHash::of(&[name.as_bytes()]));
        Some(Submission::of_request(expiry, id, self.actor.clone(), hash))
    }
}
