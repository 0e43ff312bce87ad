//! What every aggregate is. One trait ties together what belongs together: how the state follows from
//! events, what is decided, and what it is called. `lib.rs` lists the aggregates that there are.

use std::fmt::{Debug, Display};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{personal::Texts, timestamp::Timestamp, upcast::Upcast};

/// A state that is the fold of its events.
pub trait Evolve:
    Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// A stored format, as `{"type": .., "data": ..}`. What it says of itself, in doc comments, is what
    /// readers of the log are told (`schema`).
    type Event: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema + Send + Sync;

    /// Copies what happened into the state. Never fails: `decide` has refused what could.
    fn evolve(&mut self, event: &Self::Event);
}

/// All the rules about a state, synchronous and pure.
pub trait Decide: Evolve {
    type Command: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    type Rejection: Refusal;

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

    /// The command that time itself gives once the deadline has come.
    #[must_use]
    fn expire() -> Option<Self::Command> {
        None
    }
}

/// One kind of stream.
pub trait Aggregate: Decide {
    /// What the ids of its streams and the types of its events begin with. Stored, so never renamed.
    const NAME: &'static str;

    /// Grows with each change of what `evolve` makes of events and of the form that the state is stored
    /// in: states of another version are folded anew from the log.
    const STATE_VERSION: u32;

    /// Of the states that the samples lead to, as they are stored. A test of the state store says what
    /// it is; when it is another one, `STATE_VERSION` has to grow, unless only samples are new.
    const STATE_DIGEST: &'static str;

    /// False for examples, which only tests have. Pages and contracts do not tell of them.
    const IS_RELEASED: bool = true;

    /// Which texts of its events tell of a person, one declaration for each type of event.
    const TEXTS: &'static [Texts];

    /// How the data of events that older releases wrote becomes that of today's.
    const UPCASTS: &'static [Upcast] = &[];

    /// The key of a stream.
    type Id: Display;

    /// One of every event with all of its fields, as the golden files hold them; where fields were
    /// added, the shape without them first.
    #[cfg(any(test, feature = "testing"))]
    fn samples() -> Vec<Self::Event>;
}

/// Why a command is refused, in words for the client.
pub trait Refusal: std::error::Error + Clone + PartialEq + Eq + Send + Sync + 'static {
    /// What a client can do about it, and a code for machines, which is stable.
    fn grounds(&self) -> (RejectionKind, &'static str);

    #[must_use]
    fn kind(&self) -> RejectionKind {
        self.grounds().0
    }

    #[must_use]
    fn code(&self) -> &'static str {
        self.grounds().1
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
