//! What is wrong with the settings, in words that help to mend it; and what they expose: what travels so
//! that others on its way can read or change it is a warning at the start, or with `security.strict` a
//! mistake.

use std::{fmt, net::IpAddr};

crate::settings! {
    /// Whether settings by which passwords or data travel unencrypted to another machine are mistakes,
    /// which end the process at its start, instead of warnings.
    pub(super) STRICT = "security.strict", "true or false", Some("false");
}

/// The exit code of a process whose settings are wrong. Only `main` ends the process.
pub const EXIT_CODE: u8 = 2;

/// All mistakes of all settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub(super) Vec<Mistake>);

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
    /// It does not fit what it is for, or another setting.
    Unfit {
        origin: String,
        cause: String,
    },
    /// It lets others read or change what is sent.
    Exposed {
        origin: String,
        cause: String,
    },
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
            Self::Unfit { origin, cause } | Self::Exposed { origin, cause } => {
                write!(f, "{origin}: {cause}")
            }
        }
    }
}

/// The settings that expose something, each in a sentence.
#[derive(Debug, Default)]
#[must_use = "exposures must be logged"]
pub struct Exposures(pub(super) Vec<String>);

impl Exposures {
    /// Tells all, once there is a log to tell them in.
    pub fn tell(&self) {
        for exposure in &self.0 {
            tracing::warn!("{exposure}");
        }
    }
}

/// Whether what is sent to a host stays on this machine. A name is not looked up: what it means may
/// change.
pub(super) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_path = host.starts_with('/') || host.is_empty();
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    is_path || host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_is_what_never_leaves_the_machine() {
        let here = ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1", "[::1]"];
        let paths = ["", "/var/run/postgresql", "::ffff:127.0.0.1"];
        assert!(here.into_iter().chain(paths).all(is_here));
        let elsewhere = ["10.0.0.1", "kafka", "localhost.example.com", "127.0.0.1.example.com"];
        let more = ["0.0.0.0", "[fd00::1]", "::ffff:10.0.0.1"];
        assert!(!elsewhere.into_iter().chain(more).any(is_here));
    }
}
