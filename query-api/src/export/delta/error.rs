//! What may be wrong with a table, or with where it is.

use object_store::{Error, path::Path};

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeltaError {
    // Storage tells its whole chain of causes in its own text.
    #[error("{doing} {path}: {error}")]
    Storage { doing: &'static str, path: String, error: Error },
    #[error("{table} is no Delta table: {why}")]
    NoTable { table: String, why: String },
    #[error(
        "table {table} asks for version {reader} of readers and {writer} of writers, which this release does \
         not know"
    )]
    Newer { table: String, reader: i32, writer: i32 },
    #[error("{path} holds no actions of a Delta table: {why}")]
    Malformed { path: String, why: String },
    #[error("table {table} was removed or set back while it was being written")]
    Gone { table: String },
}

impl DeltaError {
    /// Whether trying again would meet the same.
    pub(crate) const fn is_final(&self) -> bool {
        !matches!(self, Self::Storage { .. })
    }
}

pub(crate) fn storage(doing: &'static str, path: &Path, error: Error) -> DeltaError {
    DeltaError::Storage { doing, path: path.to_string(), error }
}
