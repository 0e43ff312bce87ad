//! The database of one shard and what is in it.

use std::{ops::Bound, path::Path, sync::Arc};

use domain::id::{CommandId, StreamId};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, compaction::filter::Factory};
use infra::log::{BoxError, Checkpoint};

use super::{
    super::{
        Batch, Deadline, Known, Size, StoredState, Written,
        encoding::{self, Header},
    },
    expiry::Expiry,
};

/// What is written lately waits in memory up to this size for a file of its own, of states and of
/// outcomes each. The rest is small.
const MEMTABLE_BYTES: u64 = 8 << 20;
const MEMTABLE_BYTES_SMALL: u64 = 2 << 20;

/// The journal is read at the start, so this bounds how long that takes. The least that fjall
/// allows.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// One writes files from memory, one rewrites files.
const WORKERS: usize = 2;

pub(super) const HEADER: &str = "header";
pub(super) const CHECKPOINT: &str = "checkpoint";
const UNREADABLE: &str = "unreadable";

const OUTCOMES: &str = "outcomes";

pub(super) struct Tables {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    /// Stream id → state.
    pub(super) states: Keyspace,
    /// Command id → outcome.
    pub(super) outcomes: Keyspace,
    /// Time and stream id, in their order → nothing.
    pub(super) deadlines: Keyspace,
}

impl Tables {
    /// Opens what is in the folder, or makes it.
    pub(super) fn open(
        folder: &Path,
        block_bytes: usize,
        expiry: &Expiry,
    ) -> Result<Self, fjall::Error> {
        let expiry: Arc<dyn Factory> = Arc::new(expiry.clone());
        let db = Database::builder(folder)
            .cache_size(u64::try_from(block_bytes).unwrap_or(u64::MAX))
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(WORKERS)
            .with_compaction_filter_factories(Arc::new(move |keyspace| {
                (keyspace == OUTCOMES).then(|| Arc::clone(&expiry))
            }))
            .open()?;
        let keyspace = |name, memtable| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable);
            db.keyspace(name, options)
        };
        Ok(Self {
            meta: keyspace("meta", MEMTABLE_BYTES_SMALL)?,
            states: keyspace("states", MEMTABLE_BYTES)?,
            outcomes: keyspace(OUTCOMES, MEMTABLE_BYTES)?,
            deadlines: keyspace("deadlines", MEMTABLE_BYTES_SMALL)?,
            db,
        })
    }

    pub(super) fn header(&self) -> Result<Option<Header>, BoxError> {
        self.meta.get(HEADER)?.map(|bytes| encoding::read_header(&bytes)).transpose()
    }

    pub(super) fn put_header(&self, header: &[u8]) -> Result<(), BoxError> {
        Ok(self.meta.insert(HEADER, header)?)
    }

    pub(super) fn has_unreadable(&self) -> Result<bool, BoxError> {
        Ok(self.meta.contains_key(UNREADABLE)?)
    }

    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, BoxError> {
        self.meta.get(CHECKPOINT)?.map(|bytes| encoding::read_checkpoint(&bytes)).transpose()
    }

    pub(super) fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, BoxError> {
        let found = self.states.get(stream.as_str())?;
        found.map(|bytes| encoding::read_state(&bytes)).transpose()
    }

    pub(super) fn outcome(&self, command_id: CommandId) -> Result<Option<Known>, BoxError> {
        let found = self.outcomes.get(encoding::command_id(command_id))?;
        found.map(|bytes| encoding::read_outcome(&bytes)).transpose()
    }

    pub(super) fn deadlines(
        &self,
        after: Option<&Deadline>,
        max: usize,
    ) -> Result<Vec<Deadline>, BoxError> {
        let from = after.map(|(at, stream)| encoding::deadline(*at, stream));
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.deadlines.range::<Vec<u8>, _>((from, Bound::Unbounded)).take(max);
        found.map(|guard| encoding::read_deadline(&guard.key()?)).collect()
    }

    pub(super) fn write(&self, batch: &Batch) -> Result<Written, BoxError> {
        let mut writes = self.db.batch().durability(Some(PersistMode::Buffer));
        let mut state_bytes = Vec::with_capacity(batch.states.len());
        for changed in &batch.states {
            let stream = &changed.stream;
            let state = encoding::state(changed.snapshot.as_deref())?;
            state_bytes.push(state.len());
            writes.insert(&self.states, stream.as_str(), state);
            if changed.snapshot.is_none() {
                writes.insert(&self.meta, UNREADABLE, "");
            }
            if changed.old_deadline != changed.deadline {
                if let Some(old) = changed.old_deadline {
                    writes.remove(&self.deadlines, encoding::deadline(old, stream));
                }
                if let Some(new) = changed.deadline {
                    writes.insert(&self.deadlines, encoding::deadline(new, stream), "");
                }
            }
        }
        for (command_id, known) in &batch.outcomes {
            let id = encoding::command_id(*command_id);
            writes.insert(&self.outcomes, id, encoding::outcome(known)?);
        }
        writes.insert(&self.meta, CHECKPOINT, encoding::checkpoint(&batch.checkpoint)?);
        writes.commit()?;
        Ok(Written { state_bytes, size: self.size() })
    }

    /// Everything in files, nothing in the journal.
    #[cfg(test)]
    pub(super) fn flush(&self) -> Result<(), BoxError> {
        for keyspace in [&self.meta, &self.states, &self.outcomes, &self.deadlines] {
            keyspace.rotate_memtable_and_wait()?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn compact_outcomes(&self) -> Result<(), BoxError> {
        self.outcomes.rotate_memtable_and_wait()?;
        Ok(self.outcomes.major_compact()?)
    }

    pub(super) fn size(&self) -> Size {
        Size {
            bytes: self.db.disk_space().unwrap_or_default(),
            outcomes: self.outcomes.approximate_len(),
        }
    }
}
