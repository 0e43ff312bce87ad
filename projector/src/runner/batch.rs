//! What a batch holds for one projection: events to fold, and events of parked keys.

use super::{
    commit::{Commit, Fact},
    isolate::Misfit,
};
use read_models::Projection;

use crate::dead_letters::{Letters, NewLetter, Parcel, Parking, Place, Seen};

/// The events of some commits, in the order of the log.
pub(super) struct Batch<'c> {
    pub facts: Vec<Seen<'c>>,
    /// Where each of the facts stands.
    pub places: Vec<Place>,
    /// Events whose keys are parked already.
    waiting: Vec<Parcel<'c>>,
}

impl<'c> Batch<'c> {
    #[must_use]
    pub(super) fn of(commits: &[&'c Commit], projection: Projection, letters: &'c Letters) -> Self {
        let mut batch = Self { facts: Vec::new(), places: Vec::new(), waiting: Vec::new() };
        for commit in commits {
            let commit_end = commit.checkpoint.next_offset;
            for (index, fact) in wanted(commit, projection) {
                let place = Place { commit_end, index };
                if letters.holds(&fact.stream) {
                    batch.waiting.push(Parcel { place, fact });
                } else if let Some(seen) = letters.corrections.see(fact) {
                    batch.facts.push(seen);
                    batch.places.push(place);
                }
            }
        }
        batch
    }

    /// Whether the commits hold nothing for this projection.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.waiting.is_empty()
    }

    /// What becomes of the events that do not go into the tables.
    #[must_use]
    pub(super) fn park(&self, misfits: Vec<Misfit>) -> Parking<'c> {
        let mut parking = Parking { letters: Vec::new(), events: self.waiting.clone() };
        for Misfit { index, from, error } in misfits {
            let parcel = |at: usize| Parcel { place: self.places[at], fact: self.facts[at].fact };
            let key = &self.facts[index].fact.stream;
            let its = (from..self.facts.len()).filter(|&at| self.facts[at].fact.stream == *key);
            parking.events.extend(its.map(parcel));
            parking.letters.push(NewLetter { parcel: parcel(index), error });
        }
        parking.sort();
        parking
    }
}

/// The commit's events for a projection, with their indexes.
pub(super) fn wanted(
    commit: &Commit,
    projection: Projection,
) -> impl Iterator<Item = (i32, &Fact)> {
    (0..).zip(&commit.facts).filter(move |(_, fact)| projection.wants(&fact.stream))
}
