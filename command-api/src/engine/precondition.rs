//! What must hold of a stream before a command is decided: `If-Match` and `If-None-Match`.

use domain::envelope::Revision;
use serde::{Deserialize, Serialize};

/// A condition on the revision of a stream; 0 is that of one which does not exist yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precondition {
    #[default]
    None,
    Exists,
    Absent,
    AnyOf(Vec<Revision>),
    NoneOf(Vec<Revision>),
}

impl Precondition {
    #[must_use]
    pub fn holds(&self, revision: Revision) -> bool {
        match self {
            Self::None => true,
            Self::Exists => revision > 0,
            Self::Absent => revision == 0,
            Self::AnyOf(revisions) => revisions.contains(&revision),
            Self::NoneOf(revisions) => !revisions.contains(&revision),
        }
    }

    /// As a request's hash has it: empty if there is none.
    #[must_use]
    pub fn for_hash(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::AnyOf(revisions) if revisions.len() == 1 => listed(revisions),
            other => other.to_string(),
        }
    }
}

impl From<Option<Revision>> for Precondition {
    fn from(expected: Option<Revision>) -> Self {
        expected.map_or(Self::None, |revision| Self::AnyOf(vec![revision]))
    }
}

/// For whoever learns that it does not hold.
impl std::fmt::Display for Precondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("there is no condition"),
            Self::Exists => f.write_str("If-Match asks for any revision"),
            Self::Absent => f.write_str("If-None-Match asks for none"),
            Self::AnyOf(revisions) if revisions.is_empty() => {
                f.write_str("If-Match names no revision (a weak tag never matches)")
            }
            Self::AnyOf(revisions) => write!(f, "If-Match names revision {}", listed(revisions)),
            Self::NoneOf(revisions) => {
                write!(f, "If-None-Match excludes revision {}", listed(revisions))
            }
        }
    }
}

fn listed(revisions: &[Revision]) -> String {
    let texts: Vec<String> = revisions.iter().map(ToString::to_string).collect();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_does_not_exist_is_at_revision_0() {
        let holds = |precondition: Precondition| [0, 1, 2].map(|it| precondition.holds(it));
        assert_eq!(holds(Precondition::None), [true, true, true]);
        assert_eq!(holds(Precondition::Exists), [false, true, true]);
        assert_eq!(holds(Precondition::Absent), [true, false, false]);
        assert_eq!(holds(Precondition::AnyOf(vec![0, 2])), [true, false, true]);
        assert_eq!(holds(Precondition::AnyOf(vec![])), [false, false, false]);
        assert_eq!(holds(Precondition::NoneOf(vec![1])), [true, false, true]);
    }
}
