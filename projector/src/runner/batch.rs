//! What a batch holds for one projection: events to fold, and events of parked keys.

use super::{
    commit::{Commit, RecordedEvent},
    isolate::Misfit,
};
use read_models::Projection;

use crate::dead_letters::{
    CorrectedEvent, DeadLetters, EventPosition, EventToPark, EventsToPark, NewDeadLetter,
};

/// The events of some commits, in the order of the log.
pub(super) struct Batch<'c> {
    pub events: Vec<CorrectedEvent<'c>>,
    /// The position of each of the events.
    pub positions: Vec<EventPosition>,
    /// Events whose keys are parked already.
    waiting: Vec<EventToPark<'c>>,
}

impl<'c> Batch<'c> {
    #[must_use]
    pub(super) fn of(
        commits: &[&'c Commit],
        projection: Projection,
        known: &'c DeadLetters,
    ) -> Self {
        let mut batch = Self { events: Vec::new(), positions: Vec::new(), waiting: Vec::new() };
        for commit in commits {
            let commit_end = commit.checkpoint.next_offset;
            for (index, event) in wanted(commit, projection) {
                let position = EventPosition { commit_end, index };
                if known.holds(&event.stream) {
                    batch.waiting.push(EventToPark { position, event });
                } else if let Some(corrected) = known.corrections.apply(event) {
                    batch.events.push(corrected);
                    batch.positions.push(position);
                }
            }
        }
        batch
    }

    /// Whether the commits hold nothing for this projection.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.waiting.is_empty()
    }

    /// What becomes of the events that do not go into the tables.
    #[must_use]
    pub(super) fn park(&self, misfits: Vec<Misfit>) -> EventsToPark<'c> {
        let mut to_park = EventsToPark { letters: Vec::new(), events: self.waiting.clone() };
        for Misfit { index, from, error } in misfits {
            let nth =
                |i: usize| EventToPark { position: self.positions[i], event: self.events[i].event };
            let key = &self.events[index].event.stream;
            let its = (from..self.events.len()).filter(|&at| self.events[at].event.stream == *key);
            to_park.events.extend(its.map(nth));
            to_park.letters.push(NewDeadLetter { parked: nth(index), error });
        }
        to_park.sort();
        to_park
    }
}

/// The commit's events for a projection, with their indexes.
pub(super) fn wanted(
    commit: &Commit,
    projection: Projection,
) -> impl Iterator<Item = (i32, &RecordedEvent)> {
    (0..).zip(&commit.events).filter(move |(_, event)| projection.wants(&event.stream))
}
