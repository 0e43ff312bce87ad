//! A store that lives as long as the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{
    id::{CommandId, StreamId},
    shard::ShardId,
};
use infra::log::Checkpoint;

use super::{
    super::Snapshot, Batch, Deadline, Known, OpenError, Remembered, Size, Source, StateStore,
    StoreError, StoredState, Unread, Upcoming, Written,
};

/// What a state counts for where nothing is encoded.
const STATE_BYTES: usize = 100;

#[derive(Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    checkpoint: Option<Checkpoint>,
    states: BTreeMap<StreamId, Result<Snapshot, Unread>>,
    outcomes: BTreeMap<CommandId, Arc<Known>>,
    deadlines: BTreeSet<Deadline>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Only a panic in the middle of a write could leave half of a batch, and nothing in there
        // panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.tables().checkpoint)
    }

    fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError> {
        let snapshot = self.tables().states.get(stream).cloned();
        Ok(snapshot.map(|snapshot| StoredState { snapshot, bytes: STATE_BYTES }))
    }

    fn outcome(&self, command_id: CommandId) -> Result<Option<Remembered>, StoreError> {
        let known = self.tables().outcomes.get(&command_id).map(|known| Known::clone(known));
        Ok(known.map(Remembered::Known))
    }

    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Upcoming, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.tables();
        let deadlines = tables.deadlines.range((from, Bound::Unbounded)).take(max);
        Ok(Upcoming { deadlines: deadlines.cloned().collect(), unreadable: Vec::new() })
    }

    fn write(&self, batch: &Batch) -> Result<Written, StoreError> {
        let mut tables = self.tables();
        for state in &batch.states {
            if let Some(at) = state.old_deadline {
                tables.deadlines.remove(&(at, state.stream.clone()));
            }
            tables.deadlines.extend(state.deadline.map(|at| (at, state.stream.clone())));
            tables.states.insert(state.stream.clone(), state.snapshot.clone());
        }
        tables.outcomes.extend(batch.outcomes.iter().cloned());
        tables.outcomes.retain(|_, known| known.recorded_at >= batch.forget_before);
        tables.checkpoint = Some(batch.checkpoint);
        let size = Size { bytes: 0, outcomes: tables.outcomes.len() };
        let state_bytes = vec![STATE_BYTES; batch.states.len()];
        Ok(Written { state_bytes, unreadable: Vec::new(), size })
    }

    fn size(&self) -> Size {
        Size { bytes: 0, outcomes: self.tables().outcomes.len() }
    }
}

/// Keeps a store per shard.
#[derive(Default)]
pub(super) struct MemorySource(Mutex<BTreeMap<ShardId, Arc<MemoryStore>>>);

impl Source for MemorySource {
    fn open(&self, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError> {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let store: Arc<MemoryStore> = Arc::clone(stores.entry(shard).or_default());
        Ok(store)
    }

    fn discard(&self, shard: ShardId) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard);
        Ok(())
    }
}
