//! How a service listens.

use super::Rates;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    config::{Reader, Setting, duration},
    http::client::Proxies,
};

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
    doc: "Open connections of clients at once, and at most half of the file descriptors that the \
          process may have; more wait to be accepted.",
    allowed: "a number of at least 1",
    default: Some("8192"),
};

const CONNECTIONS_PER_ADDRESS_MAX: Setting = Setting {
    key: "http.connections_per_address_max",
    doc: "Open connections of one address at once (of IPv6: of a /64), unless it is a trusted proxy; \
          more get 429 and are closed. Without it a quarter of all, and half for the machine itself.",
    allowed: "a number of at least 1",
    default: None,
};
const CLIENT_WAIT_MAX: Setting = Setting {
    key: "http.client_wait_max",
    doc: "How long a client may take for the head of a request, wait with its next one, or send or \
          take nothing while a body or an answer is under way; then its connection ends.",
    allowed: "a duration such as 30s",
    default: Some("30s"),
};
const TRUSTED_PROXIES: Setting = Setting {
    key: "http.trusted_proxies",
    doc: "Who is believed when X-Forwarded-For or Forwarded says who asks; a proxy must write one of \
          them itself.",
    allowed: "none, or networks such as 10.0.0.0/8,192.0.2.1",
    default: Some("none"),
};

const CROSS_ORIGINS: Setting = Setting {
    key: "http.cross_origins",
    doc: "Whose pages may ask from within a browser (CORS). `any` is for what everybody may read: \
          keys are sent by scripts, not by browsers, so it gives nobody's rights away.",
    allowed: "none, any, or origins such as https://shop.example.org,https://till.example.org",
    default: Some("none"),
};

/// Whose pages may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    #[default]
    None,
    Any,
    These(Vec<String>),
}

impl Origins {
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "none" => Some(Self::None),
            "any" => Some(Self::Any),
            list => list.split(',').map(origin).collect::<Option<_>>().map(Self::These),
        }
    }
}

/// As browsers write it: `null` for what is none, no path, no slash at the end.
fn origin(text: &str) -> Option<String> {
    let origin = url::Url::parse(text.trim()).ok()?.origin();
    let written = origin.ascii_serialization();
    (origin.is_tuple() && written == text.trim()).then_some(written)
}

/// Any free port of this machine.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[derive(Clone, Debug)]
pub struct Http {
    pub bind: SocketAddr,
    /// Of the listener for operations.
    pub ops_bind: SocketAddr,
    pub request_wait_max: Duration,
    pub drain_wait_max: Duration,
    pub requests_max: usize,
    pub connections_max: usize,
    /// `None`: a share of all.
    pub connections_per_address_max: Option<usize>,
    pub client_wait_max: Duration,
    pub trusted_proxies: Proxies,
    pub rates: Rates,
    pub origins: Origins,
}

impl Http {
    /// `bind` and `ops_bind` declare the addresses, whose defaults differ from service to service:
    /// see [`Http::bind_setting`] and [`Http::ops_bind_setting`].
    pub fn read(
        reader: &mut Reader<'_>,
        bind: &'static Setting,
        ops_bind: &'static Setting,
    ) -> Option<Self> {
        let positive = |text: &str| text.parse().ok().filter(|number| *number > 0);
        crate::read_all! {
            bind: reader.get(bind),
            ops_bind: reader.get(ops_bind),
            request_wait_max: reader.get_with(&REQUEST_WAIT_MAX, duration),
            drain_wait_max: reader.get_with(&DRAIN_WAIT_MAX, duration),
            requests_max: reader.get_with(&REQUESTS_MAX, positive),
            connections_max: reader.get_with(&CONNECTIONS_MAX, positive),
            connections_per_address_max:
                reader.optional_with(&CONNECTIONS_PER_ADDRESS_MAX, positive),
            client_wait_max: reader.get_with(&CLIENT_WAIT_MAX, duration),
            trusted_proxies: reader.get_with(&TRUSTED_PROXIES, Proxies::parse),
            origins: reader.get_with(&CROSS_ORIGINS, Origins::parse),
            rates: Rates::read(reader),
        }
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

    /// Declares `ops.bind` with a service's own default.
    #[must_use]
    pub const fn ops_bind_setting(default: &'static str) -> Setting {
        Setting {
            key: "ops.bind",
            doc: "Where to listen for operators and other nodes: health, metrics and what nodes ask \
                  each other. Clients have no business there; port 0 takes any free one.",
            allowed: "an address and port such as 127.0.0.1:8090",
            default: Some(default),
        }
    }

    /// All defaults, on any free port of this machine, and no rates: for tests.
    #[must_use]
    pub const fn local() -> Self {
        Self {
            bind: LOCAL,
            ops_bind: LOCAL,
            request_wait_max: Duration::from_secs(10),
            drain_wait_max: Duration::from_secs(20),
            requests_max: 4096,
            connections_max: 8192,
            connections_per_address_max: None,
            client_wait_max: Duration::from_secs(30),
            trusted_proxies: Proxies::none(),
            origins: Origins::None,
            rates: Rates::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(Origins::parse("none"), Some(Origins::None));
        assert_eq!(Origins::parse("any"), Some(Origins::Any));
        let two = ["https://a.example", "http://b.example:8080"].map(str::to_owned);
        let written = "https://a.example, http://b.example:8080";
        assert_eq!(Origins::parse(written), Some(Origins::These(two.into())));
        for bad in
            ["", "a.example", "https://a.example/", "https://a.example/shop", "file:///a", "*"]
        {
            assert_eq!(Origins::parse(bad), None, "{bad}");
        }
    }
}
