//! Why a read gave nothing, by what the caller can do about it.

use std::{sync::Arc, time::Duration};

use infra::{http::problem::Problem, postgres::errors::is_away};
use tokio::time::timeout;

/// How long a read may take that reached the server; after it the read fails rather than piles up.
const READ_WAIT_MAX: Duration = Duration::from_secs(8);

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It will pass: the server is away or starting, or the read models are still to be made.
    #[error("the read models cannot be reached")]
    Away(#[source] Arc<sqlx::Error>),
    #[error("the read models did not answer within {READ_WAIT_MAX:?}")]
    TooSlow,
    /// The service is shutting down.
    #[error("nobody reads any more")]
    Stopped,
    /// A bug, or read models of another make.
    #[error("the read models are not as they should be")]
    Broken(#[source] Arc<sqlx::Error>),
}

/// Runs a read within the time that one may take.
pub(super) async fn in_time<T>(
    read: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, ReadError> {
    match timeout(READ_WAIT_MAX, read).await {
        Ok(result) => result.map_err(ReadError::from),
        Err(_elapsed) => Err(ReadError::TooSlow),
    }
}

/// A column holds what no projector writes.
pub(super) fn undecodable(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::Decode(cause.into())
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) { Self::Away(Arc::new(error)) } else { Self::Broken(Arc::new(error)) }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Away(_) | ReadError::TooSlow | ReadError::Stopped => {
                let detail = "the read models cannot be reached now; ask again shortly";
                Self::unavailable("unavailable", detail).caused_by(error)
            }
            ReadError::Broken(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_problem_tells_of_the_database() {
        let away = ReadError::from(sqlx::Error::Protocol("column \"secret\" of db:5432".into()));
        let problem = Problem::from(away);
        assert_eq!((problem.status().as_u16(), problem.code()), (503, "unavailable"));
        assert!(!problem.to_json().to_string().contains("secret"));
        let broken = ReadError::from(sqlx::Error::ColumnNotFound("secret".into()));
        let problem = Problem::from(broken);
        assert_eq!(problem.status().as_u16(), 500);
        assert!(!problem.to_json().to_string().contains("secret"));
    }
}
