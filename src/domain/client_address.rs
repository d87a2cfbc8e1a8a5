//! Where a request comes from, for limits, the log and the audit trail.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    /// An address of the network; IPv4 addresses written as IPv6 are IPv4 addresses.
    Network(IpAddr),
    /// This machine, by a Unix socket.
    UnixSocket,
}

impl ClientAddress {
    /// From the address of a connection.
    pub fn from_ip(address: IpAddr) -> Self {
        Self::Network(address.to_canonical())
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "unix" => Some(Self::UnixSocket),
            text => text.parse().ok().map(Self::from_ip),
        }
    }

    /// What belongs to one customer of a network provider: of an IPv6 address the first 64 bits (RFC 6177), else the
    /// address itself.
    pub fn network(self) -> Self {
        match self {
            Self::Network(IpAddr::V6(address)) => {
                let prefix = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
                Self::Network(IpAddr::V6(prefix))
            }
            Self::Network(IpAddr::V4(_)) | Self::UnixSocket => self,
        }
    }

    /// The network for people, such as `2001:db8::/64`.
    pub fn network_text(self) -> String {
        let network = self.network();
        match network {
            Self::Network(IpAddr::V6(_)) => format!("{network}/64"),
            Self::Network(IpAddr::V4(_)) | Self::UnixSocket => network.to_string(),
        }
    }

    /// Reads what [`ClientAddress::network_text`] writes.
    pub fn parse_network(text: &str) -> Option<Self> {
        Self::parse(text.strip_suffix("/64").unwrap_or(text))
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddress::Network(address) => address.fmt(formatter),
            ClientAddress::UnixSocket => formatter.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let address = ClientAddress::parse(text).expect("an address");
        let network = address.network_text();
        assert_eq!(network, expected);
        assert_eq!(ClientAddress::parse_network(&network), Some(address.network()));
        assert_eq!(ClientAddress::parse(&address.to_string()), Some(address));
    }

    #[test]
    fn networks() {
        check("192.0.2.1", "192.0.2.1");
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("::1", "::/64");
        check("unix", "unix");
        assert_eq!(ClientAddress::parse("192.0.2"), None);
    }
}
