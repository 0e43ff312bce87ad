//! The aggregates of a shard: each as the log has confirmed it, and as it will be once what is
//! under way has landed.
//!
//! An aggregate that has changed is held in memory until the store has it; one that has not may
//! leave the cache at any time and is loaded when it is asked for.
//!
//! **Invariant:** the confirmed side changes only by emitted commits. Speculation can be dropped at
//! any time without a trace.
//! **Invariant:** held, cached or stored: the same aggregate is found, whatever the cache's size.

mod cache;
mod deadlines;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::{Event, State, envelope::Revision, id::StreamId, timestamp::Timestamp};
use infra::{
    codec::{self, DecodeError},
    log::EventRecord,
};
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) use cache::Lookups;

use super::{
    Snapshot,
    store::{
        ChangedState, Deadline, StateStore, StoreError, StoredState, Unread, UnreadEvent,
        Unreadable, Untold,
    },
};
use cache::{Cache, STATE_BYTES};
use deadlines::Deadlines;

pub(super) struct Streams {
    store: Arc<dyn StateStore>,
    /// What the store does not have yet, and what is under way.
    held: FxHashMap<StreamId, Stream>,
    cache: Cache,
    /// What the cache may take while little waits to be saved.
    cache_bytes: usize,
    deadlines: Deadlines,
    changed: Marked,
    taken: Marked,
    failure: Option<StoreError>,
    /// What was found not to be decodable and is not told yet.
    unreadable: Vec<Unreadable>,
    /// The streams among them that have been told of lately.
    told: FxHashSet<StreamId>,
}

/// Streams of which it is remembered that they were told to be unreadable.
const TOLD_MAX: usize = 1_000;

struct Stream {
    /// From an event that could not be read on, the state is unknown.
    confirmed: Result<Snapshot, Unread>,
    speculative: Option<Speculative>,
    /// As the store has it, or will have it once what was taken is written.
    stored_deadline: Option<Timestamp>,
    /// About what it takes in the store.
    bytes: usize,
    /// Since the last batch was taken.
    changed: bool,
    /// In a batch that is not written yet.
    taken: bool,
}

struct Speculative {
    snapshot: Snapshot,
    last_seq: u64,
}

/// Streams that must be written.
#[derive(Default)]
struct Marked {
    ids: Vec<StreamId>,
    bytes: usize,
}

impl Stream {
    fn of(stored: StoredState) -> Self {
        let StoredState { snapshot, bytes } = stored;
        let stored_deadline = snapshot.as_ref().ok().and_then(|s| s.state.next_deadline());
        Self {
            confirmed: snapshot,
            speculative: None,
            stored_deadline,
            bytes,
            changed: false,
            taken: false,
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.confirmed.as_ref().ok().and_then(|snapshot| snapshot.state.next_deadline())
    }

    const fn is_unsaved(&self) -> bool {
        self.changed || self.taken
    }
}

impl Streams {
    pub(super) fn new(store: Arc<dyn StateStore>, cache_bytes: usize) -> Self {
        let mut streams = Self {
            deadlines: Deadlines::new(Arc::clone(&store)),
            store,
            held: FxHashMap::default(),
            cache: Cache::new(cache_bytes),
            cache_bytes,
            changed: Marked::default(),
            taken: Marked::default(),
            failure: None,
            unreadable: Vec::new(),
            told: FxHashSet::default(),
        };
        streams.refill_deadlines();
        streams
    }

    /// What the log has confirmed.
    pub(super) fn confirmed(&mut self, id: &StreamId) -> Result<Snapshot, Untold> {
        let confirmed = match self.held.get(id) {
            Some(stream) => stream.confirmed.clone(),
            None => self.find(id)?.snapshot,
        };
        confirmed.map_err(|_why| Untold::Unreadable)
    }

    /// Runs a decision on the newest state, confirmed or not.
    pub(super) fn decide<T>(
        &mut self,
        id: &StreamId,
        decide: impl FnOnce(&State, Revision) -> T,
    ) -> Result<T, Untold> {
        let speculative = self.held.get(id).and_then(|stream| stream.speculative.as_ref());
        let newest = match speculative {
            Some(speculative) => speculative.snapshot.clone(),
            None => self.confirmed(id)?,
        };
        Ok(decide(&newest.state, newest.revision))
    }

    /// Folds decided events in, ahead of the log.
    pub(super) fn speculate(&mut self, id: &StreamId, seq: u64, events: &[Event]) {
        let stream = self.hold(id);
        let Ok(confirmed) = &stream.confirmed else { return };
        let speculative = stream
            .speculative
            .get_or_insert_with(|| Speculative { snapshot: confirmed.clone(), last_seq: seq });
        speculative.last_seq = seq;
        fold(&mut speculative.snapshot, events);
    }

