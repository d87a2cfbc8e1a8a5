//! Bad input of every kind: the right status, the one error shape, nothing stored, no panic, no secret in the log.

use serde_json::json;

use crate::harness::http::{Response, basic};
use crate::harness::service::{PASSWORD, Service, TestDirectory, wait_until};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

#[test]
fn bodies() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let deep = format!("{{\"name\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
    let cases: &[(&str, u16)] = &[
        ("", 400),
        ("{", 400),
        ("{\"name\": \"a\", }", 400),
        ("{\"name\": \"a\", \"name\": \"b\"}", 422),
        ("\u{feff}{}", 400),
        ("name=a", 400),
        (&deep, 422),
        ("[]", 422),
        ("null", 422),
        ("\"text\"", 422),
        ("{\"name\": \"\\ud800\", \"url\": \"h\"}", 422),
        ("{\"name\": {\"a\": 1}, \"url\": \"h\"}", 422),
        ("{\"name\": true, \"url\": \"h\"}", 422),
        ("{\"name\": \"a\", \"url\": \"h\", \"provider\": \"GENERIC_S3\"}", 422),
        ("{\"name\": \"a\", \"url\": \"http://u:hunter2@h\"}", 422),
    ];
    for (body, status) in cases {
        let response = admin.send_json("POST", CONNECTORS, body.as_bytes());
        assert_eq!(response.status, *status, "{} {}", &body[..body.len().min(80)], response.text());
        response.errors("base");
    }
    let invalid_utf8 = admin.send_json("POST", CONNECTORS, b"{\"name\": \"\xff\", \"url\": \"h\"}");
    assert!(matches!(invalid_utf8.status, 400 | 422));
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""]
    {
        let response = admin.send("POST", CONNECTORS, &[("Content-Type", content_type)], b"{\"name\":\"a\"}");
        response.expect_status(415).errors("base");
    }
    admin.send("POST", CONNECTORS, &[], b"{}").expect_status(415).errors("base");
    admin
        .send("DELETE", &format!("{CONNECTORS}/1"), &[("Content-Type", "text/plain")], b"x")
        .expect_status(415);
    let good_type = [("Content-Type", "Application/JSON; charset=utf-8")];
    admin.send("POST", CONNECTORS, &good_type, b"{\"name\":5}").expect_status(422);
    nothing_stored_nothing_leaked(service);
}

#[test]
fn large_bodies_are_refused_without_being_kept() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(10 * 1024 * 1024));
    admin.send_json("POST", CONNECTORS, body.as_bytes()).expect_status(413).errors("base");
    let limit = 64 * 1024;
    let exact =
        |bytes: usize| format!("{{\"unknown\": \"{}\"}}", "x".repeat(bytes - "{\"unknown\": \"\"}".len()));
    admin.send_json("POST", CONNECTORS, exact(limit).as_bytes()).expect_status(422);
    admin.send_json("POST", CONNECTORS, exact(limit + 1).as_bytes()).expect_status(413);
    // Without a length: refused when the limit is passed.
    let mut chunked = format!(
        "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        basic("admin", PASSWORD)
    )
    .into_bytes();
    for _ in 0..200 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    service.anonymous().send_raw(&chunked).expect("an answer").expect_status(413).errors("base");
    nothing_stored_nothing_leaked(service);
}

