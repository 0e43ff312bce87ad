//! What travels so that others on its way can read or change it: a warning at the start, or with
//! `security.strict` a mistake.

use std::net::IpAddr;

use super::setting::Setting;

pub(super) const STRICT: Setting = Setting {
    key: "security.strict",
    doc: "Whether settings by which passwords or data travel unencrypted to another machine are \
          mistakes, which end the process at its start, instead of warnings.",
    allowed: "true or false",
    default: Some("false"),
};

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

    #[must_use]
    pub fn sentences(&self) -> &[String] {
        &self.0
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