    /// The log has confirmed a commit of this node's own speculation, `bytes` long.
    pub(super) fn confirm(&mut self, id: &StreamId, seq: u64, events: &[Event], bytes: usize) {
        self.change(id, bytes, |stream| {
            // The speculative state that ends with this commit is the folded one already.
            match stream.speculative.take() {
                Some(speculative) if speculative.last_seq == seq => {
                    stream.confirmed = Ok(speculative.snapshot);
                }
                later => {
                    stream.speculative = later;
                    if let Ok(confirmed) = &mut stream.confirmed {
                        fold(confirmed, events);
                    }
                }
            }
        });
    }

    /// The log has told of this.
    ///
    /// # Errors
    /// It cannot be read, which stops the stream.
    pub(super) fn replay_record(&mut self, record: &EventRecord) -> Result<(), DecodeError> {
        let decoded: Result<Event, _> = codec::decode(record);
        let events = decoded.as_ref().map(std::slice::from_ref);
        let events = events.map_err(|_why| UnreadEvent::of(record));
        self.replay(&record.stream, events, record.value.len());
        decoded.map(drop)
    }

    /// The log has told of events, `bytes` long, or of one that could not be read.
    fn replay(&mut self, id: &StreamId, events: Result<&[Event], Arc<UnreadEvent>>, bytes: usize) {
        self.change(id, bytes, |stream| {
            stream.speculative = None;
            match (events, &mut stream.confirmed) {
                (Ok(events), Ok(confirmed)) => fold(confirmed, events),
                (Err(event), confirmed @ (Ok(_) | Err(Unread::Unknown))) => {
                    *confirmed = Err(Unread::Event(event));
                }
                // The first one counts: nothing can be made of what follows it.
                (_, Err(_)) => {}
            }
        });
    }

    /// Forgets what the log has not confirmed of this stream.
    pub(super) fn drop_speculation(&mut self, id: &StreamId) {
        if let Some(stream) = self.held.get_mut(id) {
            stream.speculative = None;
            self.release(id);
        }
    }

    /// Streams whose deadline is not after `now`, and that nothing is under way for.
    pub(super) fn due(&self, now: Timestamp, max: usize) -> Vec<Deadline> {
        let idle = |id| self.held.get(id).is_none_or(|stream| stream.speculative.is_none());
        self.deadlines
            .iter()
            .take_while(|(at, _)| *at <= now)
            .filter(|(_, id)| idle(id))
            .take(max)
            .cloned()
            .collect()
    }

    /// Lets go of the deadline of a stream that cannot be read: it would come due for ever. The store
    /// keeps it for a process that can.
    pub(super) fn forget_deadline(&mut self, deadline: &Deadline) {
        self.deadlines.forget(deadline);
        self.refill_deadlines();
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first()
    }

    /// In memory.
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.cache.len()
    }

    /// Bytes that must stay in memory until they are saved.
    pub(super) const fn unsaved_bytes(&self) -> usize {
        self.changed.bytes + self.taken.bytes
    }

    /// All that has changed since the last call; [`Streams::saved`] comes before the next.
    pub(super) fn take_changed(&mut self) -> Vec<ChangedState> {
        debug_assert!(self.taken.ids.is_empty(), "one batch at a time");
        self.taken = std::mem::take(&mut self.changed);
        self.share_room();
        let take = |id: &StreamId| {
            let stream = self.held.get_mut(id)?;
            (stream.changed, stream.taken) = (false, true);
            let deadline = stream.deadline();
            let old_deadline = std::mem::replace(&mut stream.stored_deadline, deadline);
            let snapshot = stream.confirmed.clone();
            Some(ChangedState { stream: id.clone(), snapshot, old_deadline, deadline })
        };
        self.taken.ids.iter().filter_map(take).collect()
    }

    /// What was taken is in the store, and so long.
    pub(super) fn saved(&mut self, state_bytes: &[usize]) {
        let taken = std::mem::take(&mut self.taken);
        self.share_room();
        for (id, &bytes) in taken.ids.iter().zip(state_bytes) {
            if let Some(stream) = self.held.get_mut(id) {
                stream.taken = false;
                stream.bytes = bytes;
                self.release(id);
            }
        }
    }

    /// Why what is in here must not be used any more.
    pub(super) fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Entries that turned out not to be decodable since the last call.
    pub(super) fn take_unreadable(&mut self) -> Vec<Unreadable> {
        std::mem::take(&mut self.unreadable)
    }

    /// How often the cache was asked since the last call.
    pub(super) fn take_lookups(&mut self) -> Lookups {
        self.cache.take_lookups()
    }

