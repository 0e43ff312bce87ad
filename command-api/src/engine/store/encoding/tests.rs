use domain::{AggregateVisitor, Event, Listed, StreamType, shard::ShardId, visit_all};
use proptest::{prelude::*, sample::select};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::*;

/// The state that a history leaves, whatever sense it makes.
fn folded(kind: StreamType, events: &[&Event]) -> Snapshot {
    let mut state = kind.empty();
    for event in events {
        assert!(state.evolve(event));
    }
    Snapshot { state, revision: u64::try_from(events.len()).unwrap() }
}

fn samples(kind: StreamType) -> Vec<Event> {
    Event::samples().into_iter().filter(|event| event.stream_type() == kind).collect()
}

fn known(outcome: Outcome) -> Known {
    Known {
        request_hash: RequestHash::of(&[b"request"]),
        outcome,
        next_offset: 77,
        recorded_at: Timestamp::from_micros(1_700_000_000_000_000),
    }
}

/// Where other bytes stood under the same version, states that an older release has stored would be
/// trusted: raise the aggregate's `STATE_VERSION`, unless there are new samples and nothing else is new.
#[test]
fn a_changed_fold_or_form_has_a_new_version() {
    struct Changed(Vec<String>);
    impl AggregateVisitor for Changed {
        fn visit<A: Listed>(&mut self, _: &'static str) {
            let (events, mut hasher) = (samples(A::TYPE), Sha256::new());
            for end in 0..=events.len() {
                let events: Vec<&Event> = events[..end].iter().collect();
                hasher.update(state(&folded(A::TYPE, &events)).unwrap());
            }
            let digest = format!("{:.16x}", hasher.finalize());
            if digest != A::STATE_DIGEST {
                self.0.push(format!(
                    "{}: STATE_DIGEST is {digest}; raise STATE_VERSION unless only samples are new",
                    A::NAME
                ));
            }
        }
    }
    let mut changed = Changed(vec![]);
    visit_all(&mut changed);
    assert_eq!(changed.0, [""; 0]);
}

fn header(versions: &[(&str, u32)]) -> Header {
    let versions = versions.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect();
    Header { versions, ..Header::of(ShardId::new(0), 4) }
}

#[test]
fn only_states_of_another_fold_are_outdated() {
    let current = header(&[("cart", 2), ("coupon", 1), ("order", 1)]);
    for (found, outdated, renewed) in [
        // A new aggregate has no states that anybody could have made.
        (&[("cart", 2), ("order", 1)][..], &[][..], &current),
        (&[("cart", 1), ("order", 1)], &["cart"], &current),
        (&[("cart", 3), ("order", 1)], &["cart"], &current),
        // Of a later release: gone, which that one must learn.
        (
            &[("cart", 2), ("gift_card", 4), ("order", 1)],
            &["gift_card"],
            &header(&[("cart", 2), ("coupon", 1), ("gift_card", 0), ("order", 1)]),
        ),
        (
            &[("cart", 2), ("coupon", 0), ("gift_card", 0)],
            &["coupon"],
            &header(&[("cart", 2), ("coupon", 1), ("gift_card", 0), ("order", 1)]),
        ),
    ] {
        let found = header(found);
        assert_eq!(found.outdated(&current).collect::<Vec<_>>(), outdated);
        assert_eq!(found.renewed(&current), *renewed);
        assert_eq!(found.misfit(&current), None);
    }
}

#[test]
fn an_unreadable_stream_stays_one() {
    let event = Arc::new(UnreadEvent {
        event_type: Arc::from("tradewind.stock.counted.v9"),
        value: b"{}".to_vec(),
    });
    for why in [Unread::Event(event), Unread::Unknown] {
        let bytes = unread(&why);
        assert!(is_unread(&bytes));
        assert_eq!(read_state(&bytes), StoredState { snapshot: Err(why), bytes: bytes.len() });
    }
    assert_eq!(unread(&Unread::Entry("cut off".into())), unread(&Unread::Unknown));
}

#[test]
fn outcomes_come_back_whole() {
    let committed = Outcome::Committed {
        stream: "stock/A-1".parse().unwrap(),
        revision: 7,
        events: vec![EventRef {
            id: EventId::new(Uuid::from_u128(5)),
            event_type: Arc::from("tradewind.stock.received.v1"),
        }],
    };
    let rejected = Outcome::revision_mismatch(&Some(1).into(), 2);
    for outcome in [committed, Outcome::Unchanged { revision: 3 }, rejected] {
        let bytes = outcome_bytes(&outcome);
        assert_eq!(read_outcome(&bytes), Remembered::Known(known(outcome)));
        assert_eq!(
            recorded_at(&bytes),
            Some(known(Outcome::Unchanged { revision: 0 }).recorded_at)
        );
    }
}

fn outcome_bytes(of: &Outcome) -> Vec<u8> {
    outcome(&known(of.clone())).unwrap()
}

#[test]
fn what_is_cut_off_is_told_as_such() {
    let whole = outcome_bytes(&Outcome::Unchanged { revision: 3 });
    let at = recorded_at(&whole);
    for end in 0..whole.len() {
        let Remembered::Unreadable { recorded_at, .. } = read_outcome(&whole[..end]) else {
            panic!("{end}");
        };
        assert_eq!(recorded_at, at.filter(|_| end >= 8), "{end}");
    }
    let whole = state(&folded(StreamType::Stock, &[&samples(StreamType::Stock)[0]])).unwrap();
    for end in 1..whole.len() {
        let found = read_state(&whole[..end]).snapshot;
        assert!(matches!(found, Err(Unread::Entry(_))), "{end}: {found:?}");
    }
    assert!(read_deadline(&[1, 2, 3]).is_err());
}

proptest! {
    #[test]
    fn any_state_comes_back_as_it_was(
        kind in select(StreamType::ALL),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let events = samples(kind);
        let picked: Vec<&Event> = picks.iter().map(|pick| pick.get(&events)).collect();
        let snapshot = folded(kind, &picked);
        let found = read_state(&state(&snapshot).unwrap());
        prop_assert_eq!(found.snapshot, Ok(snapshot));
    }

    #[test]
    fn deadlines_sort_by_time_and_stream(
        left in (any::<i64>(), "[a-c]{1,3}"),
        right in (any::<i64>(), "[a-c]{1,3}"),
    ) {
        let of = |(micros, key): &(i64, String)| {
            (Timestamp::from_micros(*micros), StreamId::new(StreamType::Stock, key))
        };
        let (left, right) = (of(&left), of(&right));
        let bytes = |(at, stream): &Deadline| deadline(*at, stream);
        prop_assert_eq!(bytes(&left).cmp(&bytes(&right)), left.cmp(&right));
        prop_assert_eq!(read_deadline(&bytes(&left)).unwrap(), left);
    }
}
