//! Why a command about a parked step is refused, in words for operators.

use crate::{
    aggregate::RejectionKind,
    process::{OPEN_MAX, Status},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no such parked step; it may be done by now")]
    NotFound,
    #[error("the step is {} already: look again in a moment", .status.as_str())]
    NotParked { status: Status },
    #[error("{OPEN_MAX} steps of this shard are parked: retry or skip some")]
    Full,
}

impl Rejection {
    /// Stable, for machines.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "step.not_found",
            Self::NotParked { .. } => "step.not_parked",
            Self::Full => "step.full",
        }
    }

    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::NotFound,
            Self::NotParked { .. } | Self::Full => RejectionKind::Conflict,
        }
    }
}
