//! Why a command about a parked step is refused, in words for operators.

use crate::{
    aggregate::{Refusal, RejectionKind},
    process::Status,
};

/// Steps that one shard's processes may have parked; with one more they wait until there is room,
/// for a step must never be lost.
pub const OPEN_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no such parked step; it may be done by now")]
    NotFound,
    #[error("the step is {} already: look again in a moment", .status.as_str())]
    NotParked { status: Status },
    #[error("{OPEN_MAX} steps of this shard are parked: retry or skip some")]
    Full,
}

impl Refusal for Rejection {
    fn grounds(&self) -> (RejectionKind, &'static str) {
        use RejectionKind::{Conflict, NotFound};
        match self {
            Self::NotFound => (NotFound, "step.not_found"),
            Self::NotParked { .. } => (Conflict, "step.not_parked"),
            Self::Full => (Conflict, "step.full"),
        }
    }
}
