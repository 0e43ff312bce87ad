//! What became of each command id: a repeated command gets the first one's answer.
//!
//! Only outcomes that the store does not have yet are kept in memory. Nearly every command is new,
//! which the store's filters tell without reading; so a cache would hold what nobody asks for.
//!
//! **Invariant:** only emitted outcomes are in here, so an answer from here holds whoever owns the
//! shard.

use std::{sync::Arc, time::Duration};

use domain::{id::CommandId, timestamp::Timestamp};
use rustc_hash::FxHashMap;

use super::store::{Known, Remembered, StateStore, StoreError, Unreadable, Untold};

/// How long an outcome is kept: the promise made for Idempotency-Key.
pub(crate) const KEPT: Duration = Duration::from_hours(24);

/// What an outcome about takes in memory.
const KNOWN_BYTES: usize = 400;

pub(super) struct Dedup {
    store: Arc<dyn StateStore>,
    unsaved: FxHashMap<CommandId, Arc<Known>>,
    /// New since the last batch was taken, in the order of the log.
    new: Vec<CommandId>,
    /// In a batch that is not written yet.
    taken: Vec<(CommandId, Arc<Known>)>,
    /// About how many the store has.
    stored: usize,
    failure: Option<StoreError>,
    /// What was found not to be decodable and is not told yet.
    unreadable: Vec<Unreadable>,
}

fn is_kept(recorded_at: Timestamp, now: Timestamp) -> bool {
    now.since(recorded_at) < KEPT
}

impl Dedup {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        Self {
            stored: store.size().outcomes,
            store,
            unsaved: FxHashMap::default(),
            new: Vec::new(),
            taken: Vec::new(),
            failure: None,
            unreadable: Vec::new(),
        }
    }

    /// What became of a command, if it is not new.
    ///
    /// # Errors
    /// Not even that is known; or there is an outcome, which cannot be decoded. To decide it again could
    /// contradict that.
    pub(super) fn get(
        &mut self,
        command_id: CommandId,
        now: Timestamp,
    ) -> Result<Option<Arc<Known>>, Untold> {
        let known = match self.unsaved.get(&command_id) {
            Some(known) => Some(Arc::clone(known)),
            None => match self.store.outcome(command_id) {
                Ok(Some(Remembered::Known(known))) => Some(Arc::new(known)),
                Ok(Some(Remembered::Unreadable { recorded_at: Some(at), .. }))
                    if !is_kept(at, now) =>
                {
                    None
                }
                Ok(Some(Remembered::Unreadable { detail, .. })) => {
                    self.unreadable.push(Unreadable::Outcome { command_id, detail });
                    return Err(Untold::Unreadable);
                }
                Ok(None) => None,
                Err(error) => {
                    self.failure.get_or_insert(error);
                    return Err(Untold::StoreFailed);
                }
            },
        };
        Ok(known.filter(|known| is_kept(known.recorded_at, now)))
    }

    /// The first outcome of a command id stands; a later one never replaces it while it is kept.
    ///
    /// The store need not be asked: whoever decided the command looked there first, so what it has
    /// of this id is too old to count.
    pub(super) fn insert(&mut self, command_id: CommandId, known: Known, now: Timestamp) {
        let at = known.recorded_at;
        let first = self.unsaved.get(&command_id);
        if first.is_some_and(|first| is_kept(first.recorded_at, at)) || !is_kept(at, now) {
            return;
        }
        self.unsaved.insert(command_id, Arc::new(known));
        self.new.push(command_id);
    }

    /// Bytes that must stay in memory until they are saved.
    pub(super) fn unsaved_bytes(&self) -> usize {
        self.unsaved.len() * KNOWN_BYTES
    }

    /// In memory and in the store.
    pub(super) fn len(&self) -> usize {
        self.unsaved.len() + self.stored
    }

    /// All that is new since the last call; [`Dedup::saved`] comes before the next.
    pub(super) fn take_new(&mut self) -> Vec<(CommandId, Arc<Known>)> {
        let entry = |id: CommandId| Some((id, Arc::clone(self.unsaved.get(&id)?)));
        self.taken = self.new.drain(..).filter_map(entry).collect();
        self.taken.clone()
    }

    /// What was taken is in the store, which has about so many now.
    pub(super) fn saved(&mut self, stored: usize) {
        self.stored = stored;
        for (command_id, taken) in self.taken.drain(..) {
            // After a day the same id may have come again.
            if self.unsaved.get(&command_id).is_some_and(|known| Arc::ptr_eq(known, &taken)) {
                self.unsaved.remove(&command_id);
            }
        }
    }

    /// Entries that turned out not to be decodable since the last call.
    pub(super) fn take_unreadable(&mut self) -> Vec<Unreadable> {
        std::mem::take(&mut self.unreadable)
    }

    pub(super) fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }
}

#[cfg(test)]
mod tests {
    use infra::log::{Checkpoint, RequestHash};
    use uuid::Uuid;

    use super::{
        super::{
            Outcome,
            store::{Batch, MemoryStore},
        },
        *,
    };

    const START: Timestamp = Timestamp::from_micros(0);

    fn known(revision: u64, recorded_at: Timestamp) -> Known {
        let request_hash = RequestHash::of(&[b"request"]);
        let outcome = Outcome::Unchanged { revision };
        Known { request_hash, outcome, next_offset: 1, recorded_at }
    }

    fn dedup() -> (Dedup, CommandId) {
        (Dedup::new(Arc::new(MemoryStore::default())), CommandId::new(Uuid::nil()))
    }

    fn save(dedup: &mut Dedup) {
        let (checkpoint, outcomes) = (Checkpoint::START, dedup.take_new());
        let batch = Batch { checkpoint, states: Vec::new(), outcomes, forget_before: START };
        let written = dedup.store.write(&batch).unwrap();
        dedup.saved(written.size.outcomes);
    }

    #[test]
    fn the_first_outcome_stands() {
        let (mut dedup, id) = dedup();
        dedup.insert(id, known(1, START), START);
        dedup.insert(id, known(2, Timestamp::from_micros(1)), START);
        let found = dedup.get(id, START).unwrap().unwrap();
        assert_eq!(found.outcome, Outcome::Unchanged { revision: 1 });
        assert_eq!(dedup.len(), 1);
    }

    #[test]
    fn an_outcome_is_kept_for_a_day_and_no_longer() {
        let (mut dedup, id) = dedup();
        dedup.insert(id, known(1, START), START);
        for _ in 0..2 {
            let last = START.plus(KEPT.saturating_sub(Duration::from_micros(1)));
            assert!(dedup.get(id, last).unwrap().is_some());
            assert_eq!(dedup.get(id, START.plus(KEPT)), Ok(None));
            save(&mut dedup);
        }
    }

    #[test]
    fn an_outcome_is_found_before_while_and_after_it_is_saved() {
        let (mut dedup, id) = dedup();
        let expected = Some(Arc::new(known(1, START)));
        dedup.insert(id, known(1, START), START);
        assert_eq!(dedup.get(id, START), Ok(expected.clone()));
        let taken = dedup.take_new();
        assert_eq!(dedup.get(id, START), Ok(expected.clone()));
        dedup.new = taken.into_iter().map(|(id, _)| id).collect();
        save(&mut dedup);
        assert_eq!((dedup.unsaved_bytes(), dedup.get(id, START)), (0, Ok(expected)));
    }

    #[test]
    fn what_the_log_tells_of_long_ago_is_not_kept() {
        let (mut dedup, id) = dedup();
        dedup.insert(id, known(1, START), START.plus(KEPT));
        assert_eq!(dedup.len(), 0);
    }
}
