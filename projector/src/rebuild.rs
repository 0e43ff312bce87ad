//! A version of a projection beside the live one: made from the log, switched to, rolled back,
//! dropped, while readers go on.
//!
//! 1. `begin` makes the schema: tables that are not logged, without the indexes that only readers
//!    need, and a mark that a crash of PostgreSQL wipes out along with the rows.
//! 2. `copy` reads each shard in bulk, with the same compare-and-set as any batch.
//! 3. `lifecycle` takes the version from state to state: `finish` makes the tables durable and the
//!    indexes; then the runner feeds it like any other until it has caught up.
//! 4. `switch` shows it to readers, in one transaction, and leads back the same way.
//!
//! All state is in PostgreSQL, so any projector goes on where another was killed.
//!
//! **Invariant:** nothing here writes to a live version.

pub(crate) mod begin;
pub(crate) mod control;
pub(crate) mod copy;
mod finish;
pub(crate) mod lifecycle;
pub(crate) mod switch;

use axum::http::StatusCode;
use infra::http::problem::Problem;

pub(crate) use control::Control;

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
            Self::Database(error) => match error.as_database_error() {
                Some(error) => error.code().is_none_or(|code| {
                    ["08", "40", "53", "55", "57", "58"].iter().any(|it| code.starts_with(it))
                }),
                None => true,
            },
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
