//! What became of each command id: a repeated command gets the first one's answer.
//!
//! **Invariant:** only emitted outcomes are in here, so an answer from here holds whoever owns the
//! shard.

use std::{collections::VecDeque, time::Duration};

use domain::{id::CommandId, timestamp::Timestamp};
use infra::log::{Offset, record::RequestHash};
use rustc_hash::FxHashMap;

use super::Outcome;

/// How long an outcome is kept: the promise made for Idempotency-Key.
const KEPT: Duration = Duration::from_hours(24);

#[derive(Default)]
pub(super) struct Dedup {
    known: FxHashMap<CommandId, Known>,
    /// In the order of the log, which is that of time.
    by_age: VecDeque<(Timestamp, CommandId)>,
}

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) request_hash: RequestHash,
    pub(super) outcome: Outcome,
    pub(super) next_offset: Offset,
}

impl Dedup {
    pub(super) fn get(&self, command_id: CommandId) -> Option<&Known> {
        self.known.get(&command_id)
    }

    /// The first outcome of a command id stands; a later one never replaces it.
    pub(super) fn insert(&mut self, command_id: CommandId, known: Known, recorded_at: Timestamp) {
        if self.known.contains_key(&command_id) {
            return;
        }
        self.known.insert(command_id, known);
        self.by_age.push_back((recorded_at, command_id));
    }

    pub(super) fn forget_before(&mut self, now: Timestamp) {
        while let Some((recorded_at, command_id)) = self.by_age.front() {
            if now.since(*recorded_at) < KEPT {
                return;
            }
            self.known.remove(command_id);
            self.by_age.pop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn known(revision: u64) -> Known {
        let request_hash = RequestHash::of(&[b"request"]);
        Known { request_hash, outcome: Outcome::Unchanged { revision }, next_offset: 1 }
    }

    #[test]
    fn the_first_outcome_stands() {
        let (mut dedup, id) = (Dedup::default(), CommandId::new(Uuid::nil()));
        dedup.insert(id, known(1), Timestamp::from_micros(0));
        dedup.insert(id, known(2), Timestamp::from_micros(1));
        assert_eq!(dedup.get(id).unwrap().outcome, Outcome::Unchanged { revision: 1 });
        assert_eq!(dedup.len(), 1);
    }

    #[test]
    fn an_outcome_is_kept_for_a_day_and_no_longer() {
        let (mut dedup, id) = (Dedup::default(), CommandId::new(Uuid::nil()));
        let start = Timestamp::from_micros(0);
        dedup.insert(id, known(1), start);
        dedup.forget_before(start.plus(KEPT.saturating_sub(Duration::from_micros(1))));
        assert!(dedup.get(id).is_some());
        dedup.forget_before(start.plus(KEPT));
        assert!(dedup.get(id).is_none());
    }
}
