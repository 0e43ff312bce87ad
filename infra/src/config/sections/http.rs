//! How a service listens.

use std::{net::SocketAddr, time::Duration};

use crate::config::{Reader, Setting, duration};

const REQUEST_WAIT_MAX: Setting = Setting {
    key: "http.request_wait_max",
    doc: "How long a request may take; after it the answer is 503.",
    allowed: "a duration such as 10s",
    default: Some("10s"),
};
const DRAIN_WAIT_MAX: Setting = Setting {
    key: "http.drain_wait_max",
    doc: "How long requests that are under way may go on after SIGTERM.",
    allowed: "a duration such as 20s",
    default: Some("20s"),
};
const REQUESTS_MAX: Setting = Setting {
    key: "http.requests_max",
    doc: "Requests under way at once; more are refused with 503.",
    allowed: "a number of at least 1",
    default: Some("4096"),
};
const CONNECTIONS_MAX: Setting = Setting {
    key: "http.connections_max",
    doc: "Open connections at once; more wait to be accepted.",
    allowed: "a number of at least 1",
    default: Some("8192"),
};

#[derive(Clone, Debug)]
pub struct Http {
    pub bind: SocketAddr,
    pub request_wait_max: Duration,
    pub drain_wait_max: Duration,
    pub requests_max: usize,
    pub connections_max: usize,
}

impl Http {
    /// `bind` declares the address, whose default differs from service to service: see
    /// [`Http::bind_setting`].
    pub fn read(reader: &mut Reader<'_>, bind: &'static Setting) -> Option<Self> {
        let positive = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let bind = reader.get(bind);
        let request_wait_max = reader.get_with(&REQUEST_WAIT_MAX, duration);
        let drain_wait_max = reader.get_with(&DRAIN_WAIT_MAX, duration);
        let requests_max = reader.get_with(&REQUESTS_MAX, positive);
        let connections_max = reader.get_with(&CONNECTIONS_MAX, positive);
        Some(Self {
            bind: bind?,
            request_wait_max: request_wait_max?,
            drain_wait_max: drain_wait_max?,
            requests_max: requests_max?,
            connections_max: connections_max?,
        })
    }

    /// Declares `http.bind` with a service's own default.
    #[must_use]
    pub const fn bind_setting(default: &'static str) -> Setting {
        Setting {
            key: "http.bind",
            doc: "Where to listen; port 0 takes any free one.",
            allowed: "an address and port such as 127.0.0.1:8080",
            default: Some(default),
        }
    }

    /// All defaults, on any free port of this machine: for tests.
    #[must_use]
    pub const fn local() -> Self {
        Self {
            bind: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0),
            request_wait_max: Duration::from_secs(10),
            drain_wait_max: Duration::from_secs(20),
            requests_max: 4096,
            connections_max: 8192,
        }
    }
}
