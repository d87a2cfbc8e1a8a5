//! The reverse proxies whose word on a client's address counts.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::domain::client_address::ClientAddress;

/// Stands for whoever connects by the Unix socket.
const UNIX: &str = "unix";

/// Addresses and networks of reverse proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    has_unix_socket: bool,
}

impl TrustedProxies {
    /// Parses addresses such as `192.0.2.1`, networks such as `10.0.0.0/8`, and the word `unix`.
    pub fn parse(items: &[String]) -> Option<Self> {
        let has_unix_socket = items.iter().any(|item| item == UNIX);
        let networks = items.iter().filter(|item| *item != UNIX).map(|item| parse_network(item));
        Some(Self { networks: networks.collect::<Option<_>>()?, has_unix_socket })
    }

    /// Whether this is one of them.
    pub fn trusts(&self, address: ClientAddress) -> bool {
        match address {
            ClientAddress::Network(address) => self.networks.iter().any(|network| network.contains(&address)),
            ClientAddress::UnixSocket => self.has_unix_socket,
        }
    }
}

/// Connections have canonical addresses: IPv4 written as IPv6 (`::ffff:a.b.c.d`) would never be met.
fn parse_network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text.parse().ok()?;
    let IpAddr::V4(address) = network.addr().to_canonical() else { return Some(network) };
    // Of a mapped one, the first 96 bits are fixed. Fewer would be all of IPv4 and more: nobody means that.
    let fixed_bits = network.max_prefix_len() - 32;
    let prefix = network.prefix_len().checked_sub(fixed_bits)?;
    Ipv4Net::new(address, prefix).ok().map(IpNet::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(items: &[&str], address: &str, expected: Option<bool>) {
        let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
        let address = ClientAddress::from_ip(address.parse().expect("an address"));
        assert_eq!(
            TrustedProxies::parse(&items).map(|proxies| proxies.trusts(address)),
            expected,
            "{items:?}"
        );
    }

    #[test]
    fn addresses_and_networks() {
        check(&[], "127.0.0.1", Some(false));
        check(&["unix"], "127.0.0.1", Some(false));
        check(&["127.0.0.1"], "127.0.0.1", Some(true));
        check(&["127.0.0.1"], "::ffff:127.0.0.1", Some(true));
        check(&["::ffff:127.0.0.1"], "127.0.0.1", Some(true));
        check(&["127.0.0.1"], "127.0.0.2", Some(false));
        check(&["192.0.2.1", "10.0.0.0/8"], "10.255.0.1", Some(true));
        check(&["10.0.0.1/8"], "10.255.0.1", Some(true));
        check(&["10.0.0.0/8"], "11.0.0.1", Some(false));
        check(&["fd00::/8"], "fd12::1", Some(true));
        check(&["0.0.0.0/0"], "fd12::1", Some(false));
        check(&["::ffff:10.0.0.0/104"], "10.255.0.1", Some(true));
        check(&["::ffff:10.0.0.0/104"], "11.0.0.1", Some(false));
        check(&["::ffff:192.0.2.1/128"], "192.0.2.1", Some(true));
        check(&["::ffff:192.0.2.1/128"], "192.0.2.2", Some(false));
        check(&["::ffff:0:0/96"], "192.0.2.1", Some(true));
        check(&["::ffff:0:0/96"], "fd12::1", Some(false));
        check(&["::/0"], "fd12::1", Some(true));
        // With the prefix of the IPv4 network it would trust far more than was meant.
        for wrong in ["::ffff:10.0.0.0/8", "::ffff:10.0.0.0/95"] {
            check(&[wrong], "10.0.0.1", None);
        }
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0.0/", "", "127.0.0.1:80", "Unix"] {
            check(&[wrong], "127.0.0.1", None);
        }
    }
}
