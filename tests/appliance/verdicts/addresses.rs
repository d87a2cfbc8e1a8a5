//! Addresses that a test never connects to, in every spelling and by every way that leads there, and those that it does.

use std::net::UdpSocket;

use serde_json::{Value, json};

use super::{Bench, SECRET_KEY, case, s3, with};
use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::proxy::{Socks5, open_proxy};
use crate::harness::fault_server::services::{keystone_token, s3_list, swift_v1};
use crate::harness::service::TestDirectory;
use crate::jobs::{end, start};

/// Hosts of addresses that are forbidden.
const FORBIDDEN: &[&str] = &[
    // Link-local, where clouds keep the credentials of their machines.
    "169.254.169.254",
    "169.254.0.1",
    "169.254.255.255",
    "169.254.170.2",
    // The same, otherwise spelled.
    "0xa9fea9fe",
    "0xA9FEA9FE",
    "2852039166",
    "025177524776",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "%31%36%39.254.169.254",
    "１６９.254.169.254",
    "169。254。169。254",
    // Other metadata services.
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "[fd00:0ec2:0:0::0254]",
    // This network, unspecified, multicast, reserved, broadcast.
    "0.0.0.0",
    "0",
    "0.1.2.3",
    "[::]",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[ff02::1]",
    "[fe80::1]",
    "[febf::1]",
    // IPv4 within IPv6: mapped, compatible, NAT64, local NAT64, 6to4.
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[::a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[2002:a9fe:a9fe::]",
    "[::ffff:0.0.0.0]",
    "[::ffff:224.0.0.1]",
    "[::ffff:100.100.100.200]",
    "[64:ff9b::6464:64c8]",
    "[2002:a83f:8110::]",
];

/// Runs a test of each connector, a part of them at a time; none may end otherwise than forbidden.
fn forbidden(bench: &Bench, rows: Vec<(String, Value)>, attribute: Option<&'static str>) {
    for part in rows.chunks(50) {
        let cases =
            part.iter().map(|(what, body)| case(what, body.clone(), "address_forbidden").about(attribute));
        bench.run(cases.collect());
    }
}

#[test]
fn forbidden_in_every_spelling() {
    let bench = Bench::impatient();
    let rows = |body: &dyn Fn(&str) -> Value| {
        FORBIDDEN.iter().map(|host| ((*host).to_owned(), body(host))).collect::<Vec<_>>()
    };
    for scheme in ["http", "https"] {
        forbidden(&bench, rows(&|host| s3(&format!("{scheme}://{host}/"))), Some("url"));
    }
    forbidden(&bench, rows(&|host| s3(&format!("{host}:9000"))), Some("url"));
    let optioned = |options: String| with(s3("http://127.0.0.1:1"), json!({ "options": options }));
    forbidden(&bench, rows(&|host| optioned(format!("url=http://{host}:81"))), Some("options"));
    bench.finish();
}

#[test]
fn forbidden_as_a_proxy() {
    let bench = Bench::impatient();
    // A URL parser leaves the host of a socks5 URL as it is; the name lookup then reads numbers in all their forms.
    for scheme in ["http", "https", "socks5"] {
        let proxy = |host: &str| format!("{scheme}://{host}:3128");
        let rows = |body: &dyn Fn(String) -> Value| {
            let rows =
                FORBIDDEN.iter().filter(|host| scheme != "socks5" || host.is_ascii() && !host.contains('%'));
            rows.map(|host| (format!("{scheme} {host}"), body(proxy(host)))).collect::<Vec<_>>()
        };
        let url = "http://127.0.0.1:1";
        forbidden(&bench, rows(&|proxy| with(s3(url), json!({ "url_proxy": proxy }))), Some("url_proxy"));
        let optioned = |proxy| with(s3(url), json!({ "options": format!("proxy={proxy}") }));
        forbidden(&bench, rows(&optioned), Some("options"));
    }
    bench.finish();
}

#[test]
fn forbidden_behind_a_proxy() {
    let bench = Bench::impatient();
    let http = bench.play(open_proxy());
    let socks = bench.watch(FaultServer::socks5(Socks5::default()));
    for proxy in [&http, &socks] {
        for scheme in ["http", "https"] {
            let through =
                |host: &str| with(s3(&format!("{scheme}://{host}")), json!({ "url_proxy": proxy.url() }));
            let rows = FORBIDDEN.iter().map(|host| ((*host).to_owned(), through(host))).collect();
            forbidden(&bench, rows, Some("url"));
        }
        assert_eq!(proxy.connections(), 0, "nobody is asked for a forbidden address");
    }
    bench.finish();
}

#[test]
fn forbidden_as_a_storage_url() {
    let bench = Bench::impatient();
    let mut rows = Vec::new();
    let own = format!("http://{}/v1/A", bench.service.address());
    let places = FORBIDDEN.iter().filter(|host| host.is_ascii()).step_by(3);
    let places = places.map(|host| format!("http://{host}/v1/A")).chain([own]);
    for place in places {
        let swift = |url: String| json!({ "provider": "openstack_swift", "url": url, "access_key": "p:u", "secret_key": SECRET_KEY });
        let storage = place.clone();
        let v1 = bench.http(move |request| swift_v1(request, "p:u", SECRET_KEY, &storage));
        rows.push((format!("v1: {place}"), swift(format!("{}/auth/v1.0", v1.url()))));
        let storage = place.clone();
        let v3 = bench.http(move |_| keystone_token(&[("object-store", "r", &storage)]));
        rows.push((format!("v3: {place}"), swift(format!("{}/v3", v3.url()))));
    }
    forbidden(&bench, rows, Some("url"));
    bench.finish();
}

#[test]
fn the_services_own_listener() {
    let bench = Bench::impatient();
    let port = bench.service.address().rsplit(':').next().expect("a port").to_owned();
    let own = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ];
    let mut rows = Vec::new();
    for host in own {
        rows.push((host.to_owned(), s3(&format!("http://{host}:{port}"))));
        rows.push((host.to_owned(), s3(&format!("https://{host}:{port}/api/v2"))));
    }
    forbidden(&bench, rows, Some("url"));
    let url = "http://127.0.0.1:1";
    let by_proxy = ["http", "socks5"].map(|scheme| {
        (scheme.to_owned(), with(s3(url), json!({ "url_proxy": format!("{scheme}://localhost:{port}") })))
    });
    forbidden(&bench, by_proxy.into(), Some("url_proxy"));
    let option = with(s3(url), json!({ "options": format!("url=http://127.0.0.1:{port}") }));
    forbidden(&bench, vec![("url=".to_owned(), option)], Some("options"));
    let forward = bench.play(open_proxy());
    let behind = with(s3(&format!("http://127.0.0.1:{port}")), json!({ "url_proxy": forward.url() }));
    forbidden(&bench, vec![("behind a proxy".to_owned(), behind)], Some("url"));
    assert_eq!(forward.connections(), 0);
    bench.run(vec![
        case("an address without a listener", s3(&format!("http://[::1]:{port}")), "address_forbidden")
            .or("connection_refused")
            .or("unreachable"),
    ]);
    bench.finish();
}

