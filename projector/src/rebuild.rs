//! A version of a projection beside the live one: made from the log, switched to, rolled back,
//! dropped, while readers go on.
//!
//! 1. `begin` makes the schema: tables that are not logged, without the indexes that only readers
//!    need, and a mark that a crash of PostgreSQL wipes out along with the rows.
//! 2. `copy` reads each shard in bulk, with the same compare-and-set as any batch.
//! 3. `serve` takes the version from state to state: `finish` makes the tables durable and the
//!    indexes; then it follows the log like any other until it has caught up.
//! 4. `switch` shows it to readers, in one transaction, and leads back the same way.
//!
//! All state is in PostgreSQL, so any projector goes on where another was killed.
//!
//! **Invariant:** nothing here writes to a live version.

pub(crate) mod begin;
pub(crate) mod control;
pub(crate) mod copy;
pub(crate) mod finish;
pub(crate) mod switch;

use axum::http::StatusCode;
use infra::{
    http::problem::Problem,
    postgres::errors,
    telemetry::{Event, metric::Counter},
};
use tracing::info;

pub(crate) use control::Control;

static REBUILDS: Counter = Counter::new(
    "tradewind_projector_rebuild_steps_total",
    "Steps of versions from one state to another, by projection and the new state",
);

/// Why a version does not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no projection {0}")]
    NoProjection(String),
    #[error("{0}")]
    NoVersion(String),
    #[error("{0}")]
    Conflict(String),
    /// It may work later, when the version has caught up.
    #[error("{0}")]
    NotYet(String),
    #[error("PostgreSQL did not do it")]
    Database(#[from] sqlx::Error),
}

impl Refused {
    /// Whether the same may work in a moment: PostgreSQL is away, a lock could not be had, or a version
    /// that was live a moment ago begins to read by itself.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => errors::is_passing(error),
            Self::NotYet(_) => true,
            Self::NoProjection(_) | Self::NoVersion(_) | Self::Conflict(_) => false,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NoProjection(_) | Refused::NoVersion(_) => Self::not_found(detail),
            Refused::Conflict(_) => Self::rejected(StatusCode::CONFLICT, "version.state", detail),
            Refused::NotYet(_) => Self::unavailable("version.not_ready", detail),
            Refused::Database(error) => {
                Self::unavailable("unavailable", "PostgreSQL does not do it now").caused_by(error)
            }
        }
    }
}

/// A version has come from one state to another.
pub(crate) struct Stepped<'v> {
    pub projection: &'v str,
    pub version: i32,
    pub state: &'static str,
    pub detail: &'v str,
}

impl Event for Stepped<'_> {
    fn emit(self) {
        let Self { projection, version, state, detail } = self;
        REBUILDS.add(&[("projection", projection.to_owned()), ("state", state.to_owned())], 1);
        info!(projection, version, state, "{projection} v{version} is {state}: {detail}");
    }
}
