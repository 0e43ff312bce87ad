//! Rules by example: `given` a history, `when` a command comes, `then` these events or this
//! rejection. After `given` only `when` compiles, after `when` only `then` and `then_rejected`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    aggregate::{Aggregate, Decide, Evolve},
    id::Sku,
    money::{Currency, Money},
    timestamp::Timestamp,
};

pub mod golden;
pub mod sample;

/// 2026-01-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// A small id that reads well in a failure.
#[must_use]
pub const fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

#[must_use]
pub const fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

#[must_use]
pub fn sku(code: &str) -> Sku {
    code.parse().expect("a valid SKU")
}

/// The event of this type with these fields, as the log has it. What may be absent need not be said:
/// only the aggregate itself, its samples among it, knows all fields of its events.
#[must_use]
#[track_caller]
pub fn event<A: Aggregate>(kind: &str, data: Value) -> A::Event {
    let event = json!({ "type": kind, "data": data });
    serde_json::from_value(event).expect("an event of the aggregate")
}

/// An aggregate with this history.
pub fn given<A: Aggregate>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(fold(history))
}

/// The state that a history leads to.
pub fn fold<A: Aggregate>(history: impl IntoIterator<Item = A::Event>) -> A {
    history.into_iter().fold(A::default(), |mut state, event| {
        state.evolve(&event);
        state
    })
}

#[must_use]
pub struct Given<A>(A);

#[must_use]
pub struct When<A: Aggregate>(Result<Vec<A::Event>, A::Rejection>);

impl<A: Aggregate> Given<A> {
    pub fn when(self, command: A::Command, now: Timestamp) -> When<A> {
        When(self.0.decide(&command, now))
    }
}

impl<A: Aggregate> When<A> {
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<A::Event> = expected.into_iter().collect();
        assert_eq!(self.0, Ok(expected));
    }

    #[track_caller]
    pub fn then_rejected(self, expected: A::Rejection) {
        assert_eq!(self.0, Err(expected));
    }
}

/// What a command comes to: what the row is about, the history, the command, and the answer.
pub type Row<A> = (
    &'static str,
    Vec<<A as Evolve>::Event>,
    <A as Decide>::Command,
    Result<Vec<<A as Evolve>::Event>, <A as Decide>::Rejection>,
);

/// Decides the command of each row at [`NOW`]: many cases of one rule.
#[track_caller]
pub fn decides<A: Aggregate>(rows: impl IntoIterator<Item = Row<A>>) {
    for (about, history, command, expected) in rows {
        assert_eq!(fold::<A>(history).decide(&command, NOW), expected, "{about}");
    }
}

/// Decides each command twice on the way: what the first time recorded must leave nothing to
/// record the second time, except for `is_entry`, commands that add to a ledger each time and
/// lean on the engine's memory of command ids. `check` sees every state.
#[track_caller]
pub fn decide_twice<A: Aggregate>(
    commands: impl IntoIterator<Item = (A::Command, Timestamp)>,
    is_entry: impl Fn(&A::Command) -> bool,
    check: impl Fn(&A),
) {
    let mut state = A::default();
    for (command, now) in commands {
        let Ok(events) = state.decide(&command, now) else { continue };
        for event in &events {
            state.evolve(event);
        }
        check(&state);
        if !is_entry(&command) {
            assert_eq!(state.decide(&command, now), Ok(vec![]), "{command:?} once more");
        }
    }
}
