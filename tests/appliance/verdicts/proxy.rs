//! The proxy on the way, of every kind, good and wrong.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Bench, PROXY_PASSWORD, case, s3, with};
use crate::harness::fault_server::http::Answer;
use crate::harness::fault_server::proxy::{Socks5, guarded_proxy, open_proxy, refusing_proxy};
use crate::harness::fault_server::services::s3_list;
use crate::harness::fault_server::tls::{Authority, Flaw, self_signed};
use crate::harness::fault_server::{FaultServer, FullBacklog, Play};
use crate::harness::service::TestDirectory;

const OVER_TLS: &str = "https://s3.internal.example";
const PLAIN: &str = "http://s3.internal.example";

/// A connector with a proxy; nobody knows the name of its server.
fn through(proxy: &str, url: &str) -> Value {
    with(s3(url), json!({ "url_proxy": proxy }))
}

/// The address with user and password.
fn as_user(proxy: &str, user: &str, password: &str) -> String {
    proxy.replace("://", &format!("://{user}:{password}@"))
}

#[test]
fn the_proxy_itself() {
    let bench = Bench::impatient();
    let full = FullBacklog::new();
    let silent = bench.play(Play::Silent);
    let mut cases = Vec::new();
    for url in [OVER_TLS, PLAIN] {
        for scheme in ["http", "socks5", "https"] {
            let to = |place: &str| through(&format!("{scheme}://{place}"), url);
            let what = |what: &str| format!("{what}: {scheme}, {url}");
            cases.extend([
                case(&what("no such name"), to("no-such-proxy.invalid:3128"), "proxy_name_not_found")
                    .says("no-such-proxy.invalid"),
                case(&what("nothing listens"), to("127.0.0.1:1"), "proxy_refused").says("127.0.0.1"),
                case(&what("unreachable"), to("127.255.255.255:9"), "proxy_unreachable")
                    .says("127.255.255.255"),
                case(&what("full"), to(&full.address()), "proxy_timeout"),
            ]);
        }
    }
    let silent_proxy = |scheme: &str, url: &str| through(&format!("{scheme}://{}", silent.address()), url);
    cases.extend([
        case("CONNECT is not answered", silent_proxy("http", OVER_TLS), "proxy_timeout"),
        case("SOCKS5 is not answered", silent_proxy("socks5", PLAIN), "proxy_timeout"),
        case("the TLS of a proxy is not answered", silent_proxy("https", OVER_TLS), "proxy_timeout")
            .or("proxy_tls_failed"),
        case("a plain request is not answered", silent_proxy("http", PLAIN), "answer_timeout")
            .or("proxy_timeout"),
    ]);
    bench.run(cases);
    bench.finish();
}

#[test]
fn answers_to_connect() {
    let bench = Bench::new();
    let refusing = |status| bench.play(refusing_proxy(status, &[])).url();
    let ssh = bench.play(Play::Banner(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()));
    let closing = bench.play(Play::CloseAfterRequest);
    let code = |status: u16| match status {
        403 => "proxy_denied",
        502..=504 => "proxy_target_unreachable",
        _ => "not_a_proxy",
    };
    let mut cases: Vec<_> = [403, 502, 503, 504, 400, 404, 405, 501]
        .map(|status| case(&status.to_string(), through(&refusing(status), OVER_TLS), code(status)))
        .into();
    cases.extend([
        case("an SSH server", through(&ssh.url(), OVER_TLS), "not_a_proxy"),
        case("closed", through(&closing.url(), OVER_TLS), "not_a_proxy")
            .or("proxy_refused")
            .or("proxy_unreachable"),
    ]);
    bench.run(cases);
    bench.finish();
}

#[test]
fn credentials_of_a_proxy() {
    let bench = Bench::new();
    let guarded = bench.play(guarded_proxy("ann", PROXY_PASSWORD)).url();
    let socks = bench
        .watch(FaultServer::socks5(Socks5 { credentials: Some(("ann", PROXY_PASSWORD)), reply: 0 }))
        .url();
    let storage = bench.http(|request| match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => Answer::new(404, ""),
    });
    let plain = format!("{PLAIN}:{}", storage.port());
    for proxy in [&guarded, &socks] {
        let right = as_user(proxy, "ann", PROXY_PASSWORD);
        bench.lists(proxy, through(&right, &plain), &["photos"], &[]);
        let option = format!("proxy={right}");
        bench.lists("as an option", with(s3(&plain), json!({ "options": option })), &["photos"], &[]);
        // A password with characters that a URL writes in percents.
        let wrong = as_user(proxy, "ann", "wr%40ng-pass-of-proxy");
        for url in [OVER_TLS, &plain] {
            bench.run(vec![
                case(proxy, through(proxy, url), "proxy_credentials_needed"),
                case(proxy, through(&wrong, url), "proxy_credentials_wrong"),
                case(
                    "as an option",
                    with(s3(url), json!({ "options": format!("proxy={wrong}") })),
                    "proxy_credentials_wrong",
                )
                .about(Some("options")),
            ]);
        }
    }
    assert!(!storage.saw(PROXY_PASSWORD), "the proxy's password stays with the proxy");
    for request in storage.requests() {
        assert_eq!(request.header("proxy-authorization"), "", "{request:?}");
    }
    let ends = bench.admin.get("/api/v2/cloud_connectors").text();
    bench.check_shown("the list", &ends);
    bench.finish();
}

