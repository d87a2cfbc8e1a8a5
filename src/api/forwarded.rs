//! Whose request a reverse proxy passes on, from `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use crate::config::TrustedProxies;
use crate::domain::client_address::ClientAddress;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// More proxies in a row are not followed.
const HOPS_MAX: usize = 16;

/// The client of a connection: its other end, or where that is a trusted proxy, whoever that speaks for. Every proxy adds
/// the address that it was asked from on the right; so from there, the first one that is no trusted proxy is the client,
/// and what stands left of it may be made up.
pub fn client(peer: ClientAddress, headers: &HeaderMap, trusted: &TrustedProxies) -> ClientAddress {
    if !trusted.trusts(peer) {
        return peer;
    }
    // Several headers are one list (RFC 9110, section 5.3).
    let values = headers.get_all(X_FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default());
    let lists: Vec<&str> = values.collect();
    let addresses = lists.into_iter().rev().flat_map(|list| list.rsplit(','));
    let mut client = peer;
    for address in addresses.take(HOPS_MAX) {
        // What is no address says nothing, nor does what is left of it.
        let Some(address) = parse(address.trim()) else { return client };
        client = address;
        if !trusted.trusts(client) {
            break;
        }
    }
    client
}

/// An address; some proxies add the port.
fn parse(text: &str) -> Option<ClientAddress> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(ClientAddress::from_ip)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(peer: &str, headers: &[&str], expected: &str) {
        let proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(str::to_owned);
        let trusted = TrustedProxies::parse(&proxies).expect("valid");
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(X_FORWARDED_FOR, HeaderValue::from_bytes(header.as_bytes()).expect("a value"));
        }
        let peer = ClientAddress::from_ip(peer.parse().expect("an address"));
        assert_eq!(client(peer, &map, &trusted).to_string(), expected, "{headers:?}");
    }

    #[test]
    fn the_rightmost_that_is_no_proxy_is_the_client() {
        check("127.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check("127.0.0.1", &["198.51.100.1, 192.0.2.1"], "192.0.2.1");
        check("127.0.0.1", &["198.51.100.1,192.0.2.1 , 10.1.2.3"], "192.0.2.1");
        check("127.0.0.1", &["198.51.100.1", "192.0.2.1", "10.1.2.3"], "192.0.2.1");
        check("fd00::1", &["2001:db8::1"], "2001:db8::1");
        check("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        check("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
        check("127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1");
        check("127.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1");
        // A client in the proxies' own network.
        check("127.0.0.1", &["10.0.0.2, 10.0.0.1"], "10.0.0.2");
    }

    #[test]
    fn others_are_not_believed_and_junk_says_nothing() {
        check("192.0.2.9", &["192.0.2.1"], "192.0.2.9");
        check("::ffff:192.0.2.9", &["192.0.2.1"], "192.0.2.9");
        check("127.0.0.1", &[], "127.0.0.1");
        for junk in ["", ",", "unknown", "192.0.2.1,", "192.0.2.1, é", "192.0.2.256", "192.0.2.1 x", "\t"] {
            check("127.0.0.1", &[junk], "127.0.0.1");
        }
        check("127.0.0.1", &["192.0.2.1", "unknown"], "127.0.0.1");
        check("127.0.0.1", &["192.0.2.1, unknown, 10.0.0.1"], "10.0.0.1");
        let many = vec!["10.0.0.1"; 20_000].join(",");
        check("127.0.0.1", &[&format!("192.0.2.1,{many}")], "10.0.0.1");
    }
}
