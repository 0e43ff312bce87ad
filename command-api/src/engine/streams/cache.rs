//! Aggregates that the store has, decoded and at hand, within a limit of bytes.

use domain::id::StreamId;
use quick_cache::{
    Weighter,
    unsync::{self, DefaultLifecycle},
};
use rustc_hash::FxBuildHasher;

use super::super::store::StoredState;

/// What an aggregate takes in memory beside what grows with it: its id, the fixed part of its
/// state, its places in tables, and what the allocator loses between them. An estimate, on the safe
/// side; `cargo stack bench memory` shows the whole.
pub(super) const STATE_BYTES: usize = 700;

/// How much larger what grows is in memory than in the store.
const GROWTH: usize = 2;

/// Places that are made in the tables before any is needed.
const PLACES: usize = 1_024;

pub(super) struct Cache {
    states: unsync::Cache<StreamId, StoredState, Weight, FxBuildHasher>,
    lookups: Lookups,
}

/// How often the cache was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Lookups {
    pub(in super::super) hits: u64,
    pub(in super::super) misses: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<StreamId, StoredState> for Weight {
    fn weight(&self, _: &StreamId, state: &StoredState) -> u64 {
        let bytes = GROWTH.saturating_mul(state.bytes).saturating_add(STATE_BYTES);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        let (weight_max, lifecycle) = (weight_max(bytes_max), DefaultLifecycle::default());
        let states = unsync::Cache::with(PLACES, weight_max, Weight, FxBuildHasher, lifecycle);
        Self { states, lookups: Lookups::default() }
    }

    /// Changes how much may be held; what is over it leaves.
    pub(super) fn limit(&mut self, bytes_max: usize) {
        self.states.set_capacity(weight_max(bytes_max));
    }

    pub(super) fn get(&mut self, id: &StreamId) -> Option<StoredState> {
        let found = self.states.get(id).cloned();
        self.count(found.is_some());
        found
    }

    pub(super) fn remove(&mut self, id: &StreamId) -> Option<StoredState> {
        let found = self.states.remove(id).map(|(_, state)| state);
        self.count(found.is_some());
        found
    }

    /// May let go of others, or of this one.
    pub(super) fn insert(&mut self, id: StreamId, state: StoredState) {
        self.states.insert(id, state);
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Since the last call.
    pub(super) fn take_lookups(&mut self) -> Lookups {
        std::mem::take(&mut self.lookups)
    }

    fn count(&mut self, hit: bool) {
        let Lookups { hits, misses } = &mut self.lookups;
        *(if hit { hits } else { misses }) += 1;
    }
}

/// Far from where sums of weights would overflow.
fn weight_max(bytes_max: usize) -> u64 {
    u64::try_from(bytes_max).unwrap_or(u64::MAX).min(u64::MAX >> 16)
}
