//! What an event asks for, as data.

use domain::{
    Command,
    id::{PaymentId, StreamId},
};

use super::checkout::Next;
use crate::payment::{Authorisation, Decision};

/// Steps that run side by side, and what their outcomes lead to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) next: Next,
}

#[derive(Debug, PartialEq)]
pub(super) struct Step {
    /// Unique among all steps that one event leads to: it makes the command's id.
    pub(super) name: String,
    pub(super) action: Action,
}

#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Submit {
        stream: StreamId,
        command: Box<Command>,
    },
    Authorise(Authorisation),
    /// Gives back at the provider.
    Void(PaymentId),
}

impl Action {
    /// Whether it waits for somebody outside.
    pub(super) const fn is_outside(&self) -> bool {
        match self {
            Self::Submit { .. } => false,
            Self::Authorise(_) | Self::Void(_) => true,
        }
    }
}

/// What became of a step. A business no is an outcome like any other; what fails for another
/// reason is tried until it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Refused {
        code: String,
        detail: String,
    },
    Decided(Decision),
    /// The provider was not asked or said nothing; the payment knows when it is asked again.
    Silence,
}

impl Plan {
    pub(super) fn of(steps: Vec<Step>) -> Self {
        Self { steps, next: Next::Nothing }
    }

    pub(super) fn then(self, next: Next) -> Self {
        Self { next, ..self }
    }
}

impl Step {
    pub(super) fn submit(name: impl Into<String>, stream: StreamId, command: Command) -> Self {
        Self { name: name.into(), action: Action::Submit { stream, command: Box::new(command) } }
    }

    pub(super) fn void(payment_id: PaymentId) -> Self {
        Self { name: "void at provider".to_owned(), action: Action::Void(payment_id) }
    }
}
