//! Who a request comes from, where proxies stand in front.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use serde::{Deserialize, Serialize};

use crate::net::Subnet;

/// Proxies in a row that are looked at.
const HOPS_MAX: usize = 32;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The field in which trusted proxies name the client. Only one is read: a proxy that adds to one
/// of them passes on what the client wrote into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`.
    #[default]
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    #[serde(rename = "forwarded")]
    Forwarded,
}

/// Tells clients from the proxies in front of them.
pub(in crate::net) struct Clients {
    trusted: Vec<Subnet>,
    by: ForwardedBy,
}

impl Clients {
    pub(in crate::net) fn new(trusted: Vec<Subnet>, by: ForwardedBy) -> Self {
        Self { trusted, by }
    }

    /// True when `address` is a proxy's whose word is taken.
    pub(in crate::net) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|subnet| subnet.contains(address))
    }

    /// True when no proxy is named.
    pub(in crate::net) fn trusts_nobody(&self) -> bool {
        self.trusted.is_empty()
    }

    /// The client of a request that came from `peer`: the last one in its `headers` that is no
    /// trusted proxy itself. Its port is 0 when it is not told.
    pub(in crate::net) fn of(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if self.trusted.is_empty() || !self.trusts(peer.ip()) {
            return peer;
        }
        let name = match self.by {
            ForwardedBy::XForwardedFor => X_FORWARDED_FOR,
            ForwardedBy::Forwarded => header::FORWARDED,
        };
        let mut client = peer;
        let lines = headers.get_all(name).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for hop in hops.take(HOPS_MAX) {
            let named = match self.by {
                ForwardedBy::XForwardedFor => address(hop.trim()),
                ForwardedBy::Forwarded => forwarded_for(hop),
            };
            // What stands before something that cannot be read may be the client's own invention.
            let Some(named) = named else { break };
            client = named;
            if !self.trusts(named.ip()) {
                break;
            }
        }
        client
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<SocketAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// An address with or without a port; IPv6 in brackets or bare.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let found = text.parse().ok().or_else(|| {
        let address: IpAddr = bare.unwrap_or(text).parse().ok()?;
        Some(SocketAddr::new(address, 0))
    })?;
    Some(SocketAddr::new(found.ip().to_canonical(), found.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(by: ForwardedBy, peer: &str, lines: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap());
        let clients = Clients::new(trusted.to_vec(), by);
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        clients.of(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        let client = |peer, lines: &[_]| client(ForwardedBy::XForwardedFor, peer, lines);
        let named = &["x-forwarded-for: 192.0.2.7"][..];
        assert_eq!(client("203.0.113.1:5", named), "203.0.113.1:5");
        assert_eq!(client("10.0.0.1:5", named), "192.0.2.7:0");
        assert_eq!(client("[::ffff:10.0.0.1]:5", named), "192.0.2.7:0");
        assert_eq!(client("10.0.0.1:5", &[]), "10.0.0.1:5");
        let other = &["forwarded: for=192.0.2.9"][..];
        assert_eq!(client("10.0.0.1:5", other), "10.0.0.1:5");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        let client = |lines: &[_]| client(ForwardedBy::XForwardedFor, "10.0.0.1:5", lines);
        for (lines, expected) in [
            (
                &["x-forwarded-for: 1.1.1.1, 192.0.2.7, 10.9.9.9"][..],
                "192.0.2.7:0",
            ),
            (
                &["x-forwarded-for: 1.1.1.1", "x-forwarded-for: 192.0.2.7"],
                "192.0.2.7:0",
            ),
            (&["x-forwarded-for: 192.0.2.7:4711"], "192.0.2.7:4711"),
            (&["x-forwarded-for: 2001:db8::1"], "[2001:db8::1]:0"),
            (&["x-forwarded-for: 10.1.1.1, 10.2.2.2"], "10.1.1.1:0"),
            (
                &["x-forwarded-for: 1.1.1.1, unknown, 10.2.2.2"],
                "10.2.2.2:0",
            ),
            (&["x-forwarded-for: ,"], "10.0.0.1:5"),
        ] {
            assert_eq!(client(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_where_it_is_the_proxies_field() {
        let client = |lines: &[_]| client(ForwardedBy::Forwarded, "[fd00::1]:5", lines);
        for (lines, expected) in [
            (
                &["forwarded: for=192.0.2.60;proto=http;by=203.0.113.43"][..],
                "192.0.2.60:0",
            ),
            (
                &["forwarded: proto=https; For=\"[2001:db8:cafe::17]:4711\""],
                "[2001:db8:cafe::17]:4711",
            ),
            (&["forwarded: for=1.1.1.1, for=192.0.2.43"], "192.0.2.43:0"),
            (
                &["forwarded: for=_hidden, for=\"[fd00::2]\""],
                "[fd00::2]:0",
            ),
            (&["x-forwarded-for: 192.0.2.7"], "[fd00::1]:5"),
        ] {
            assert_eq!(client(lines), expected, "{lines:?}");
        }
    }
}
