//! Stores that fail when they are told to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{memory::MemorySource, *};

/// What the stores refuse; clones share it.
#[derive(Clone, Default)]
pub(in super::super) struct Faults {
    reads: Arc<AtomicBool>,
    writes: Arc<AtomicBool>,
}

impl Faults {
    pub(in super::super) fn fail_reads(&self, fail: bool) {
        self.reads.store(fail, Ordering::SeqCst);
    }

    pub(in super::super) fn fail_writes(&self, fail: bool) {
        self.writes.store(fail, Ordering::SeqCst);
    }

    fn check(fails: &AtomicBool) -> Result<(), StoreError> {
        if fails.load(Ordering::SeqCst) {
            Err(StoreError("a planted fault".into()))
        } else {
            Ok(())
        }
    }
}

impl Stores {
    pub(in super::super) fn faulty(faults: &Faults, cache_bytes: usize) -> Self {
        let (inner, faults) = (MemorySource::default(), faults.clone());
        Self { source: Arc::new(FaultySource { inner, faults }), cache_bytes, depot: None }
    }
}

struct FaultySource {
    inner: MemorySource,
    faults: Faults,
}

impl Source for FaultySource {
    fn open(&self, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError> {
        let inner = self.inner.open(shard)?;
        Ok(Arc::new(FaultyStore { inner, faults: self.faults.clone() }))
    }

    /// A fresh store has no faults, as a fresh file has none.
    fn discard(&self, shard: ShardId) -> Result<(), StoreError> {
        self.faults.fail_reads(false);
        self.inner.discard(shard)
    }

    fn header(&self, shard: ShardId) -> Header {
        self.inner.header(shard)
    }

    fn restore(&self, shard: ShardId, head: &Head, rows: &mut Rows) -> Result<(), BoxError> {
        self.inner.restore(shard, head, rows)
    }
}

struct FaultyStore {
    inner: Arc<dyn StateStore>,
    faults: Faults,
}

impl StateStore for FaultyStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Faults::check(&self.faults.reads)?;
        self.inner.checkpoint()
    }

    fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError> {
        Faults::check(&self.faults.reads)?;
        self.inner.state(stream)
    }

    fn outcome(&self, command_id: CommandId) -> Result<Option<Known>, StoreError> {
        Faults::check(&self.faults.reads)?;
        self.inner.outcome(command_id)
    }

    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Vec<Deadline>, StoreError> {
        Faults::check(&self.faults.reads)?;
        self.inner.deadlines(after, max)
    }

    fn write(&self, batch: &Batch) -> Result<Written, StoreError> {
        Faults::check(&self.faults.writes)?;
        self.inner.write(batch)
    }

    fn size(&self) -> Size {
        self.inner.size()
    }
}
