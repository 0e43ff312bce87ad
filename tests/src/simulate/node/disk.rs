//! What a node's store keeps: all that was written, or after a crash the beginning of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use command_api::engine::{
    step::Machine,
    store::{
        Batch, Deadline, MemoryStore, Remembered, Size, StateStore, StoreError, StoredState,
        Upcoming, Written,
    },
};
use domain::{
    id::{CommandId, StreamId},
    shard::ShardId,
};
use infra::log::{Checkpoint, mistake::Mistakes};

/// Nothing is cached, so that what can be loaded is loaded.
const CACHE_BYTES: usize = 0;

#[derive(Default)]
pub(in super::super) struct Disk {
    store: Arc<Store>,
    /// In the order of writing.
    written: Vec<Arc<Batch>>,
}

impl Disk {
    /// A machine that goes on from here.
    pub(super) fn open(&mut self, mistakes: Mistakes) -> Machine {
        if self.store.is_broken.load(Ordering::Relaxed) {
            self.discard();
        }
        let mut machine = Machine::new(ShardId::new(0), self.store.clone(), CACHE_BYTES);
        machine.read_all_back();
        machine.with_mistakes(mistakes)
    }

    pub(super) fn write(&mut self, batch: &Arc<Batch>) -> Result<Written, StoreError> {
        self.written.push(Arc::clone(batch));
        self.store.write(batch)
    }

    pub(in super::super) fn batches(&self) -> usize {
        self.written.len()
    }

    /// Leaves the first `kept` batches, of which the last may just be being written.
    pub(super) fn crash(&mut self, saving: Option<Arc<Batch>>, kept: usize) {
        let is_broken = AtomicBool::new(self.store.is_broken.load(Ordering::Relaxed));
        let batches = std::mem::take(&mut self.written).into_iter().chain(saving);
        self.store = Arc::new(Store { inner: MemoryStore::default(), is_broken });
        for batch in batches.take(kept) {
            self.write(&batch).ok();
        }
    }

    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }

    pub(in super::super) fn breaks(&self) {
        self.store.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whoever has noticed that it was broken has thrown it away.
    pub(in super::super) fn mend(&self) {
        self.store.is_broken.store(false, Ordering::Relaxed);
    }
}

/// Cannot be read while it is broken.
#[derive(Default)]
struct Store {
    inner: MemoryStore,
    is_broken: AtomicBool,
}

impl Store {
    fn readable(&self) -> Result<&MemoryStore, StoreError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(StoreError::Corrupt("it is broken".into()));
        }
        Ok(&self.inner)
    }
}

impl StateStore for Store {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.readable()?.checkpoint()
    }

    fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError> {
        self.readable()?.state(stream)
    }

    fn outcome(&self, command_id: CommandId) -> Result<Option<Remembered>, StoreError> {
        self.readable()?.outcome(command_id)
    }

    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Upcoming, StoreError> {
        self.readable()?.deadlines(after, max)
    }

    fn write(&self, batch: &Batch) -> Result<Written, StoreError> {
        self.inner.write(batch)
    }

    fn size(&self) -> Size {
        self.inner.size()
    }
}
