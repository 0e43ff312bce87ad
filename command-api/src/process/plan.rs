//! What an event asks for, as data.

use domain::{
    Listed,
    addressed::Addressed,
    id::{EventId, PaymentId, StepId, StreamId},
    process::{Failure, Taken},
};

use crate::payment::{Authorisation, Decision};

/// Steps that run side by side, and what their outcomes are for, in a process' own words.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan<N> {
    pub(super) steps: Vec<Step>,
    pub(super) next: N,
}

#[derive(Debug, PartialEq)]
pub(super) struct Step {
    /// Unique among all steps that one event leads to: it makes the command's id.
    pub(super) name: String,
    pub(super) action: Action,
}

#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Submit(Box<Addressed>),
    Authorise(Authorisation),
    /// Gives back at the provider.
    Void(PaymentId),
}

impl Action {
    /// Whether it waits for somebody outside.
    pub(super) const fn is_outside(&self) -> bool {
        match self {
            Self::Submit(_) => false,
            Self::Authorise(_) | Self::Void(_) => true,
        }
    }
}

/// What became of a step. A business no is an outcome like any other; what fails for another
/// reason is tried until it works, or has [`Failed`] for good.
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

/// A step that no trying again can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) name: String,
    pub(super) target: Option<StreamId>,
    pub(super) failure: Failure,
}

/// An event that is not done with.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// The steps that cannot be done.
    pub(super) failed: Vec<Failed>,
    /// The others, as far as it came.
    pub(super) taken: Vec<Taken>,
}

impl Outcome {
    /// As it is kept for as long as another step of its event is parked. What the outside said is
    /// asked again, for its payment knows whether it still waits.
    pub(super) fn kept(&self, step_id: StepId) -> Option<Taken> {
        match self {
            Self::Done => Some(Taken { step_id, refused: None }),
            Self::Refused { code, detail } => {
                let (code, detail) = (code.clone(), detail.clone());
                Some(Taken { step_id, refused: Some(Failure { code, detail }) })
            }
            Self::Decided(_) | Self::Silence => None,
        }
    }

    pub(super) fn of(taken: &Taken) -> Self {
        match taken.refused.clone() {
            Some(Failure { code, detail }) => Self::Refused { code, detail },
            None => Self::Done,
        }
    }
}

impl From<Failed> for Unfinished {
    fn from(failed: Failed) -> Self {
        Self { failed: vec![failed], taken: vec![] }
    }
}

impl Failed {
    pub(super) fn new(
        name: impl Into<String>,
        target: Option<StreamId>,
        code: &str,
        detail: impl Into<String>,
    ) -> Self {
        let failure = Failure { code: code.to_owned(), detail: detail.into() };
        Self { name: name.into(), target, failure }
    }
}

impl<N: Default> Plan<N> {
    pub(super) fn of(steps: Vec<Step>) -> Self {
        Self { steps, next: N::default() }
    }

    pub(super) fn then(self, next: N) -> Self {
        Self { next, ..self }
    }
}

impl Step {
    pub(super) fn submit<A: Listed>(
        name: impl Into<String>,
        id: &A::Id,
        command: A::Command,
    ) -> Self {
        let addressed = Box::new(Addressed::to::<A>(id, command));
        Self { name: name.into(), action: Action::Submit(addressed) }
    }

    /// Among all steps of all events.
    pub(super) fn id(&self, event_id: EventId) -> StepId {
        StepId::of(event_id, &self.name, self.target())
    }

    /// The stream that the step tells something.
    pub(super) fn target(&self) -> Option<&StreamId> {
        match &self.action {
            Action::Submit(addressed) => Some(addressed.stream()),
            Action::Authorise(_) | Action::Void(_) => None,
        }
    }

    pub(super) fn void(payment_id: PaymentId) -> Self {
        Self { name: "void at provider".to_owned(), action: Action::Void(payment_id) }
    }
}
