//! What a batch holds for one projection: events to fold, and events of parked keys; and what keeps it from
//! being applied.

use read_models::Projection;

use super::isolate::Misfit;
use crate::{
    event::{Commit, CorrectedEvent},
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
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The stored checkpoint tells the next one whether the batch is written.
    #[error("it ended before the batch was known to be written")]
    Stopped,
    /// Or its count of changes to the dead letters.
    #[error("the stored checkpoint is another")]
    Lost,
    #[error("a crash of PostgreSQL has emptied the tables of a version that is being built")]
    WipedOut,
    /// Some of its events; none of it is in.
    #[error("the batch does not apply")]
    Unfit,
    /// None of it is in.
    #[error("PostgreSQL does not get the batch done in time")]
    TooMuch,
    /// What is wrong cannot be put aside: not at all, or not that much of it.
    #[error("{0}")]
    Stuck(String),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
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
            let events = (0..).zip(&commit.events);
            for (index, event) in events.filter(|(_, event)| projection.wants(&event.stream)) {
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
