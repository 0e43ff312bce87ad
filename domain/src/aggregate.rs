//! The two traits that every aggregate implements: how it changes, and how it decides.

use crate::timestamp::Timestamp;

/// State as the fold of its events.
pub trait Evolve: Default + Clone {
    type Event;

    /// Copies what happened into the state. Never fails: `decide` has refused what could.
    fn evolve(&mut self, event: &Self::Event);
}

/// All the rules of an aggregate, synchronous and pure.
pub trait Decide: Evolve {
    type Command;
    type Rejection;

    /// The events that `command` causes in this state at this time; none if it is already so.
    ///
    /// # Errors
    /// The business reason why the command is refused.
    fn decide(
        &self,
        command: &Self::Command,
        now: Timestamp,
    ) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// When time itself changes this aggregate next, if it does.
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
}

/// What a client can do about a refusal; the HTTP layer turns it into a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// The thing is not in a state that allows this (409).
    Conflict,
    /// A business rule or a field forbids it (422).
    Rule,
    /// There is no such thing (404).
    NotFound,
}
