//! Who is at the other end of a connection, as far as limits care.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Whoever has one address of IPv6 has all that share its first half.
const V6_PREFIX: u128 = u128::MAX << 64;

/// What one client has of addresses: one of IPv4, a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & V6_PREFIX).into(),
        })
    }
}

/// The proxies that are believed when they say for whom they ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Networks and addresses, separated by commas; or `none`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self::none());
        }
        let network = |text: &str| {
            let text = text.trim();
            text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
        };
        text.split(',').map(network).collect::<Option<_>>().map(Self)
    }

    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who asks through this peer: of those that the trusted proxies name, the nearest that is not
    /// one of them.
    ///
    /// A proxy keeps one of the two headers and passes the other on as the client wrote it. If they
    /// disagree, nobody can tell which is which: then the proxy itself is who asks.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let listed = self.nearest(peer, values(headers, &X_FORWARDED_FOR).map(address));
        let forwarded = self.nearest(peer, values(headers, &FORWARDED).map(forwarded_for));
        match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
            (true, false) => listed,
            (false, true) => forwarded,
            (true, true) if listed == forwarded => listed,
            _ => peer,
        }
    }

    /// `hops` from the nearest on. Behind one that cannot be read, nothing is believed.
    fn nearest(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for hop in hops {
            let Some(hop) = hop else { return client };
            client = hop;
            if !self.trust(hop) {
                return client;
            }
        }
        client
    }
}

/// The elements of a header that is a list, the last one first.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values: Vec<_> = headers.get_all(name).into_iter().collect();
    let texts = values.into_iter().rev().map(|value| value.to_str().unwrap_or_default());
    texts.flat_map(|text| text.rsplit(',')).map(str::trim)
}

/// `for=192.0.2.60;proto=http`, `For="[2001:db8::1]:4711"`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    let (_, node) = nodes.next()?;
    address(node.trim().trim_matches('"'))
}

/// With or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, headers: &[(&'static str, &str)], expected: &str) {
        let proxies = Proxies::parse("10.0.0.0/8, 192.0.2.1, 2001:db8:1::/48").unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let client = proxies.client(peer.parse().unwrap(), &headers);
        assert_eq!(client.to_string(), expected, "{peer} {headers:?}");
    }

    #[test]
    fn strangers_are_not_believed() {
        check("198.51.100.7", &[("x-forwarded-for", "203.0.113.9")], "198.51.100.7");
        check("198.51.100.7", &[("forwarded", "for=203.0.113.9")], "198.51.100.7");
    }

    #[test]
    fn the_nearest_that_is_no_proxy_asks() {
        check("10.1.1.1", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
        check("::ffff:10.1.1.1", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
        // What comes before was written by the client.
        check("10.1.1.1", &[("x-forwarded-for", "1.1.1.1, 203.0.113.9")], "203.0.113.9");
        check("10.1.1.1", &[("x-forwarded-for", "1.1.1.1,203.0.113.9 , 10.2.2.2")], "203.0.113.9");
        check("10.1.1.1", &[("x-forwarded-for", "10.9.9.9, 10.2.2.2")], "10.9.9.9");
        check("10.1.1.1", &[("x-forwarded-for", "[2001:db8:7::9]:80")], "2001:db8:7::9");
        check("10.1.1.1", &[("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9");
        let for_six = "for=1.1.1.1, For=\"[2001:db8:7::9]:4711\";proto=https, for=10.2.2.2";
        check("2001:db8:1::5", &[("forwarded", for_six)], "2001:db8:7::9");
        check("10.1.1.1", &[], "10.1.1.1");
    }

    #[test]
    fn what_cannot_be_read_hides_all_behind_it() {
        check("10.1.1.1", &[("x-forwarded-for", "203.0.113.9, unknown, 10.2.2.2")], "10.2.2.2");
        check("10.1.1.1", &[("forwarded", "for=203.0.113.9, for=_hidden")], "10.1.1.1");
        check("10.1.1.1", &[("x-forwarded-for", "")], "10.1.1.1");
    }

    #[test]
    fn of_two_headers_that_disagree_one_is_forged() {
        let listed = ("x-forwarded-for", "203.0.113.9");
        check("10.1.1.1", &[listed, ("forwarded", "for=203.0.113.8")], "10.1.1.1");
        check("10.1.1.1", &[listed, ("forwarded", "for=203.0.113.9")], "203.0.113.9");
    }

    #[test]
    fn half_an_address_of_ipv6_is_one_client() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1:2:3"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }

    #[test]
    fn networks_have_a_prefix() {
        assert_eq!(Proxies::parse("none"), Some(Proxies::none()));
        for bad in ["", "10.0.0.0/33", "proxy", "10.0.0.1,,10.0.0.2"] {
            assert_eq!(Proxies::parse(bad), None, "{bad}");
        }
    }
}
