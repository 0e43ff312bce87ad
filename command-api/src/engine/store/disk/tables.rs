//! The database of one shard and what is in it.

use std::{collections::BTreeSet, ops::Bound, path::Path, sync::Arc};

use domain::id::{CommandId, StreamId};
use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, compaction::filter::Factory,
};
use infra::log::Checkpoint;

use super::{
    super::{
        Batch, Deadline, Remembered, Size, StoreError, StoredState, Unread, Unreadable, Upcoming,
        Written, encoding, header::Header,
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

/// Before the ids of streams that cannot be read.
const UNREADABLE: &str = "unreadable/";

const OUTCOMES: &str = "outcomes";

/// Entries that are removed in one go.
const REMOVED_AT_ONCE_MAX: usize = 10_000;

/// Files of a shard that stay open between two reads: its part of what the process has for them, if it
/// has 16 shards. More are opened and closed again.
fn files_max() -> usize {
    (infra::descriptors::for_files() / 16).clamp(8, 900)
}

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
    ) -> Result<Self, StoreError> {
        let expiry: Arc<dyn Factory> = Arc::new(expiry.clone());
        let db = Database::builder(folder)
            .cache_size(u64::try_from(block_bytes).unwrap_or(u64::MAX))
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(WORKERS)
            .max_cached_files(Some(files_max()))
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

    /// What the store says that it is. One that cannot be understood is as good as damaged: nothing
    /// can be said of what the rest means.
    pub(super) fn header(&self) -> Result<Option<Header>, StoreError> {
        let found = self.meta.get(HEADER)?;
        found.map(|bytes| encoding::read_header(&bytes)).transpose().map_err(StoreError::Corrupt)
    }

    pub(super) fn put_header(&self, header: &[u8]) -> Result<(), StoreError> {
        Ok(self.meta.insert(HEADER, header)?)
    }

    /// All that was written is on the disk.
    pub(super) fn persist(&self) -> Result<(), StoreError> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let found = self.meta.get(CHECKPOINT)?;
        let checkpoint = found.map(|bytes| encoding::read_checkpoint(&bytes)).transpose();
        checkpoint.map_err(StoreError::Corrupt)
    }

    /// The aggregates with a stream that no release could read so far, and this one can.
    pub(super) fn readable_after_all(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut aggregates = BTreeSet::new();
        for found in self.meta.prefix(UNREADABLE) {
            let key = found.key()?;
            let id = std::str::from_utf8(&key[UNREADABLE.len()..]).ok();
            let Some(stream) = id.and_then(|id| id.parse::<StreamId>().ok()) else { continue };
            if let Some(StoredState { snapshot: Err(Unread::Event(event)), .. }) =
                self.state(&stream)?
                && event.is_readable(&stream)
            {
                aggregates.extend(stream.stream_type().map(|kind| kind.as_str().to_owned()));
            }
        }
        Ok(aggregates)
    }

    /// Removes all that is made of the streams of an aggregate.
    pub(super) fn forget(&self, aggregate: &str) -> Result<(), StoreError> {
        let streams = format!("{aggregate}/");
        let states = self.states.prefix(&streams);
        let notes = self.meta.prefix(Self::unreadable_key(&streams));
        let deadlines = self.deadlines.iter();
        self.remove(&self.states, states, |_| true)?;
        self.remove(&self.meta, notes, |_| true)?;
        self.remove(&self.deadlines, deadlines, |key| {
            encoding::stream_of_deadline(key).is_some_and(|it| it.starts_with(streams.as_bytes()))
        })
    }

    fn remove(
        &self,
        from: &Keyspace,
        found: impl Iterator<Item = Guard>,
        goes: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut writes = self.db.batch();
        for found in found {
            let key = found.key()?;
            if goes(&key) {
                writes.remove(from, key);
            }
            if writes.len() >= REMOVED_AT_ONCE_MAX {
                std::mem::replace(&mut writes, self.db.batch()).commit()?;
            }
        }
        Ok(writes.commit()?)
    }

    /// Notes that the stream is to be tried again by other releases.
    pub(super) fn unreadable_key(stream: &str) -> String {
        format!("{UNREADABLE}{stream}")
    }

    pub(super) fn state(&self, stream: &StreamId) -> Result<Option<StoredState>, StoreError> {
        let found = self.states.get(stream.as_str())?;
        Ok(found.map(|bytes| encoding::read_state(&bytes)))
    }

    pub(super) fn outcome(&self, command_id: CommandId) -> Result<Option<Remembered>, StoreError> {
        let found = self.outcomes.get(encoding::command_id(command_id))?;
        Ok(found.map(|bytes| encoding::read_outcome(&bytes)))
    }

    pub(super) fn deadlines(
        &self,
        after: Option<&Deadline>,
        max: usize,
    ) -> Result<Upcoming, StoreError> {
        let from = after.map(|(at, stream)| encoding::deadline(*at, stream));
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let mut upcoming = Upcoming::default();
        for found in self.deadlines.range::<Vec<u8>, _>((from, Bound::Unbounded)) {
            if upcoming.deadlines.len() == max {
                break;
            }
            match encoding::read_deadline(&found.key()?) {
                Ok(deadline) => upcoming.deadlines.push(deadline),
                Err(error) => upcoming.unreadable.push(error.to_string()),
            }
        }
        Ok(upcoming)
    }

    pub(super) fn write(&self, batch: &Batch) -> Result<Written, StoreError> {
        let mut writes = self.db.batch().durability(Some(PersistMode::Buffer));
        let mut state_bytes = Vec::with_capacity(batch.states.len());
        let mut unreadable = Vec::new();
        for changed in &batch.states {
            let stream = &changed.stream;
            let state = changed.snapshot.as_ref().map_err(encoding::unread).and_then(|snapshot| {
                encoding::state(snapshot).map_err(|error| {
                    let detail = error.to_string().into();
                    unreadable.push(Unreadable::State { stream: stream.clone(), detail });
                    encoding::unread(&Unread::Unknown)
                })
            });
            if state.is_err() {
                writes.insert(&self.meta, Self::unreadable_key(stream.as_str()), "");
            }
            let (Ok(state) | Err(state)) = state;
            state_bytes.push(state.len());
            writes.insert(&self.states, stream.as_str(), state);
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
            let outcome = encoding::outcome(known).unwrap_or_else(|error| {
                let detail = error.to_string();
                unreadable.push(Unreadable::Outcome { command_id: *command_id, detail });
                encoding::outcome_head(known)
            });
            writes.insert(&self.outcomes, encoding::command_id(*command_id), outcome);
        }
        let checkpoint = encoding::checkpoint(&batch.checkpoint).map_err(StoreError::Io)?;
        writes.insert(&self.meta, CHECKPOINT, checkpoint);
        writes.commit()?;
        Ok(Written { state_bytes, unreadable, size: self.size() })
    }

    /// Everything in files, nothing in the journal.
    #[cfg(test)]
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        for keyspace in [&self.meta, &self.states, &self.outcomes, &self.deadlines] {
            keyspace.rotate_memtable_and_wait()?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn compact_outcomes(&self) -> Result<(), StoreError> {
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