#[test]
fn a_client_that_sends_everything_first_or_closes_its_side_sees_the_answer() {
    use std::io::{Read, Write};
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let head = format!(
        "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 10485760\r\n\r\n",
        basic("admin", PASSWORD)
    );
    let mut stream = std::net::TcpStream::connect(service.address()).expect("connected");
    stream.write_all(head.as_bytes()).expect("written");
    stream.write_all(&vec![b'x'; 10 * 1024 * 1024]).expect("all of it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut stream = std::net::TcpStream::connect(service.address()).expect("connected");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect("written");
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    nothing_stored_nothing_leaked(service);
}

#[test]
fn queries() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let cases = [
        ("limit=-1", "limit", "greater_than_or_equal_to"),
        ("limit=x", "limit", "invalid"),
        ("limit=", "limit", "invalid"),
        ("limit=1&limit=2", "limit", "invalid"),
        ("limit=10001", "limit", "less_than_or_equal_to"),
        ("limit=99999999999999999999999", "limit", "less_than_or_equal_to"),
        ("offset=-5", "offset", "greater_than_or_equal_to"),
        ("offset=1.5", "offset", "invalid"),
        ("sort_by=secret_key", "sort_by", "invalid"),
        ("sort_by=options", "sort_by", "invalid"),
        ("sort_by=name:sideways", "sort_by", "invalid"),
        ("sort_by=name||id", "sort_by", "invalid"),
        ("id=~x", "id", "invalid"),
        ("id=!~1", "id", "invalid"),
        ("id=one", "id", "invalid"),
        ("id=%3E%3C1|x", "id", "invalid"),
        ("secret_key=hunter2", "secret_key", "invalid"),
        ("nmae=x", "nmae", "invalid"),
        ("name%00=x", "name\u{0}", "invalid"),
    ];
    for (query, attribute, error) in cases {
        let response = admin.get(&format!("{CONNECTORS}?{query}")).expect_status(422);
        assert_eq!(response.errors(attribute), [error], "{query} {}", response.text());
        assert!(!response.text().contains("hunter2"));
    }
    let both = admin.get(&format!("{CONNECTORS}?limit=x&offset=y&sort_by=z&id=w")).expect_status(422);
    for attribute in ["limit", "offset", "sort_by", "id"] {
        assert_eq!(both.errors(attribute), ["invalid"], "{attribute}");
    }
    let pattern = format!("{CONNECTORS}?name=~{}", "a".repeat(300));
    assert_eq!(admin.get(&pattern).expect_status(422).errors("name"), ["too_long"]);
    let many = format!("{CONNECTORS}?{}", "name=a&".repeat(40));
    admin.get(&many).expect_status(422).errors("base");
    assert_eq!(admin.get(&format!("{CONNECTORS}/-/test")).expect_status(422).errors("job_id"), ["blank"]);
    assert_eq!(
        admin.get(&format!("{CONNECTORS}/-/test?job_id=")).expect_status(422).errors("job_id"),
        ["blank"]
    );
    admin.get(&format!("{CONNECTORS}/-/test?job_id=x")).expect_status(404).errors("base");
    nothing_stored_nothing_leaked(service);
}

#[test]
fn targets_and_methods() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let long = format!("{CONNECTORS}?name={}", "x".repeat(9 * 1024));
    admin.get(&long).expect_status(414).errors("base");
    for target in [
        "//",
        "/api",
        "/api/v2/pools",
        "/api/v2/cloud_connectors/1/2",
        "/api/v2//cloud_connectors",
        "/%00",
        "/api/v2/cloud_connectors/%ff",
    ] {
        assert_eq!(admin.get(target).expect_status(404).errors("base"), ["not_found"], "{target}");
    }
    for target in ["99999999999999999999999", "0", "no-such", "..", "%2e%2e", "-", "100%"] {
        assert_eq!(
            admin.get(&format!("{CONNECTORS}/{target}")).expect_status(404).errors("base"),
            ["not_found"],
            "{target}"
        );
    }
    for (method, target, allowed) in [
        ("PATCH", CONNECTORS, "GET, HEAD, POST"),
        ("OPTIONS", CONNECTORS, "GET, HEAD, POST"),
        ("BREW", "/healthz", "GET, HEAD"),
        ("DELETE", "/api/v2/cloud_connectors/-/test", "GET, HEAD, PUT"),
    ] {
        let response = admin.send(method, target, &[], b"").expect_status(405);
        assert_eq!(response.header("allow"), Some(allowed), "{method} {target}");
        response.errors("base");
    }
    for target in ["/", "/healthz", CONNECTORS, "/api/v2/openapi.json"] {
        let (head, full) = (admin.send("HEAD", target, &[], b""), admin.get(target));
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
        assert_eq!(head.header("content-length"), full.header("content-length"));
    }
    for (sent, kept) in [("abc-1.2:3_4", true), ("a b", false), ("", false), (&"x".repeat(129), false)] {
        let response = admin.send("GET", "/healthz", &[("X-Request-Id", sent)], b"");
        let id = response.header("x-request-id").expect("a request id");
        assert_eq!(id == sent, kept, "{sent}");
        assert!(!id.is_empty());
    }
    let odd_accept = [("Accept", "application/json, queued, working, failed")];
    admin.send("GET", CONNECTORS, &odd_accept, b"").expect_status(200);
    let malformed = service.anonymous().send_raw(b"GET /<> HTTP/1.1\r\nHost: h\r\n\r\n").expect("an answer");
    assert_eq!(malformed.status, 400);
    service.anonymous().get("/healthz").expect_status(200);
    nothing_stored_nothing_leaked(service);
}

