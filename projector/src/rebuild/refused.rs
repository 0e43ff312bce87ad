//! Why a version does not do what was asked of it.

use axum::http::StatusCode;
use infra::http::problem::Problem;

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
