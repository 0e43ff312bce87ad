use std::collections::BTreeSet;

use proptest::{prelude::*, sample::select};
use serde_json::Value;

use super::*;
use crate::testing::{NOW, golden};

#[test]
fn every_kind_of_stream_has_its_name() {
    for kind in StreamType::ALL {
        assert_eq!(StreamType::parse(kind.as_str()), Some(*kind));
        assert_eq!(kind.empty().stream_type(), *kind);
    }
    assert_eq!(StreamType::parse("Order"), None);
}

#[test]
fn every_event_keeps_its_stored_shape() {
    struct Check;
    impl AggregateVisitor for Check {
        fn visit<A: Listed>(&mut self, _: &'static str) {
            golden::check::<A>();
        }
    }
    visit_all(&mut Check);
}

#[test]
fn an_event_of_another_kind_changes_nothing() {
    let mut order = StreamType::Order.empty();
    for event in Event::samples() {
        let expected = event.stream_type() == StreamType::Order;
        assert_eq!(StreamType::Order.empty().evolve(&event), expected);
        if !expected {
            assert!(!order.evolve(&event));
        }
    }
    assert_eq!(order, StreamType::Order.empty());
}

#[test]
fn a_command_of_another_kind_is_rejected() {
    let command = Command::Product(crate::product::Command::Publish);
    let rejection = StreamType::Order.empty().decide(&command, NOW).unwrap_err();
    assert_eq!((rejection.code(), rejection.kind()), ("wrong_stream", RejectionKind::Conflict));
}

#[test]
fn an_aggregate_has_a_deadline_only_if_time_has_a_command_for_it() {
    for event in Event::samples() {
        let kind = event.stream_type();
        let mut state = kind.empty();
        assert!(state.evolve(&event));
        let timed = kind.expire().is_some();
        assert!(timed || state.next_deadline().is_none(), "{kind:?}");
    }
}

#[test]
fn the_command_of_time_moves_the_deadline() {
    for event in Event::samples() {
        let mut state = event.stream_type().empty();
        assert!(state.evolve(&event));
        // Only a history that begins like a real one: some events mean nothing on their own.
        let Some(deadline) = state.next_deadline() else { continue };
        let command = event.stream_type().expire().unwrap();
        let Ok(events) = state.decide(&command, deadline) else { continue };
        for event in events {
            assert!(state.evolve(&event));
        }
        assert!(state.next_deadline() > Some(deadline) || state.next_deadline().is_none());
    }
}

proptest! {
    #[test]
    fn any_history_folds(
        kind in select(StreamType::ALL),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let events: Vec<Event> = Event::samples()
            .into_iter()
            .filter(|event| event.stream_type() == kind)
            .collect();
        let mut state = kind.empty();
        for pick in picks {
            prop_assert!(state.evolve(pick.get(&events)));
        }
        prop_assert_eq!(state.stream_type(), kind);
    }
}

fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::String(_) => {
            found.insert(at.to_owned());
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, at, found)),
        Value::Object(members) => {
            for (name, member) in members {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                paths(member, &at, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn every_text_of_every_event_is_declared_one_way_or_the_other() {
    let mut known = BTreeSet::new();
    for golden in golden::all() {
        let event = format!("{}.{}", golden.stream_type.as_str(), golden.event);
        let texts = StreamType::texts_of(&event);
        let texts = texts.unwrap_or_else(|| panic!("nothing is declared of {event}"));
        let mut found = BTreeSet::new();
        paths(&serde_json::from_str(&golden.data).unwrap(), "", &mut found);
        for path in found {
            assert!(texts.declared(&path).is_some(), "{event}: {path} is personal, or plain");
        }
        known.insert(event);
    }
    let of = |kind: &StreamType| {
        let name = kind.as_str();
        kind.texts().iter().map(move |texts| format!("{name}.{}", texts.event))
    };
    let declared: BTreeSet<_> = StreamType::ALL.iter().flat_map(of).collect();
    assert_eq!(declared, known, "what is declared is an event");
}

#[test]
fn what_is_not_declared_is_personal() {
    let placed = StreamType::texts_of("order.placed").unwrap();
    for personal in ["email", "phone", "shipping_address.line1", "shipping_address.note"] {
        assert!(!placed.is_plain(personal), "{personal}");
    }
    let currency = "lines.adjustments.amount.currency";
    for plain in ["lines.name", "shipping_address.country", "totals.total.currency", currency] {
        assert!(placed.is_plain(plain), "{plain}");
    }
    assert!(StreamType::texts_of("product.created").unwrap().is_plain("details.attributes.fat"));
}
