//! Names: not found, and a name server that never answers.

use std::net::UdpSocket;

use serde_json::json;

use super::{Bench, case, s3, with};
use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::http::Answer;
use crate::harness::fault_server::proxy::Socks5;
use crate::harness::fault_server::services::s3_list;
use crate::harness::service::TestDirectory;
use crate::harness::skip;

/// Gives a program another list of name servers: in a mount namespace of its own, which ends with it.
const WITH_NAME_SERVER: &str = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";

#[test]
fn names_that_nobody_knows() {
    let bench = Bench::new();
    bench.run(vec![
        case("http", s3("http://no-such-host.invalid"), "name_not_found").says("no-such-host.invalid"),
        case("https", s3("https://no-such-host.invalid:9000"), "name_not_found").says("no-such-host.invalid"),
        case(
            "as an option",
            with(s3("http://127.0.0.1:1"), json!({ "options": "url=http://no-such-host.invalid" })),
            "name_not_found",
        )
        .about(Some("options")),
        case("with a dot", s3("http://no-such-host.invalid."), "name_not_found"),
        case("a label that is too long", s3(&format!("http://{}.invalid", "a".repeat(70))), "name_not_found")
            .or("url_invalid"),
    ]);
    bench.finish();
}

#[test]
fn a_name_server_that_never_answers() {
    // Holds the port and reads nothing, so that the sender hears nothing.
    let silent = (53..64).find_map(|last| {
        let address = format!("127.0.0.{last}");
        UdpSocket::bind((address.as_str(), 53)).ok().map(|socket| (address, socket))
    });
    let Some((address, _held)) = silent else {
        skip("port 53 cannot be listened on");
        return;
    };
    let directory = TestDirectory::new();
    let servers = directory.path().join("resolv.conf");
    std::fs::write(&servers, format!("nameserver {address}\noptions timeout:20 attempts:2\n"))
        .expect("written");
    let servers = servers.display().to_string();
    let wrapper = ["unshare", "--mount", "sh", "-c", WITH_NAME_SERVER, &servers];
    let times = [("CONNECTORD_JOBS_DEADLINE_MS", "3000"), ("CONNECTORD_JOBS_CONNECT_TIMEOUT_MS", "600")];
    let bench = match Bench::spawned(directory, "127.0.0.1:0", &wrapper, &times) {
        Ok(bench) => bench,
        Err(log) => {
            skip(&format!("there is no mount namespace: {log}"));
            return;
        }
    };
    bench.run(vec![
        case("http", s3("http://s3.example.com"), "name_lookup_timeout").says("s3.example.com"),
        case("https", s3("https://s3.example.com"), "name_lookup_timeout"),
        case(
            "the proxy's",
            with(s3("http://h.example"), json!({ "url_proxy": "http://proxy.example.com:1" })),
            "name_lookup_timeout",
        )
        .at_stage("proxy")
        .about(Some("url_proxy")),
    ]);
    // A SOCKS5 proxy can look names up itself: a machine without a name server still gets out.
    let server = bench.http(|request| match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => Answer::new(404, ""),
    });
    let socks = bench.watch(FaultServer::socks5(Socks5::default()));
    let url = format!("http://s3.internal.example:{}", server.port());
    let behind = with(s3(&url), json!({ "url_proxy": socks.url() }));
    bench.lists("a name that the SOCKS5 proxy knows", behind, &["photos"], &[]);
    bench.finish();
}
