//! A store in files: one fjall database per shard, so that damage to one stays there.
//!
//! Batches reach the operating system, not the disk: a crash of the machine may take the last of
//! them, which leaves an older store that is as good, for the log has the rest.
//!
//! **Invariant:** all of a batch goes through one journal entry with a checksum, so that recovery
//! finds whole batches, in order, and nothing behind a damaged one.

mod copy;
mod expiry;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use domain::{
    id::{CommandId, StreamId},
    shard::ShardId,
};
use infra::{
    folder::make_private,
    log::{BoxError, Checkpoint},
};

use super::{
    super::snapshots::Rows, Batch, Deadline, Head, OpenError, Remembered, Size, Source, StateStore,
    StoreCopy, StoreError, StoredState, Upcoming, Written, encoding, header::Header,
};
use expiry::Expiry;
use tables::Tables;

/// What must fit on a disk before writing to it is tried again.
const PROBE_BYTES: usize = 1 << 20;

/// The stores of one folder.
pub(super) struct DiskSource {
    path: PathBuf,
    shard_count: u32,
    block_bytes: usize,
}

impl DiskSource {
    pub(super) fn new(path: PathBuf, shard_count: u32, block_bytes: usize) -> Self {
        Self { path, shard_count, block_bytes }
    }

    fn folder(&self, shard: ShardId) -> PathBuf {
        self.path.join(format!("shard-{shard}"))
    }
}

impl Source for DiskSource {
    fn open(&self, shard: ShardId) -> Result<Arc<dyn StateStore>, OpenError> {
        let (header, folder) = (Header::of(shard, self.shard_count), self.folder(shard));
        // What is in it need not be narrower: nobody else comes that far.
        make_private(&self.path)
            .and_then(|()| make_private(&folder))
            .map_err(|error| OpenError::Unavailable(error.into()))?;
        let store = DiskStore::open(folder, self.block_bytes, header)?;
        Ok(Arc::new(store))
    }

    fn discard(&self, shard: ShardId) -> Result<(), StoreError> {
        Ok(remove(&self.folder(shard))?)
    }

    #[cfg(test)]
    fn spoil(&self, shard: ShardId, table: super::Table, key: &[u8], value: &[u8]) {
        let tables = Tables::open(&self.folder(shard), self.block_bytes, &Expiry::default());
        tables.unwrap().keyspace(table).insert(key, value).unwrap();
    }

    fn restore(&self, shard: ShardId, head: &Head, rows: &mut Rows) -> Result<(), BoxError> {
        let incoming = self.path.join(format!("shard-{shard}.incoming"));
        remove(&incoming)?;
        make_private(&incoming)?;
        let placed = fill(&incoming, self.block_bytes, head, rows).and_then(|()| {
            remove(&self.folder(shard))?;
            Ok(fs::rename(&incoming, self.folder(shard))?)
        });
        if placed.is_err() {
            // What cannot be removed is removed before the next one.
            remove(&incoming).ok();
        }
        placed
    }
}

