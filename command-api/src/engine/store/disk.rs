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
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use domain::{
    FOLD_VERSION,
    id::{CommandId, StreamId},
    shard::ShardId,
};
use infra::log::{BoxError, Checkpoint};

use super::{
    super::snapshots::Rows,
    Batch, Deadline, Head, Known, OpenError, Size, Source, StateStore, StoreCopy, StoreError,
    StoredState, Written,
    encoding::{self, Header},
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
        let header = self.header(shard);
        let folder = self.folder(shard);
        fs::create_dir_all(&folder).map_err(|error| OpenError::Unavailable(error.into()))?;
        let store = DiskStore::open(folder, self.block_bytes, &header)?;
        Ok(Arc::new(store))
    }

    fn discard(&self, shard: ShardId) -> Result<(), StoreError> {
        remove(&self.folder(shard)).map_err(|error| StoreError(error.into()))
    }

    fn header(&self, shard: ShardId) -> Header {
        Header::of(FOLD_VERSION, shard, self.shard_count)
    }

    fn restore(&self, shard: ShardId, head: &Head, rows: &mut Rows) -> Result<(), BoxError> {
        let incoming = self.path.join(format!("shard-{shard}.incoming"));
        remove(&incoming)?;
        fs::create_dir_all(&incoming)?;
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
    expiry: Expiry,
    /// None after a failure from which it could not be opened again.
    tables: RwLock<Option<Tables>>,
    /// A write has failed, after which the database takes no more until it is opened again.
    failed: AtomicBool,
}

impl DiskStore {
    fn open(folder: PathBuf, block_bytes: usize, header: &Header) -> Result<Self, OpenError> {
        let expiry = Expiry::default();
        let tables = Tables::open(&folder, block_bytes, &expiry).map_err(open_error)?;
        check(&tables, header)?;
        let (tables, failed) = (RwLock::new(Some(tables)), AtomicBool::new(false));
        Ok(Self { folder, block_bytes, expiry, tables, failed })
    }

    fn with<T>(&self, job: impl FnOnce(&Tables) -> Result<T, BoxError>) -> Result<T, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let tables = tables.as_ref().ok_or_else(|| StoreError("it is closed".into()))?;
        job(tables).map_err(StoreError)
    }

    /// Closes and opens the database, once the disk takes data again.
    fn reopen(&self) -> Result<(), BoxError> {
        probe(&self.folder)?;
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        *tables = None;
        *tables = Some(Tables::open(&self.folder, self.block_bytes, &self.expiry)?);
        Ok(())
    }
}

impl StateStore for DiskStore {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.with(Tables::checkpoint)
    }

    fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError> {
        self.with(|tables| tables.state(stream))
    }

    fn outcome(&self, command_id: CommandId) -> Result<Option<Known>, StoreError> {
        self.with(|tables| tables.outcome(command_id))
    }

    fn deadlines(&self, after: Option<&Deadline>, max: usize) -> Result<Vec<Deadline>, StoreError> {
        self.with(|tables| tables.deadlines(after, max))
    }

    fn write(&self, batch: &Batch) -> Result<Written, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            self.reopen().map_err(StoreError)?;
            self.failed.store(false, Ordering::Release);
        }
        self.expiry.forget_before(batch.forget_before);
        self.with(|tables| tables.write(batch))
            .inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    fn size(&self) -> Size {
        self.with(|tables| Ok(tables.size())).unwrap_or_default()
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
    let useless = |error: BoxError| OpenError::Useless(error.to_string());
    let found = tables.header().map_err(useless)?;
    let Some(found) = found else {
        let written = encoding::header(expected).and_then(|header| tables.put_header(&header));
        return written.map_err(OpenError::Unavailable);
    };
    let why = if let Some(why) = found.misfit(expected) {
        why
    } else if tables.has_unreadable().map_err(useless)? {
        "an earlier process could not read all streams, which this one may".to_owned()
    } else {
        return Ok(());
    };
    Err(OpenError::Useless(why))
}

/// A disk that refuses, and a folder that another process holds, leave the data what it is;
/// anything else means that it cannot be read.
fn open_error(error: fjall::Error) -> OpenError {
    let io_error = match &error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Some(error),
        _ => None,
    };
    let refused = io_error.is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::ResourceBusy
        )
    });
    if refused || matches!(error, fjall::Error::Locked) {
        OpenError::Unavailable(error.into())
    } else {
        OpenError::Useless(format!("it cannot be opened: {error}"))
    }
}

fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let written = fs::write(&path, vec![0; PROBE_BYTES]);
    let removed = fs::remove_file(&path);
    written.and(removed)
}
