//! Things as clients see them: JSON that is made once and handed on as it is.

use bytes::Bytes;
use domain::envelope::Revision;
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
}

/// A stored document with members put at its front, without parsing it.
pub(super) fn with_members(members: &str, document: &str) -> Result<String, sqlx::Error> {
    let rest = document.strip_prefix('{').ok_or_else(|| undecodable("not an object"))?;
    let separator = if rest.trim_start().starts_with('}') { "" } else { "," };
    Ok(format!("{{{members}{separator}{rest}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_first() {
        let joined = with_members(r#""id":"x","revision":2"#, r#"{"lines": []}"#).unwrap();
        assert_eq!(joined, r#"{"id":"x","revision":2,"lines": []}"#);
        assert_eq!(with_members(r#""id":1"#, "{}").unwrap(), r#"{"id":1}"#);
        assert!(with_members(r#""id":1"#, "[]").is_err());
    }
}
