//! Where a request comes from, for limits, the log and the audit trail.

use std::fmt;
use std::net::IpAddr;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    /// An address of the network; IPv4 addresses written as IPv6 are IPv4 addresses.
    Network(IpAddr),
    /// This machine, by a Unix socket.
    #[expect(dead_code, reason = "for listening on a Unix socket, which is on its way")]
    UnixSocket,
}

impl ClientAddress {
    /// From the address of a connection.
    pub fn from_ip(address: IpAddr) -> Self {
        Self::Network(address.to_canonical())
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
