//! How many connections a listener serves at once, and which only briefly.
//!
//! When all whole slots are taken there are a few brief ones: such a connection gets one answer, and
//! only about health. So whoever asks after that is answered, whatever holds the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) struct Slots {
    whole: Arc<Semaphore>,
    brief: Arc<Semaphore>,
}

/// What a connection holds while it is open.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// For one question after health, and no more.
    pub(super) is_brief: bool,
}

impl Slots {
    pub(super) fn new(whole: usize, brief: usize) -> Self {
        let of = |slots: usize| Arc::new(Semaphore::new(slots.min(Semaphore::MAX_PERMITS)));
        Self { whole: of(whole), brief: of(brief) }
    }

    /// For the next connection; none if the semaphores were closed, which they never are.
    pub(super) async fn next(&self) -> Option<Slot> {
        let (whole, brief) = (Arc::clone(&self.whole), Arc::clone(&self.brief));
        let (permit, is_brief) = tokio::select! {
            biased;
            permit = whole.acquire_owned() => (permit, false),
            permit = brief.acquire_owned() => (permit, true),
        };
        Some(Slot { _permit: permit.ok()?, is_brief })
    }

    /// A whole slot instead of a brief one, if there is one by now.
    pub(super) fn better(&self, slot: Slot) -> Slot {
        if !slot.is_brief {
            return slot;
        }
        let whole = Arc::clone(&self.whole).try_acquire_owned();
        whole.map_or(slot, |permit| Slot { _permit: permit, is_brief: false })
    }
}
