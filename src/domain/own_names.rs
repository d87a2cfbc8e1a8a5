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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_can_only_be_ours() {
        let names = OwnNames::new(&["NAS.example.com".to_owned()], "Box.office.example");
        for (host, is_ours) in [
            ("127.0.0.1", true),
            ("203.0.113.9", true),
            ("[::1]", true),
            ("[2001:db8::1]", true),
            ("::1", true),
            ("localhost", true),
            ("Page.LocalHost", true),
            ("nas", true),
            ("nas.local", true),
            ("a.b.lan.", true),
            ("nas.home.arpa", true),
            ("nas.internal", true),
            ("nas.EXAMPLE.com.", true),
            ("box.office.example", true),
            ("example.com", false),
            ("sub.nas.example.com", false),
            ("nas.example.com.evil.example", false),
            ("nas.local.evil.example", false),
            ("nas.notlocal", false),
            ("127.0.0.1.evil.example", false),
            ("127.1.", false),
            ("[127.0.0.1]", false),
            ("[fe80::1.evil.example]", false),
            ("nas.example.com..", false),
        ] {
            assert_eq!(names.include(host), is_ours, "{host}");
        }
    }
}
