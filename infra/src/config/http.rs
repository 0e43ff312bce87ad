//! How a service listens, and how much clients may ask of it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use super::{Reader, Setting, duration, within};
use crate::http::client::Proxies;

const RATE: &str = "none, or units a second and how many may be saved up, such as 500/10000";

crate::settings! {
    /// How long a request may take; after it the answer is 503.
    REQUEST_WAIT_MAX = "http.request_wait_max", "a duration such as 10s", Some("10s");
    /// How long requests that are under way may go on after SIGTERM.
    DRAIN_WAIT_MAX = "http.drain_wait_max", "a duration such as 20s", Some("20s");
    /// Requests under way at once; more are refused with 503.
    REQUESTS_MAX = "http.requests_max", "a number of at least 1", Some("4096");
    /// Open connections of clients at once, and at most half of the file descriptors that the
    /// process may have; more wait to be accepted.
    CONNECTIONS_MAX = "http.connections_max", "a number of at least 1", Some("8192");
    /// Open connections of one address at once (of IPv6: of a /64), unless it is a trusted proxy;
    /// more get 429 and are closed. Without it a quarter of all, and half for the machine itself.
    CONNECTIONS_PER_ADDRESS_MAX = "http.connections_per_address_max",
        "a number of at least 1", None;
    /// How long a client may take for the head of a request, wait with its next one, or send or
    /// take nothing while a body or an answer is under way; then its connection ends.
    CLIENT_WAIT_MAX = "http.client_wait_max", "a duration such as 30s", Some("30s");
    /// Who is believed when X-Forwarded-For or Forwarded says who asks; a proxy must write one of
    /// them itself.
    TRUSTED_PROXIES = "http.trusted_proxies",
        "none, or networks such as 10.0.0.0/8,192.0.2.1", Some("none");
    /// Whose pages may ask from within a browser (CORS). `any` is for what everybody may read: keys
    /// are sent by scripts, not by browsers, so it gives nobody's rights away.
    CROSS_ORIGINS = "http.cross_origins",
        "none, any, or origins such as https://shop.example.org,https://till.example.org",
        Some("none");
    /// What all guests of one address (of IPv6: of a /64) may ask. A read weighs 1 unit, a command
    /// 2, and some more; the rest gets 429.
    ADDRESSES = "http.rate_of_addresses", RATE, Some("1000/40000");
    /// What the guest of one cart may ask, within what its address may.
    CARTS = "http.rate_of_carts", RATE, Some("50/1000");
    /// What a customer's key may ask.
    CUSTOMERS = "http.rate_of_customers", RATE, Some("500/10000");
    /// What a key of staff, analysts or operators may ask. Lines of a batch are not counted.
    KEYS = "http.rate_of_keys", RATE, Some("100000/200000");
    /// How many keys one address may try that are not known to hold, a key that holds once.
    UNKNOWN_KEYS = "http.rate_of_unknown_keys", RATE, Some("20/200");
}

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
        crate::read_all! {
            bind: reader.get(bind),
            ops_bind: reader.get(ops_bind),
            request_wait_max: reader.get_with(&REQUEST_WAIT_MAX, duration),
            drain_wait_max: reader.get_with(&DRAIN_WAIT_MAX, duration),
            requests_max: reader.get_with(&REQUESTS_MAX, within(1..)),
            connections_max: reader.get_with(&CONNECTIONS_MAX, within(1..)),
            connections_per_address_max:
                reader.optional_with(&CONNECTIONS_PER_ADDRESS_MAX, within(1..)),
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

/// What a bucket holds, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

/// Per kind of client; `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub addresses: Option<Rate>,
    pub carts: Option<Rate>,
    pub customers: Option<Rate>,
    pub keys: Option<Rate>,
    pub unknown_keys: Option<Rate>,
}

impl Rates {
    /// Nobody is limited.
    pub const NONE: Self =
        Self { addresses: None, carts: None, customers: None, keys: None, unknown_keys: None };

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        crate::read_all! {
            addresses: reader.get_with(&ADDRESSES, rate),
            carts: reader.get_with(&CARTS, rate),
            customers: reader.get_with(&CUSTOMERS, rate),
            keys: reader.get_with(&KEYS, rate),
            unknown_keys: reader.get_with(&UNKNOWN_KEYS, rate),
        }
    }
}

/// `500/10000`, or `none`.
fn rate(text: &str) -> Option<Option<Rate>> {
    if text.trim() == "none" {
        return Some(None);
    }
    let (per_second, burst) = text.split_once('/')?;
    let number = |text: &str| text.trim().parse().ok();
    Some(Some(Rate { per_second: number(per_second)?, burst: number(burst)? }))
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

    #[test]
    fn a_rate_has_two_numbers_that_are_not_nothing() {
        assert_eq!(rate("none"), Some(None));
        assert!(rate("5/10").is_some_and(|rate| rate.is_some_and(|rate| rate.burst.get() == 10)));
        for bad in ["", "5", "0/10", "5/0", "5/-1", "5/10/1", "5000000000/1"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }
}