#[test]
fn a_long_method_makes_no_long_line_in_the_log() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let method = "A".repeat(8000);
    let request = format!("{method} /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    service.anonymous().send_raw(request.as_bytes()).expect("an answer").expect_status(405);
    wait_until("the line in the log", || service.log().contains("method=other"));
    assert!(service.log().lines().all(|line| line.len() < 1000), "{}", service.log());
    service.stop();
}

#[test]
fn authorization_headers() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let anonymous = service.anonymous();
    let key = service.make_key(&["*/*"]);
    let mistyped = format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'B' } else { 'A' });
    let values = [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YWRtaW4=",
        "Basic YWRtaW46",
        "Basic /////w==",
        "Basic a b",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Digest username=\"admin\"",
        "Negotiate x",
        "x",
        ":",
        "cd1_",
        "é",
        &mistyped,
        &format!("Bearer {mistyped}"),
        &format!("Basic {key}"),
        &format!("{key} {key}"),
        &format!("Token {key}"),
        &"x".repeat(7000),
        &basic("admin", ""),
        &basic("", PASSWORD),
        &basic("ADMIN", PASSWORD),
        &basic("admin", &format!("{PASSWORD} ")),
        &basic("admin", &PASSWORD[1..]),
    ];
    for value in values {
        let response = anonymous.sending(value).get(CONNECTORS).expect_status(401);
        assert_eq!(response.errors("base"), ["invalid"], "{value}");
        assert!(response.header("www-authenticate").is_some());
    }
    let twice = [("Authorization", basic("admin", PASSWORD)), ("Authorization", basic("admin", PASSWORD))];
    let twice = twice.each_ref().map(|(name, value)| (*name, value.as_str()));
    anonymous.send("GET", CONNECTORS, &twice, b"").expect_status(401);
    let unpadded = basic("admin", PASSWORD).trim_end_matches('=').replace("Basic", "bASIC");
    anonymous.sending(&unpadded).get(CONNECTORS).expect_status(200);
    assert!(!service.log().contains(&key) && !service.log().contains(&mistyped));
    nothing_stored_nothing_leaked(service);
}

#[test]
fn browsers_from_elsewhere_get_no_word_unless_configured() {
    let directory = TestDirectory::new();
    let config = directory.path().join("connectord.toml");
    std::fs::write(&config, "[browser]\nallowed_origins = ['https://nas.example.com']\n").expect("written");
    let service = Service::start_with(directory.path(), &["--config", &config.display().to_string()]);
    let preflight = |origin: &str| -> Response {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        service.anonymous().send("OPTIONS", CONNECTORS, &headers, b"")
    };
    let allowed = preflight("https://nas.example.com").expect_status(204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://nas.example.com"));
    assert!(allowed.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PUT")));
    for origin in ["https://evil.example.com", "null", "https://nas.example.com.evil.com"] {
        let refused = preflight(origin).expect_status(405);
        assert_eq!(refused.header("access-control-allow-origin"), None, "{origin}");
    }
    let plain = service
        .admin()
        .send("GET", CONNECTORS, &[("Origin", "https://nas.example.com")], b"")
        .expect_status(200);
    assert_eq!(plain.header("access-control-allow-origin"), Some("https://nas.example.com"));
    nothing_stored_nothing_leaked(service);
}

fn nothing_stored_nothing_leaked(service: Service) {
    assert_eq!(
        service.admin().get(CONNECTORS).expect_status(200).json(),
        json!({ "count": 0, "cloud_connectors": [] })
    );
    let log = service.log();
    for part in ["panic", "hunter2", PASSWORD] {
        assert!(!log.contains(part), "the log has {part:?}");
    }
    service.stop();
}
