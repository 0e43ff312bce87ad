//! Things as clients see them: JSON that is made once and handed on as it is.

use bytes::Bytes;
use domain::envelope::Revision;
use read_models::Shown;
use serde::Serialize;

/// One thing with its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entity {
    pub(crate) revision: Revision,
    /// A JSON object. Clones share it.
    pub(crate) body: Bytes,
}

impl Entity {
    pub(super) fn of(revision: Revision, value: &impl Serialize) -> Result<Self, sqlx::Error> {
        let body = serde_json::to_vec(value).map_err(undecodable)?;
        Ok(Self { revision, body: body.into() })
    }

    /// A stored document, which is not parsed.
    pub(super) fn shown<H: Serialize, T>(shown: &Shown<H, T>) -> Result<Self, sqlx::Error> {
        let body = shown.to_json().map_err(undecodable)?;
        Ok(Self { revision: revision(shown.revision)?, body: body.into() })
    }
}

/// A revision as a column holds it.
pub(super) fn revision(column: i64) -> Result<Revision, sqlx::Error> {
    Revision::try_from(column).map_err(undecodable)
}

/// A column holds what no projector writes.
pub(super) fn undecodable(
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::Decode(cause.into())
}