    /// Where much waits to be saved, it takes most of the cache's room. There is nothing in between:
    /// a cache whose limit always changes forgets what it has learned.
    fn share_room(&mut self) {
        let quarter = self.cache_bytes / 4;
        let is_much = self.unsaved_bytes() > quarter;
        self.cache.limit(if is_much { quarter } else { self.cache_bytes });
    }

    fn change(&mut self, id: &StreamId, bytes: usize, change: impl FnOnce(&mut Stream)) {
        let stream = self.hold(id);
        let before = stream.deadline();
        change(stream);
        let after = stream.deadline();
        stream.bytes += bytes;
        if std::mem::replace(&mut stream.changed, true) {
            self.changed.bytes += bytes;
        } else {
            let bytes = stream.bytes + STATE_BYTES;
            self.changed.bytes += bytes;
            self.changed.ids.push(id.clone());
        }
        if before != after {
            let deadline = |at: Option<Timestamp>| at.map(|at| (at, id.clone()));
            self.deadlines.change(deadline(before), deadline(after));
            self.refill_deadlines();
        }
    }

    /// The stream among those that stay in memory.
    fn hold(&mut self, id: &StreamId) -> &mut Stream {
        let Self { held, cache, store, failure, unreadable, told, .. } = self;
        held.entry(id.clone()).or_insert_with(|| {
            let stored = cache.remove(id).map_or_else(
                || load(&**store, id).inspect(|stored| note(stored, id, unreadable, told)),
                Ok,
            );
            Stream::of(stored.unwrap_or_else(|error| {
                // What stands in for the state is never looked at: after a failure the whole
                // machine is thrown away.
                failure.get_or_insert(error);
                StoredState { snapshot: Err(Unread::Unknown), bytes: 0 }
            }))
        })
    }

    /// From the cache or the store.
    fn find(&mut self, id: &StreamId) -> Result<StoredState, Untold> {
        if let Some(cached) = self.cache.get(id) {
            return Ok(cached);
        }
        match load(&*self.store, id) {
            Ok(stored) => {
                note(&stored, id, &mut self.unreadable, &mut self.told);
                self.cache.insert(id.clone(), stored.clone());
                Ok(stored)
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                Err(Untold::StoreFailed)
            }
        }
    }

    /// Leaves a stream to the cache if the store has it and nothing is under way for it.
    fn release(&mut self, id: &StreamId) {
        let free = |stream: &Stream| !stream.is_unsaved() && stream.speculative.is_none();
        if !self.held.get(id).is_some_and(free) {
            return;
        }
        if let Some(Stream { confirmed, bytes, .. }) = self.held.remove(id) {
            self.cache.insert(id.clone(), StoredState { snapshot: confirmed, bytes });
        }
    }

    fn refill_deadlines(&mut self) {
        let Self { held, deadlines, .. } = self;
        let unsaved = held.iter().filter(|(_, stream)| stream.is_unsaved());
        let of = |(id, stream): (&StreamId, &Stream)| Some((stream.deadline()?, id.clone()));
        let refilled = deadlines.refill(
            |(_, id)| held.get(id).is_some_and(Stream::is_unsaved),
            || unsaved.clone().filter_map(of).collect(),
        );
        match refilled {
            Ok(passed_over) => {
                let of = |detail| Unreadable::Deadline { detail };
                self.unreadable.extend(passed_over.into_iter().map(of));
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }
}

/// What the store has of a stream; one without events is empty.
fn load(store: &dyn StateStore, id: &StreamId) -> Result<StoredState, StoreError> {
    let empty = || {
        let empty = id.stream_type().map(|kind| Snapshot { state: kind.empty(), revision: 0 });
        StoredState { snapshot: empty.ok_or(Unread::Unknown), bytes: 0 }
    };
    Ok(store.state(id)?.unwrap_or_else(empty))
}

/// Notes that a stored state cannot be decoded, once for a while.
fn note(
    stored: &StoredState,
    id: &StreamId,
    unreadable: &mut Vec<Unreadable>,
    told: &mut FxHashSet<StreamId>,
) {
    let Err(Unread::Entry(detail)) = &stored.snapshot else { return };
    if told.len() >= TOLD_MAX {
        told.clear();
    }
    if told.insert(id.clone()) {
        unreadable.push(Unreadable::State { stream: id.clone(), detail: Arc::clone(detail) });
    }
}

fn fold(snapshot: &mut Snapshot, events: &[Event]) {
    for event in events {
        let belongs = snapshot.state.evolve(event);
        debug_assert!(belongs, "an event of another kind of stream");
        snapshot.revision += 1;
    }
}
