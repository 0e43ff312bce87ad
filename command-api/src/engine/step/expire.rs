//! Deadlines of aggregates: when the time comes, the shard decides the command itself.

use std::sync::Arc;

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
        effect::{Effect, Role},
        store::Untold,
    },
    Machine, Waiting,
};

/// Deadlines handled in one tick, so that a backlog of them does not hold up commands.
const EXPIRED_AT_ONCE_MAX: usize = 500;

impl Machine {
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
                Waiting { submission: Arc::new(submission), waiters: Vec::new(), decided: false };
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