#[test]
fn plain_requests_through_a_proxy() {
    let bench = Bench::new();
    let to = |status, headers| through(&bench.play(refusing_proxy(status, headers)).url(), PLAIN);
    let squid: &[_] = &[("X-Squid-Error", "ERR_CONNECT_FAIL 111")];
    let status: &[_] = &[("Proxy-Status", "cache.example; error=destination_unavailable")];
    bench.run(vec![
        case("502 of Squid", to(502, squid), "proxy_target_unreachable"),
        case("503 of Squid", to(503, squid), "proxy_target_unreachable"),
        case("504 with Proxy-Status", to(504, status), "proxy_target_unreachable"),
        case("503 of the server", to(503, &[]), "server_error"),
        case("407", to(407, &[]), "proxy_credentials_needed"),
    ]);
    bench.finish();
}

#[test]
fn socks5_replies() {
    let bench = Bench::new();
    let to = |reply, url| {
        through(&bench.watch(FaultServer::socks5(Socks5 { credentials: None, reply })).url(), url)
    };
    let mut cases = Vec::new();
    for url in [PLAIN, OVER_TLS] {
        cases.push(case("not allowed by ruleset", to(2, url), "proxy_denied"));
        for (reply, what) in [(3, "network unreachable"), (4, "host unreachable"), (5, "refused")] {
            cases.push(case(what, to(reply, url), "proxy_target_unreachable"));
        }
        for (reply, what) in [(1, "general failure"), (6, "TTL expired"), (7, "command"), (8, "address type")]
        {
            let open =
                case(what, to(reply, url), "proxy_target_unreachable").or("not_a_proxy").or("proxy_refused");
            cases.push(open.about_any());
        }
    }
    let web = bench.http(|_| Answer::new(400, "no"));
    let ssh = bench.play(Play::Banner(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()));
    for server in [web, ssh] {
        cases.push(case(
            "no proxy",
            through(&format!("socks5://{}", server.address()), PLAIN),
            "not_a_proxy",
        ));
    }
    bench.run(cases);
    bench.finish();
}

#[test]
fn a_proxy_over_tls() {
    let authority = Authority::new("an authority of the test");
    let directory = TestDirectory::new();
    let file = directory.path().join("authorities.pem");
    std::fs::write(&file, authority.pem()).expect("written");
    let bench = Bench::within(directory, &[("CONNECTORD_CLOUD_CA_FILE", &file.display().to_string())]);
    let proxy = |config| bench.watch(FaultServer::start_tls(guarded_proxy("ann", PROXY_PASSWORD), config));
    let good = as_user(&proxy(authority.server(Flaw::None)).url(), "ann", PROXY_PASSWORD);
    let photos = Play::Http(Arc::new(|_| s3_list(&["photos"], "")));
    let storage = bench.watch(FaultServer::start_tls(photos.clone(), authority.server(Flaw::None)));
    bench.lists("TLS within TLS", through(&good, &storage.url()), &["photos"], &[]);
    let plain = bench.play(photos);
    bench.lists("plain within TLS", through(&good, &plain.url()), &["photos"], &[]);
    let own = proxy(self_signed(Flaw::None));
    let to_own = as_user(&own.url(), "ann", PROXY_PASSWORD);
    let no_tls = bench.play(open_proxy()).url().replace("http://", "https://");
    let alerting = bench.play(Play::Close).url().replace("http://", "https://");
    for url in [PLAIN, OVER_TLS] {
        bench.run(vec![
            case("signed by itself", through(&to_own, url), "proxy_tls_failed"),
            case("no TLS", through(&no_tls, url), "proxy_tls_failed"),
            case("closed at once", through(&alerting, url), "proxy_tls_failed"),
        ]);
    }
    assert!(
        !own.saw(PROXY_PASSWORD) && own.requests().is_empty(),
        "no password for a proxy that is not trusted"
    );
    bench.finish();
}

#[test]
fn a_proxy_from_the_environment() {
    let storage = FaultServer::http(|_| s3_list(&["photos"], ""));
    let forward = FaultServer::start(guarded_proxy("ann", PROXY_PASSWORD));
    let proxy = as_user(&forward.url(), "ann", PROXY_PASSWORD);
    let url = format!("{PLAIN}:{}", storage.port());
    for (is_on, connects) in [("no", false), ("yes", true)] {
        let bench = Bench::with(&[
            ("CONNECTORD_CLOUD_PROXY_FROM_ENVIRONMENT", is_on),
            ("HTTP_PROXY", &proxy),
            ("http_proxy", &proxy),
            ("NO_PROXY", "127.0.0.1"),
            ("no_proxy", "127.0.0.1"),
        ]);
        bench.watch(forward.clone());
        let before = forward.connections();
        if connects {
            bench.lists("by the environment's proxy", s3(&url), &["photos"], &[]);
        } else {
            bench.run(vec![case("not by the environment's proxy", s3(&url), "name_not_found")]);
        }
        assert_eq!(forward.connections() > before, connects);
        // What NO_PROXY names is reached without, and the connector's own proxy comes first.
        let before = forward.connections();
        bench.lists("without a proxy", s3(&storage.url()), &["photos"], &[]);
        bench.run(vec![case("its own proxy", through("http://127.0.0.1:1", &url), "proxy_refused")]);
        assert_eq!(forward.connections(), before);
        bench.finish();
    }
}
