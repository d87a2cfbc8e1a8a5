//! TLS: every wrong certificate, servers that do not speak it, and what options and the file of authorities change.

use std::sync::Arc;

use serde_json::json;

use super::{Bench, case, s3, with};
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::services::s3_list;
use crate::harness::fault_server::tls::{Authority, Flaw, alert, self_signed};
use crate::harness::fault_server::{FaultServer, Play};
use crate::harness::service::TestDirectory;

fn photos(request: &Request) -> Answer {
    match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => Answer::new(404, ""),
    }
}

fn play() -> Play {
    Play::Http(Arc::new(photos))
}

/// A bench that trusts this authority.
fn trusting(authority: &Authority) -> Bench {
    let directory = TestDirectory::new();
    let file = directory.path().join("authorities.pem");
    std::fs::write(&file, authority.pem()).expect("written");
    Bench::within(directory, &[("CONNECTORD_CLOUD_CA_FILE", &file.display().to_string())])
}

/// The address with a name in the place of 127.0.0.1.
fn by_name(server: &FaultServer) -> String {
    format!("https://localhost:{}", server.port())
}

#[test]
fn certificates() {
    let authority = Authority::new("an authority of the test");
    // One of the same name with another key, as after an authority was made anew.
    let forged = Authority::new("an authority of the test");
    let other = Authority::new("another authority");
    let bench = trusting(&authority);
    let server = |config| bench.watch(FaultServer::start_tls(play(), config));
    let good = server(authority.server(Flaw::None));
    let unknown = server(other.server(Flaw::None));
    let own = server(self_signed(Flaw::None));
    let old = server(authority.server(Flaw::Expired));
    let early = server(authority.server(Flaw::NotYetValid));
    let elsewhere = server(authority.server(Flaw::OtherName));
    let for_clients = server(authority.server(Flaw::ForClients));
    let made_anew = server(forged.server(Flaw::None));
    bench.lists("a good certificate", s3(&good.url()), &["photos"], &[]);
    bench.lists("a good certificate, by name", s3(&by_name(&good)), &["photos"], &[]);
    bench.run(vec![
        case("an unknown authority", s3(&unknown.url()), "certificate_unknown_issuer"),
        case("signed by itself", s3(&own.url()), "certificate_self_signed"),
        case("expired", s3(&old.url()), "certificate_expired"),
        case("not yet valid", s3(&early.url()), "certificate_not_yet_valid"),
        case("another name", s3(&by_name(&elsewhere)), "certificate_other_name").says("localhost"),
        case("another name than the address", s3(&elsewhere.url()), "certificate_other_name"),
        case("for clients", s3(&for_clients.url()), "certificate_invalid"),
        case("a signature of another key", s3(&made_anew.url()), "certificate_invalid")
            .or("certificate_unknown_issuer"),
    ]);
    for server in [unknown, own, old, early, elsewhere, for_clients, made_anew] {
        assert_eq!(server.requests().len(), 0, "nothing is sent to a server whose certificate is wrong");
    }
    bench.finish();
}

#[test]
fn without_the_file_of_authorities_nothing_of_them_is_trusted() {
    let authority = Authority::new("an authority of the test");
    let bench = Bench::new();
    let good = bench.watch(FaultServer::start_tls(play(), authority.server(Flaw::None)));
    bench.run(vec![case("an unknown authority", s3(&good.url()), "certificate_unknown_issuer")]);
    assert_eq!(good.requests().len(), 0);
    bench.finish();
}

#[test]
fn options_that_loosen_the_check() {
    let authority = Authority::new("an authority of the test");
    let other = Authority::new("another authority");
    let bench = trusting(&authority);
    let server = |config| bench.watch(FaultServer::start_tls(play(), config));
    let own = server(self_signed(Flaw::None));
    let unknown = server(other.server(Flaw::None));
    let old = server(authority.server(Flaw::Expired));
    let elsewhere = server(authority.server(Flaw::OtherName));
    let unknown_elsewhere = server(other.server(Flaw::OtherName));
    let unchecked =
        |server: &FaultServer| with(s3(&server.url()), json!({ "options": "no_check_certificate" }));
    let any_name =
        |server: &FaultServer| with(s3(&server.url()), json!({ "options": "ssl_verify_hostname=0" }));
    for (what, server) in [
        ("signed by itself", &own),
        ("an unknown authority", &unknown),
        ("expired", &old),
        ("other", &elsewhere),
    ] {
        bench.lists(what, unchecked(server), &["photos"], &[]);
    }
    bench.lists("any name", any_name(&elsewhere), &["photos"], &[]);
    bench.run(vec![
        case("any name, unknown authority", any_name(&unknown_elsewhere), "certificate_unknown_issuer"),
        case("any name, signed by itself", any_name(&own), "certificate_self_signed"),
        case("any name, expired", any_name(&old), "certificate_expired"),
        case(
            "ssl_verify_hostname=2 checks as ever",
            with(s3(&elsewhere.url()), json!({ "options": "ssl_verify_hostname=2" })),
            "certificate_other_name",
        ),
    ]);
    bench.finish();
}

#[test]
fn no_tls() {
    let bench = Bench::impatient();
    let url = |play: Play| bench.play(play).url().replace("http://", "https://");
    bench.run(vec![
        case("plain HTTP", s3(&url(play())), "not_tls").says("http"),
        case(
            "plain HTTP that says so",
            s3(&url(Play::Banner(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec()))),
            "not_tls",
        ),
        case("an SSH server", s3(&url(Play::Banner(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()))), "not_tls"),
        case("closed at once", s3(&url(Play::Close)), "tls_failed"),
        case("reset at once", s3(&url(Play::Reset)), "tls_failed"),
        case("handshake_failure", s3(&url(Play::Banner(alert(40)))), "tls_failed"),
        case("protocol_version", s3(&url(Play::Banner(alert(70)))), "tls_failed"),
        case("unrecognized_name", s3(&url(Play::Banner(alert(112)))), "tls_failed"),
        case("no answer", s3(&url(Play::Silent)), "tls_timeout"),
    ]);
    let own = bench.watch(FaultServer::start_tls(play(), self_signed(Flaw::None)));
    let plain = own.url().replace("https://", "http://");
    bench.run(vec![case("http to a TLS server", s3(&plain), "https_needed")]);
    bench.finish();
}
