//! What the store is to be told, and when the machine must wait for it.

use infra::log::mistake::Mistake;

use super::{
    super::{
        dedup::KEPT,
        store::{Batch, StoreError, Unreadable, Written},
        streams::Lookups,
    },
    Machine,
};

/// What may wait to be saved, in bytes, however small the cache.
const UNSAVED_BYTES_MIN: usize = 16 << 20;

/// Beyond it too much would have to be read again after a crash, and written in one go.
const UNSAVED_BYTES_MAX: usize = 256 << 20;

/// What may wait to be saved. Beyond it new commands are told [`Busy`](super::SubmitError::Busy),
/// and a replay pauses.
///
/// A state that has changed is held in the place of one that could be loaded again, so it is most of
/// what the cache may take: the longer it waits, the more changes share one write.
pub(super) fn unsaved_bytes_max(cache_bytes: usize) -> usize {
    (cache_bytes / 4 * 3).clamp(UNSAVED_BYTES_MIN, UNSAVED_BYTES_MAX)
}

impl Machine {
    /// All that emitted commits have changed since the last call, if there were any. The next call
    /// comes after [`Machine::saved`].
    pub fn take_unsaved(&mut self) -> Option<Batch> {
        let checkpoint = self.reader.checkpoint();
        if checkpoint == self.saved_up_to {
            return None;
        }
        self.saved_up_to = checkpoint;
        let batch = Batch {
            checkpoint,
            states: self.streams.take_changed(),
            outcomes: self.dedup.take_new(),
            forget_before: self.now.minus(KEPT),
        };
        #[cfg(feature = "simulation")]
        let batch = self.save_by_mistake(batch);
        Some(batch)
    }

    /// The batch that was taken is in the store.
    pub fn saved(&mut self, written: &Written) {
        self.streams.saved(&written.state_bytes);
        self.dedup.saved(written.size.outcomes);
    }

    /// Too much waits to be saved.
    pub fn is_saturated(&self) -> bool {
        self.unsaved_bytes() >= self.unsaved_bytes_max
    }

    /// So much waits that it should not wait any longer.
    pub(in super::super) fn should_save(&self) -> bool {
        self.unsaved_bytes() >= self.unsaved_bytes_max / 3 * 2
    }

    pub(in super::super) fn unsaved_bytes(&self) -> usize {
        self.streams.unsaved_bytes() + self.dedup.unsaved_bytes()
    }

    pub(in super::super) fn take_lookups(&mut self) -> Lookups {
        self.streams.take_lookups()
    }

    /// Entries of the store that turned out not to be decodable since the last call. Whoever asked for
    /// one was refused.
    pub(in super::super) fn take_unreadable(&mut self) -> Vec<Unreadable> {
        let mut unreadable = self.streams.take_unreadable();
        unreadable.extend(self.dedup.take_unreadable());
        unreadable
    }

    /// The store that this machine was made of must not be used any more.
    pub(in super::super) fn store_failed(&mut self, error: StoreError) {
        self.failure.get_or_insert(error);
    }

    /// Why this machine must not be used any more: its store could not be read, and what it did
    /// not find there it does not know.
    pub fn take_store_failure(&mut self) -> Option<StoreError> {
        let failure = self.failure.take().or_else(|| self.streams.take_failure());
        let failure = failure.or_else(|| self.dedup.take_failure());
        failure.filter(|_| !self.mistakes.has(Mistake::StoreFailureIgnored))
    }
}
