//! What a commit and its copy have in common. Pure.

use domain::timestamp::Timestamp;
use infra::log::{BarrierRecord, CommitBody, EventRecord, Place};

/// When a commit was recorded: its records at once.
pub(super) fn recorded_at(body: &CommitBody) -> Timestamp {
    match body {
        CommitBody::Events(events) => {
            events.first().map_or_else(Timestamp::default, |first| first.recorded_at)
        }
        CommitBody::Barrier(barrier) => barrier.recorded_at,
    }
}

/// The same commit at another place, of which index and count are its own.
pub(super) fn placed(body: CommitBody, place: Place) -> CommitBody {
    match body {
        CommitBody::Events(events) => {
            let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
            let records = (0..).zip(events);
            let moved = records.map(|(index, event)| EventRecord {
                place: Place { index, count, ..place },
                ..event
            });
            CommitBody::Events(moved.collect())
        }
        CommitBody::Barrier(barrier) => CommitBody::Barrier(BarrierRecord {
            place: Place { index: 0, count: 1, ..place },
            ..barrier
        }),
    }
}

/// Whether a commit is another one at its own place.
pub(super) fn is_copy(found: &CommitBody, of: &CommitBody) -> bool {
    let place = match found {
        CommitBody::Events(events) => events.first().map(|first| first.place),
        CommitBody::Barrier(barrier) => Some(barrier.place),
    };
    place.is_some_and(|place| placed(of.clone(), place) == *found)
}

/// About what it takes in memory.
pub(super) fn bytes(event: &EventRecord) -> usize {
    const ENVELOPE_BYTES: usize = 512;
    ENVELOPE_BYTES + event.value.len()
}

#[cfg(test)]
mod tests {
    use infra::log::{Nonce, sample};

    use super::*;

    fn at(seq: u64) -> Place {
        Place { epoch: 7, claim: Nonce(9), seq, index: 0, count: 1 }
    }

    #[test]
    fn a_copy_differs_in_its_place_alone() {
        let events = vec![sample::event(sample::PLACE, 1), sample::event(sample::PLACE, 1)];
        let original = CommitBody::Events(events);
        let copy = placed(original.clone(), at(5));
        assert!(is_copy(&copy, &original));
        let CommitBody::Events(events) = &copy else { panic!("{copy:?}") };
        let places: Vec<_> = events.iter().map(|event| event.place).collect();
        assert_eq!(places, [Place { count: 2, ..at(5) }, Place { index: 1, count: 2, ..at(5) }]);
        let mut other = events.clone();
        other[1].value = "{\"quantity\":2}".into();
        assert!(!is_copy(&CommitBody::Events(other), &original));
        assert!(!is_copy(&CommitBody::Barrier(sample::barrier(at(5))), &original));
    }
}
