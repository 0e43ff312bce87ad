//! A store in files: one fjall database per shard, so that damage to one stays there.
//!
//! Batches reach the operating system, not the disk: a crash of the machine may take the last of
//! them, which leaves an older store that is as good, for the log has the rest.
//!
//! **Invariant:** all of a batch goes through one journal entry with a checksum, so that recovery
//! finds whole batches, in order, and nothing behind a damaged one.

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
    Batch, Deadline, Known, OpenError, Size, Source, StateStore, StoreError, StoredState, Written,
    encoding::{self, ENCODING_VERSION, Header},
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
        let header = Header {
            encoding: ENCODING_VERSION,
            fold: FOLD_VERSION,
            shard: shard.index(),
            shard_count: self.shard_count,
        };
        let folder = self.folder(shard);
        fs::create_dir_all(&folder).map_err(|error| OpenError::Unavailable(error.into()))?;
        let store = DiskStore::open(folder, self.block_bytes, &header)?;
        Ok(Arc::new(store))
    }

    fn discard(&self, shard: ShardId) -> Result<(), StoreError> {
        match fs::remove_dir_all(self.folder(shard)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError(error.into())),
            Ok(()) | Err(_) => Ok(()),
        }
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
}

/// Whether what is there is of use; a new database gets its header.
fn check(tables: &Tables, expected: &Header) -> Result<(), OpenError> {
    let useless = |error: BoxError| OpenError::Useless(error.to_string());
    let found = tables.header().map_err(useless)?;
    let Some(found) = found else {
        let written = encoding::header(expected).and_then(|header| tables.put_header(&header));
        return written.map_err(OpenError::Unavailable);
    };
    let Header { encoding, fold, shard, shard_count } = found;
    let why = if encoding != expected.encoding || fold != expected.fold {
        format!("it was written by another release (encoding {encoding}, fold {fold})")
    } else if found != *expected {
        format!("it is of shard {shard} of {shard_count}")
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