#[test]
fn a_listener_on_every_address() {
    let times = [("CONNECTORD_JOBS_DEADLINE_MS", "1500"), ("CONNECTORD_JOBS_CONNECT_TIMEOUT_MS", "400")];
    let bench = Bench::spawned(TestDirectory::new(), "0.0.0.0:0", &[], &times).expect("the service starts");
    let port = bench.service.address().rsplit(':').next().expect("a port").to_owned();
    let mut hosts =
        vec!["127.0.0.1".to_owned(), "127.0.0.2".to_owned(), "localhost".to_owned(), "127.9.9.9".to_owned()];
    // No packet is sent: it only asks which address this machine would send from.
    let outside = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    hosts.extend(outside.ok().map(|address| address.ip().to_string()));
    let rows = hosts.iter().map(|host| (host.clone(), s3(&format!("http://{host}:{port}")))).collect();
    forbidden(&bench, rows, Some("url"));
    bench.finish();
}

#[test]
fn allowed() {
    let bench = Bench::impatient();
    let server = bench.http(|request| match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => crate::harness::fault_server::http::Answer::new(404, ""),
    });
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        bench.lists(host, s3(&format!("http://{host}:{}", server.port())), &["photos"], &[]);
    }
    // Nobody knows what answers there; but it was tried.
    for host in [
        "10.255.255.1",
        "172.16.255.1",
        "172.31.255.1",
        "192.168.255.1",
        "100.64.0.1",
        "100.100.100.201",
        "127.0.0.2",
        "[::1]",
        "[fd00:ffff::1]",
        "169.253.255.255",
        "169.255.0.1",
        "[2002:0a00:0001::1]",
        "1.0.0.1",
        "223.255.255.1",
    ] {
        let ended = end(&bench.admin, &start(&bench.admin, &s3(&format!("http://{host}:7"))));
        let code = ended["error"]["code"].as_str().unwrap_or_default();
        if code.is_empty() || code == "address_forbidden" {
            bench.note_wrong(format!("{host}: {ended}"));
        }
    }
    bench.finish();
}
