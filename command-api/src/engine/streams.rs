//! The aggregates of a shard: each as the log has confirmed it, and as it will be once what is
//! under way has landed.
//!
//! **Invariant:** the confirmed side changes only by emitted commits. Speculation can be dropped at
//! any time without a trace.

use std::collections::BTreeSet;

use domain::{Event, State, envelope::Revision, id::StreamId, timestamp::Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// A stream's state at a revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub state: State,
    pub revision: Revision,
}

/// The stream holds an event that this release cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

#[derive(Default)]
pub(super) struct Streams {
    streams: FxHashMap<StreamId, Stream>,
    deadlines: BTreeSet<(Timestamp, StreamId)>,
}

struct Stream {
    /// `None` once an event could not be read: its state is unknown from there on.
    confirmed: Option<Snapshot>,
    speculative: Option<Speculative>,
    deadline: Option<Timestamp>,
}

struct Speculative {
    snapshot: Snapshot,
    last_seq: u64,
}

impl Stream {
    fn empty(id: &StreamId) -> Self {
        let confirmed = Some(Snapshot { state: id.stream_type().empty(), revision: 0 });
        Self { confirmed, speculative: None, deadline: None }
    }
}

impl Streams {
    /// What the log has confirmed.
    pub(super) fn confirmed(&self, id: &StreamId) -> Result<Snapshot, Unreadable> {
        match self.streams.get(id) {
            None => Ok(Snapshot { state: id.stream_type().empty(), revision: 0 }),
            Some(stream) => stream.confirmed.clone().ok_or(Unreadable),
        }
    }

    /// Runs a decision on the newest state, confirmed or not.
    pub(super) fn decide<T>(
        &self,
        id: &StreamId,
        decide: impl FnOnce(&State, Revision) -> T,
    ) -> Result<T, Unreadable> {
        let Some(stream) = self.streams.get(id) else {
            return Ok(decide(&id.stream_type().empty(), 0));
        };
        let confirmed = stream.confirmed.as_ref().ok_or(Unreadable)?;
        let newest = stream.speculative.as_ref().map_or(confirmed, |s| &s.snapshot);
        Ok(decide(&newest.state, newest.revision))
    }

    /// Folds decided events in, ahead of the log.
    pub(super) fn speculate(&mut self, id: &StreamId, seq: u64, events: &[Event]) {
        let stream = self.streams.entry(id.clone()).or_insert_with(|| Stream::empty(id));
        let Some(confirmed) = &stream.confirmed else { return };
        let speculative = stream
            .speculative
            .get_or_insert_with(|| Speculative { snapshot: confirmed.clone(), last_seq: seq });
        speculative.last_seq = seq;
        fold(&mut speculative.snapshot, events);
    }

    /// The log has confirmed a commit of this node's own speculation.
    pub(super) fn confirm(&mut self, id: &StreamId, seq: u64, events: &[Event]) {
        let stream = self.streams.entry(id.clone()).or_insert_with(|| Stream::empty(id));
        // The speculative state that ends with this commit is the folded one already.
        match stream.speculative.take() {
            Some(speculative) if speculative.last_seq == seq => {
                stream.confirmed = Some(speculative.snapshot);
            }
            later => {
                stream.speculative = later;
                if let Some(confirmed) = &mut stream.confirmed {
                    fold(confirmed, events);
                }
            }
        }
        self.reschedule(id);
    }

    /// The log has told of events; `None` stands for one that could not be read.
    pub(super) fn replay(&mut self, id: &StreamId, events: Option<&[Event]>) {
        let stream = self.streams.entry(id.clone()).or_insert_with(|| Stream::empty(id));
        stream.speculative = None;
        match (events, &mut stream.confirmed) {
            (Some(events), Some(confirmed)) => fold(confirmed, events),
            (None, confirmed) => *confirmed = None,
            (Some(_), None) => {}
        }
        self.reschedule(id);
    }

    /// Forgets what the log has not confirmed of this stream.
    pub(super) fn drop_speculation(&mut self, id: &StreamId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.speculative = None;
        }
    }

    /// Streams whose deadline is not after `now`, and that nothing is under way for.
    pub(super) fn due(&self, now: Timestamp, max: usize) -> Vec<(Timestamp, StreamId)> {
        self.deadlines
            .iter()
            .take_while(|(at, _)| *at <= now)
            .filter(|(_, id)| self.streams.get(id).is_some_and(|s| s.speculative.is_none()))
            .take(max)
            .cloned()
            .collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    fn reschedule(&mut self, id: &StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let deadline = stream.confirmed.as_ref().and_then(|s| s.state.next_deadline());
        if deadline == stream.deadline {
            return;
        }
        if let Some(old) = stream.deadline.take() {
            self.deadlines.remove(&(old, id.clone()));
        }
        stream.deadline = deadline;
        if let Some(at) = deadline {
            self.deadlines.insert((at, id.clone()));
        }
    }
}

fn fold(snapshot: &mut Snapshot, events: &[Event]) {
    for event in events {
        let belongs = snapshot.state.evolve(event);
        debug_assert!(belongs, "an event of another kind of stream");
        snapshot.revision += 1;
    }
}
