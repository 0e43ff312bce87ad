//! A version of a projection beside the live one: made from the log, switched to, rolled back,
//! dropped, while readers go on.
//!
//! 1. `tables` makes the schema: tables that are not logged, without the indexes that only readers
//!    need, and a mark that a crash of PostgreSQL wipes out along with the rows.
//! 2. `copy` reads each shard in bulk, with the same compare-and-set as any batch.
//! 3. `serve` takes the version from state to state: `tables` makes them durable and the indexes;
//!    then it follows the log like any other until it has caught up.
//! 4. `switch` shows it to readers, in one transaction, and leads back the same way.
//!
//! All state is in PostgreSQL, so any projector goes on where another was killed.
//!
//! **Invariant:** nothing here writes to a live version.

pub(crate) mod control;
pub(crate) mod copy;
pub(crate) mod switch;
pub(crate) mod tables;

use axum::http::StatusCode;
use infra::{
    http::problem::Problem,
    postgres::{Pool, errors},
    telemetry::{Event, emit, metric::Counter},
};
use tracing::info;

pub(crate) use control::Control;

use crate::store::versions::{Version, VersionState};

static REBUILDS: Counter = Counter::new(
    "tradewind_projector_rebuild_steps_total",
    "Steps of versions from one state to another, by projection and the new state",
);

/// Why a version does not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    NotFound(String),
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
            Self::NotFound(_) | Self::Conflict(_) => false,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NotFound(_) => Self::not_found(detail),
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

/// Moves a version on, if it still is what is known of it.
pub(crate) async fn advance(
    pool: &Pool,
    version: &Version,
    to: VersionState,
    detail: &str,
) -> Result<bool, sqlx::Error> {
    let has_moved = version.move_on(pool, to).await?;
    if has_moved {
        let (projection, version, state) = (&*version.projection, version.version, to.as_str());
        emit(Stepped { projection, version, state, detail });
    }
    Ok(has_moved)
}

/// The version of this number, or the newest that is not live.
fn choose<'v>(
    name: &str,
    versions: &'v [Version],
    number: Option<i32>,
) -> Result<&'v Version, Refused> {
    let is_meant = |it: &&Version| match number {
        Some(number) => it.version == number,
        None => it.state != VersionState::Live,
    };
    versions.iter().rfind(is_meant).ok_or_else(|| {
        Refused::NotFound(match number {
            _ if versions.is_empty() => format!("there is no projection {name}"),
            Some(number) => format!("there is no {name} v{number}"),
            None => format!("{name} has no version beside the live one"),
        })
    })
}