/// A database with nothing but the copy in it, closed again. It is on the disk before it is put in
/// place: what a crash leaves there must be whole.
fn fill(folder: &Path, block_bytes: usize, head: &Head, rows: &mut Rows) -> Result<(), BoxError> {
    let tables = Tables::open(folder, block_bytes, &Expiry::default())?;
    tables.fill(rows)?;
    tables.seal(&encoding::header(&head.header)?, &encoding::checkpoint(&head.checkpoint)?)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

struct DiskStore {
    folder: PathBuf,
    block_bytes: usize,
    /// As this release writes it.
    header: Header,
    expiry: Expiry,
    /// None after a failure from which it could not be opened again yet.
    tables: RwLock<Option<Tables>>,
    /// A write has failed, after which the database takes no more until it is opened again.
    failed: AtomicBool,
    /// As the last write left it, or the opening found it.
    checkpoint: Mutex<Option<Checkpoint>>,
}

impl DiskStore {
    fn open(folder: PathBuf, block_bytes: usize, header: Header) -> Result<Self, OpenError> {
        let expiry = Expiry::default();
        let tables = Tables::open(&folder, block_bytes, &expiry)?;
        check(&tables, &header)?;
        let checkpoint = Mutex::new(tables.checkpoint()?);
        let (tables, failed) = (RwLock::new(Some(tables)), AtomicBool::new(false));
        Ok(Self { folder, block_bytes, header, expiry, tables, failed, checkpoint })
    }

    fn with<T>(&self, job: impl FnOnce(&Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let tables = tables.as_ref().ok_or_else(|| StoreError::Io("it is closed".into()))?;
        job(tables)
    }

    /// Closes and opens the database, once the disk takes data again. What was written must be there
    /// still: onto less, the next batch would make a store that lacks something.
    fn reopen(&self, next: &Checkpoint) -> Result<(), StoreError> {
        probe(&self.folder)?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        *tables = None;
        let opened = Tables::open(&self.folder, self.block_bytes, &self.expiry)?;
        let found = opened.checkpoint()?;
        // A write that failed may have come that far.
        if found.as_ref() != Some(next) && found != *self.written() {
            return Err(StoreError::Corrupt("what was written is not there any more".into()));
        }
        *tables = Some(opened);
        Ok(())
    }

    fn written(&self) -> MutexGuard<'_, Option<Checkpoint>> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for DiskStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.with(Tables::checkpoint)
    }

    fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError> {
        self.with(|tables| tables.state(stream))
    }

    fn outcome(&self, command_id: CommandId) -> Result<Option<Remembered>, StoreError> {
        self.with(|tables| tables.outcome(command_id))
    }

    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Upcoming, StoreError> {
        self.with(|tables| tables.deadlines(after, max))
    }

    fn write(&self, batch: &Batch) -> Result<Written, StoreError> {
        // Also set if the write below panics.
        if self.failed.swap(true, Ordering::AcqRel) {
            self.reopen(&batch.checkpoint)?;
        }
        self.expiry.forget_before(batch.forget_before);
        let written = self.with(|tables| tables.write(batch))?;
        *self.written() = Some(batch.checkpoint);
        self.failed.store(false, Ordering::Release);
        Ok(written)
    }

    fn size(&self) -> Size {
        self.with(|tables| Ok(tables.size())).unwrap_or_default()
    }

    fn outdated(&self) -> Result<BTreeSet<String>, StoreError> {
        self.with(|tables| {
            let found = tables.header()?;
            let mut outdated = tables.readable_after_all()?;
            outdated.extend(found.iter().flat_map(|found| found.outdated(&self.header)).cloned());
            Ok(outdated)
        })
    }

    fn distrust(&self, aggregates: &BTreeSet<String>) -> Result<(), StoreError> {
        self.with(|tables| {
            let header = tables.header()?.unwrap_or_else(|| self.header.clone());
            let header = encoding::header(&header.distrusting(aggregates));
            tables.put_header(&header.map_err(StoreError::Io)?)?;
            // What is removed next must not be gone before this is there.
            tables.persist()
        })
    }

    fn forget(&self, aggregate: &str) -> Result<(), StoreError> {
        self.with(|tables| tables.forget(aggregate))
    }

    fn renew(&self) -> Result<(), StoreError> {
        self.with(|tables| {
            let found = tables.header()?;
            let renewed = found.map_or_else(|| self.header.clone(), |it| it.renewed(&self.header));
            tables.put_header(&encoding::header(&renewed).map_err(StoreError::Io)?)
        })
    }

    /// Nothing waits for whoever reads the copy, be it a failed write that opens the database again:
    /// that one is told that the folder is in use, and tries again.
    fn copy(&self) -> Result<Option<Box<dyn StoreCopy>>, StoreError> {
        let copy = self.with(Tables::copy)?;
        Ok(copy.map(|copy| -> Box<dyn StoreCopy> { Box::new(copy) }))
    }
}

/// Whether what is there is of use; a new database gets its header.
fn check(tables: &Tables, expected: &Header) -> Result<(), OpenError> {
    let Some(found) = tables.header()? else {
        let header = encoding::header(expected).map_err(OpenError::Unavailable)?;
        return Ok(tables.put_header(&header)?);
    };
    found.misfit(expected).map_or(Ok(()), |why| Err(OpenError::Useless(why)))
}

fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let written = fs::write(&path, vec![0; PROBE_BYTES]);
    let removed = fs::remove_file(&path);
    written.and(removed)
}
