//! Addresses that an errand of ours may never reach, since whoever wrote the connector could not reach them either.
//!
//! A cloud's metadata service gives out credentials to whoever asks from the machine itself. Loopback and private
//! networks are allowed: a NAS stands next to the object storage that it mounts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Metadata services outside of the link-local network.
const METADATA_V4: [Ipv4Addr; 3] = [
    // Alibaba Cloud, "Instance metadata".
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure, "What is IP address 168.63.129.16?": the wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle Cloud Classic, "Retrieving instance metadata".
    Ipv4Addr::new(192, 0, 0, 192),
];

/// fd00:ec2::/32, where Amazon EC2 keeps services of an instance: metadata, and credentials of pods.
const AMAZON_METADATA_NETWORK: [u16; 2] = [0xfd00, 0x0ec2];

/// Metadata services in unique local networks (RFC 4193), which are otherwise allowed.
const METADATA_V6: [Ipv6Addr; 3] = [
    // Google Compute Engine, "About VM metadata".
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    // Oracle Cloud Infrastructure, "Getting instance metadata".
    Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    // Scaleway, "Instance metadata".
    Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042),
];

/// Whether an address is one that no errand may reach, in whatever form it is written.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => is_forbidden_v6(address),
    }
}

/// The address that a URL names instead of a host, in any spelling: `127.1`, `0x7f000001`, `2130706433`, a dot at the end.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        // Outside of http and https the parser leaves a host as it is, but who connects reads it all the same.
        Host::Domain(name) => match Host::parse(name).ok()? {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        },
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // RFC 1122 3.2.1.3: "this network"; Linux takes 0.0.0.0 for the machine itself.
    first == 0
        // RFC 3927: 169.254.0.0/16, with the metadata services of most clouds.
        || address.is_link_local()
        // RFC 5771: 224.0.0.0/4.
        || address.is_multicast()
        // RFC 1112 4: 240.0.0.0/4 is reserved; RFC 919: its last address is the broadcast.
        || first >= 240
        || METADATA_V4.contains(&address)
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    // RFC 4291 2.5.3: without this it would read as the IPv4-compatible form of 0.0.0.1.
    if address == Ipv6Addr::LOCALHOST {
        return false;
    }
    // RFC 4291 2.5.2: the unspecified address, taken for the machine itself.
    address.is_unspecified()
        // RFC 4291 2.5.6: fe80::/10.
        || address.is_unicast_link_local()
        // RFC 4291 2.7: ff00::/8.
        || address.is_multicast()
        || METADATA_V6.contains(&address)
        || address.segments()[..2] == AMAZON_METADATA_NETWORK
        || embedded(address).into_iter().flatten().any(is_forbidden_v4)
}

/// The IPv4 addresses that an IPv6 address may stand for. Where a network chooses the form, all that fit.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let segments = address.segments();
    let [.., a, b, c, d] = address.octets();
    let last = Ipv4Addr::new(a, b, c, d);
    match segments {
        // RFC 4291 2.5.5.1 and 2.5.5.2: ::/96 IPv4-compatible, ::ffff:0:0/96 IPv4-mapped.
        // RFC 2765 2.1: ::ffff:0:0:0/96 IPv4-translated. RFC 6052 2.1: 64:ff9b::/96 NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            [Some(last), None, None]
        }
        [0x64, 0xff9b, 1, ..] => local_nat64(address),
        // RFC 3056 2: 2002:V4ADDR::/48, 6to4.
        [0x2002, high, low, ..] => [Some(joined(high, low)), None, None],
        // RFC 4380 4: 2001::/32, Teredo; the client's address is last, with every bit turned.
        [0x2001, 0, .., high, low] => [Some(joined(!high, !low)), None, None],
        _ => [None; 3],
    }
}

