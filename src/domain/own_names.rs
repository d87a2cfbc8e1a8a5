//! The names that this service goes by: a page under any other name is somebody else's (DNS rebinding).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Endings of names that no public name server answers for: RFC 6762, RFC 8375, ICANN's `.internal`, and what home
/// routers use.
const LOCAL_ENDINGS: [&str; 4] = [".local", ".lan", ".home.arpa", ".internal"];

/// Names that this machine goes by, besides those that anybody may use.
#[derive(Debug, Clone)]
pub struct OwnNames {
    configured: Vec<String>,
    machine: String,
}

impl OwnNames {
    /// The configured names, and the machine's own.
    pub fn new(configured: &[String], machine: &str) -> Self {
        let configured = configured.iter().map(|name| name.to_lowercase()).collect();
        Self { configured, machine: machine.to_lowercase() }
    }

    /// Whether a page under this host can only be ours: an address, or a name that only the local network gives out.
    pub fn include(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
        let is_address = host.parse::<Ipv4Addr>().is_ok()
            || host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
                .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
        is_address
            || !host.contains('.')
            || host.ends_with(".localhost")
            || LOCAL_ENDINGS.iter().any(|ending| host.ends_with(ending))
            || host == self.machine
            || self.configured.contains(&host)
    }
}
