//! What is wrong with the settings, in words that help to mend it.

use std::fmt;

/// The exit code of a process whose settings are wrong. Only `main` ends the process.
pub const EXIT_CODE: u8 = 2;

/// All mistakes of all settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Missing {
        name: String,
        allowed: &'static str,
    },
    /// `found` is absent for secrets.
    Invalid {
        origin: String,
        found: Option<String>,
        allowed: &'static str,
    },
    Unknown {
        origin: String,
        known: Vec<String>,
    },
    /// A secret came as a value and as a file.
    Twice {
        origin: String,
        other: String,
    },
    Unreadable {
        origin: String,
        cause: String,
    },
    /// It lets others read or change what is sent.
    Exposed {
        origin: String,
        cause: String,
    },
}

impl Mistakes {
    pub(super) fn from_list(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() { Ok(()) } else { Err(Self(mistakes)) }
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} mistake{} in the settings", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, allowed } => write!(f, "{name}: missing; set it to {allowed}"),
            Self::Invalid { origin, found: Some(found), allowed } => {
                write!(f, "{origin}: found {found:?}, allowed is {allowed}")
            }
            Self::Invalid { origin, found: None, allowed } => {
                write!(f, "{origin}: found something else, allowed is {allowed}")
            }
            Self::Unknown { origin, known } if known.is_empty() => {
                write!(f, "{origin}: there is no such setting")
            }
            Self::Unknown { origin, known } => {
                write!(f, "{origin}: there is no such setting; there are {}", known.join(", "))
            }
            Self::Twice { origin, other } => {
                write!(f, "{origin}: also set by {other}; keep one of them")
            }
            Self::Unreadable { origin, cause } => write!(f, "{origin}: cannot be read: {cause}"),
            Self::Exposed { origin, cause } => write!(f, "{origin}: {cause}"),
        }
    }
}
