//! Stores that fail when they are told to.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::id::{CommandId, StreamId};
use infra::log::Checkpoint;

use super::{memory::MemorySource, *};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// The system refuses.
    Io,
    /// What lies there is not what was written.
    Corrupt,
}

type Planted = Arc<Mutex<Option<Fault>>>;

/// What the stores refuse; clones share it.
#[derive(Clone, Default)]
pub(in super::super) struct Faults {
    opens: Planted,
    reads: Planted,
    writes: Planted,
    discarded: Arc<AtomicUsize>,
}

impl Faults {
    pub(in super::super) fn fail_opens(&self, fault: Option<Fault>) {
        plant(&self.opens, fault);
    }

    pub(in super::super) fn fail_reads(&self, fault: Option<Fault>) {
        plant(&self.reads, fault);
    }

    pub(in super::super) fn fail_writes(&self, fault: Option<Fault>) {
        plant(&self.writes, fault);
    }

    /// How often a store was thrown away.
    pub(in super::super) fn discarded(&self) -> usize {
        self.discarded.load(Ordering::SeqCst)
    }

    fn check(planted: &Planted) -> Result<(), StoreError> {
        match *planted.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(Fault::Io) => Err(StoreError::Io("a planted fault".into())),
            Some(Fault::Corrupt) => Err(StoreError::Corrupt("a planted fault".into())),
        }
    }
}

fn plant(planted: &Planted, fault: Option<Fault>) {
    *planted.lock().unwrap_or_else(PoisonError::into_inner) = fault;
}

impl Stores {
    pub(in super::super) fn faulty(faults: &Faults, cache_bytes: usize) -> Self {
        let (inner, faults) = (MemorySource::default(), faults.clone());
        let source = Arc::new(FaultySource { inner, faults });
        Self { source, shard_count: 0, cache_bytes, repository: None }
    }

    /// Puts something into a closed store that is no state.
    pub(in super::super) fn spoil_state(&self, shard: ShardId, stream: &StreamId) {
        self.source.spoil(shard, Table::States, stream.as_str().as_bytes(), &[0; 9]);
    }

    pub(in super::super) fn outdate(&self, shard: ShardId, aggregate: &str) {
        let store = self.source.open(shard).expect("a store that opens");
        store.distrust(&BTreeSet::from([aggregate.to_owned()])).expect("it takes that");
    }

    /// Puts something into a closed store of which only the time can be told.
    pub(in super::super) fn spoil_outcome(&self, shard: ShardId, command_id: CommandId) {
        let key = encoding::command_id(command_id);
        let recorded_at = infra::clock::Clock::System.now().as_micros().to_be_bytes();
        self.source.spoil(shard, Table::Outcomes, &key, &recorded_at);
    }
}

struct FaultySource {
    inner: MemorySource,
    faults: Faults,
}

impl Source for FaultySource {
    fn open(&self, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError> {
        Faults::check(&self.faults.opens)?;
        let inner = self.inner.open(shard)?;
        Ok(Arc::new(FaultyStore { inner, faults: self.faults.clone() }))
    }

    /// A fresh store has no faults, as a fresh file has none.
    fn discard(&self, shard: ShardId) -> Result<(), StoreError> {
        self.faults.fail_reads(None);
        self.faults.fail_writes(None);
        self.faults.discarded.fetch_add(1, Ordering::SeqCst);
        self.inner.discard(shard)
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

    fn outcome(&self, command_id: CommandId) -> Result<Option<Remembered>, StoreError> {
        Faults::check(&self.faults.reads)?;
        self.inner.outcome(command_id)
    }

    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Upcoming, StoreError> {
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
