//! What a batch holds for one projection: events to fold, and events of parked keys; and what keeps it from
//! being applied.

use read_models::Projection;

use super::isolate::Misfit;
use crate::{
    event::{Commit, CorrectedEvent, RecordedEvent},
    store::letters::{DeadLetters, EventPosition, EventToPark, EventsToPark, NewDeadLetter},
};

/// The events of some commits, in the order of the log.
pub(crate) struct Batch<'c> {
    pub events: Vec<CorrectedEvent<'c>>,
    /// The position of each of the events.
    pub positions: Vec<EventPosition>,
    /// Events whose keys are parked already.
    waiting: Vec<EventToPark<'c>>,
}

/// What keeps a batch from being applied.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It ended before it knew whether the batch is written; the stored checkpoint tells the next one.
    Stopped,
    /// The stored checkpoint, or its count of changes to the dead letters, is another.
    Lost,
    /// A crash of PostgreSQL has emptied the tables of a version that is being built.
    WipedOut,
    /// Some of its events do not apply; none of it is in.
    Unfit,
    /// PostgreSQL does not get it done in time; none of it is in.
    TooMuch,
    /// More would be parked than may be.
    Full(String),
    /// What is wrong cannot be put aside.
    Stuck(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl<'c> Batch<'c> {
    #[must_use]
    pub(crate) fn of(
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
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.waiting.is_empty()
    }

    /// What becomes of the events that do not go into the tables.
    #[must_use]
    pub(crate) fn park(&self, misfits: Vec<Misfit>) -> EventsToPark<'c> {
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
fn wanted(commit: &Commit, projection: Projection) -> impl Iterator<Item = (i32, &RecordedEvent)> {
    (0..).zip(&commit.events).filter(move |(_, event)| projection.wants(&event.stream))
}