/// RFC 8215: in 64:ff9b:1::/48 a network puts prefixes of its own. RFC 6052 2.2 says where the address is with each length
/// of a prefix: octet 8 is zero and left out, and what follows the address is zero.
fn local_nat64(address: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let octets = address.octets();
    let fits = |end: usize| octets[8] == 0 && octets[end..].iter().all(|octet| *octet == 0);
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    let with_48 = fits(11).then(|| at([6, 7, 9, 10]));
    let with_56 = fits(12).then(|| at([7, 9, 10, 11]));
    // With a prefix of 96 bits nothing follows; where the end is zero it is rather the end of a shorter form.
    let with_64_or_96 = if fits(13) { at([9, 10, 11, 12]) } else { at([12, 13, 14, 15]) };
    [with_48, with_56, Some(with_64_or_96)]
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORBIDDEN_V4: [&str; 20] = [
        "169.254.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.0.0.1",
        "0.1.2.3",
        "0.255.255.255",
        "224.0.0.1",
        "232.1.2.3",
        "239.255.255.250",
        "239.255.255.255",
        "240.0.0.1",
        "247.1.2.3",
        "254.1.2.3",
        "255.0.0.1",
        "255.255.255.255",
    ];

    const ALLOWED_V4: [&str; 19] = [
        "127.0.0.1",
        "127.255.255.255",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.199",
        "100.100.100.201",
        "168.63.129.15",
        "168.63.129.17",
        "192.0.0.191",
        "192.0.0.193",
        "169.253.255.255",
        "169.255.0.1",
        "1.0.0.1",
        "8.8.8.8",
        "198.51.100.7",
        "223.255.255.255",
    ];

    fn v4(text: &str) -> Ipv4Addr {
        text.parse().expect(text)
    }

    /// An IPv4 address in each IPv6 form that can stand for it.
    fn forms(address: Ipv4Addr) -> Vec<String> {
        let [a, b, c, d] = address.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        vec![
            format!("::ffff:{address}"),
            format!("0:0:0:0:0:ffff:{high:x}:{low:x}"),
            format!("::{address}"),
            format!("::ffff:0:{address}"),
            format!("64:ff9b::{address}"),
            format!("64:ff9b:1::{address}"),
            format!("64:ff9b:1:abcd:ef01:2345:{high:x}:{low:x}"),
            format!("2002:{high:x}:{low:x}::"),
            format!("2002:{high:x}:{low:x}:1:2:3:4:5"),
            format!("2001::{:x}:{:x}", !high, !low),
            format!("2001:0:4136:e378:8000:63bf:{:x}:{:x}", !high, !low),
        ]
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let address: IpAddr = text.parse().expect(text);
        assert_eq!(is_forbidden(address), expected, "{text}");
    }

    #[test]
    fn addresses_are_judged_in_every_form() {
        for (addresses, expected) in [(FORBIDDEN_V4.as_slice(), true), (ALLOWED_V4.as_slice(), false)] {
            for text in addresses {
                check(text, expected);
                for form in forms(v4(text)) {
                    // ::0.0.0.1 is ::1, the loopback; a compatible form of it does not exist.
                    check(&form, expected && form != "::0.0.0.1");
                }
            }
        }
    }

    #[test]
    fn addresses_of_ipv6_are_judged() {
        for text in [
            "::",
            "::2",
            "fe80::",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "febf:ffff::1",
            "ff00::",
            "ff02::1",
            "ff0e::1:2",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
        ] {
            check(text, true);
        }
        for text in [
            "::1",
            "fd00::1",
            "fd00:ec3::254",
            "fc00::1",
            "fec0::1",
            "fe7f::1",
            "2001:db8::1",
            "2001:4860:4860::8888",
            "2001:1::1",
            "2003::a9fe:a9fe",
            "2606:4700::1111",
            "64:ff9a::a9fe:a9fe",
            "1::a9fe:a9fe",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn local_nat64_hides_nothing_with_any_prefix() {
        for text in FORBIDDEN_V4 {
            let [a, b, c, d] = v4(text).octets();
            let with_48 = [a, b, 0, c, d, 0, 0, 0, 0, 0];
            let with_56 = [0xab, a, 0, b, c, d, 0, 0, 0, 0];
            let with_64 = [0xab, 0xcd, 0, a, b, c, d, 0, 0, 0];
            for end in [with_48, with_56, with_64] {
                let mut octets = [0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                octets[6..].copy_from_slice(&end);
                assert!(is_forbidden(IpAddr::from(octets)), "{text} {:?}", Ipv6Addr::from(octets));
            }
        }
        check("64:ff9b:1:abcd:c0:a801:100:0", false);
    }

    #[test]
    fn literals_are_found_in_any_spelling() {
        let cases = [
            ("http://169.254.169.254/", Some("169.254.169.254")),
            ("http://169.254.169.254./", Some("169.254.169.254")),
            ("http://2852039166/", Some("169.254.169.254")),
            ("http://0xa9fea9fe:80/", Some("169.254.169.254")),
            ("http://0251.0376.0251.0376/", Some("169.254.169.254")),
            ("http://169.16689662/", Some("169.254.169.254")),
            ("http://169.254.43518/", Some("169.254.169.254")),
            ("http://0xA9.0xfe.169.254/", Some("169.254.169.254")),
            ("http://１６９.254.169.254/", Some("169.254.169.254")),
            ("http://169。254。169。254/", Some("169.254.169.254")),
            ("http://%31%36%39.254.169.254/", Some("169.254.169.254")),
            ("http://127.1/", Some("127.0.0.1")),
            ("http://0/", Some("0.0.0.0")),
            ("https://[::1]:9000/", Some("::1")),
            ("https://[::ffff:169.254.169.254]/", Some("::ffff:169.254.169.254")),
            ("socks5://169.254.169.254:1080", Some("169.254.169.254")),
            ("socks5://169.254.169.254.:1080", Some("169.254.169.254")),
            ("socks5://0xa9fea9fe", Some("169.254.169.254")),
            ("socks5://%31%36%39.254.169.254", Some("169.254.169.254")),
            ("socks5://[fe80::1]", Some("fe80::1")),
            ("http://localhost/", None),
            ("http://s3.example.com./", None),
            ("http://169.254.169.254.example.com/", None),
            ("socks5://proxy:1080", None),
            ("data:text", None),
        ];
        for (text, expected) in cases {
            let url = Url::parse(text).expect(text);
            let expected = expected.map(|address| address.parse().expect(address));
            assert_eq!(literal(&url), expected, "{text}");
        }
    }
}
