//! What a web page elsewhere could trick a browser into: changes asked for by other sites, rebound names, frames.

use serde_json::json;

use crate::harness::http::Client;
use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

/// Asks for an address under another host; only the first Host header is sent.
fn under_host(client: &Client, host: &str) -> crate::harness::http::Response {
    let request = format!("GET {CONNECTORS} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    client.send_raw(request.as_bytes()).expect("an answer")
}

#[test]
fn changes_of_other_sites_are_refused() {
    let directory = TestDirectory::new();
    let service = Service::start_command(
        directory.path(),
        &["--admin-password-file", &service_password(&directory)],
        |command| {
            command.env("CONNECTORD_BROWSER_ALLOWED_ORIGINS", "https://panel.example.com");
        },
    );
    let admin = service.admin();
    let own = format!("http://{}", service.address());
    let body = |name: &str| json!({ "name": name, "url": "h" }).to_string();
    let post = |name: &str, headers: &[(&str, &str)]| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        admin.send("POST", CONNECTORS, &headers, body(name).as_bytes())
    };
    // A form of another site: the browser adds the credentials that it remembers.
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "http://evil.example")];
    admin.send("POST", CONNECTORS, &form, b"name=x").expect_status(403).errors("base");
    let text = [("Content-Type", "text/plain")];
    admin.send("POST", CONNECTORS, &text, body("x").as_bytes()).expect_status(415);
    post("x", &[("Origin", "http://evil.example")]).expect_status(403);
    post("x", &[("Origin", "null")]).expect_status(403);
    post("x", &[("Sec-Fetch-Site", "cross-site")]).expect_status(403);
    post("x", &[("Sec-Fetch-Site", "same-site")]).expect_status(403);
    admin
        .send("DELETE", &format!("{CONNECTORS}/1"), &[("Origin", "http://evil.example")], b"")
        .expect_status(403);
    assert_eq!(admin.get(CONNECTORS).json()["count"], 0);
    post("a", &[("Origin", &own), ("Sec-Fetch-Site", "same-origin")]).expect_status(201);
    post("b", &[("Origin", "https://panel.example.com"), ("Sec-Fetch-Site", "cross-site")])
        .expect_status(201);
    post("c", &[]).expect_status(201);
    admin.delete(&format!("{CONNECTORS}/a")).expect_status(204);
    service.stop();
}

#[test]
fn a_page_of_another_site_leaves_no_trace_in_the_name_of_who_sits_there() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &json!({ "name": "a", "url": "h", "secret_key": "hunter2" })).expect_status(201);
    let admin = service.admin();
    let ask = |target: &str, site: &str| {
        let headers = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors")];
        admin.send("GET", target, &headers, b"")
    };
    for site in ["cross-site", "same-site"] {
        for target in
            [CONNECTORS, "/api/v2/cloud_connectors/a", "/api/v2/openapi.json", "/api/v2/audit_events"]
        {
            let refused = ask(target, site).expect_status(403);
            assert!(refused.text().contains("browser.allowed_origins"), "{}", refused.text());
        }
        ask("/healthz", site).expect_status(200);
    }
    let revealed = "/api/v2/audit_events?kind=secret_revealed";
    assert_eq!(admin.get(revealed).expect_status(200).json()["count"], 0);
    for site in ["same-origin", "none"] {
        ask(CONNECTORS, site).expect_status(200);
    }
    assert_eq!(admin.get(revealed).expect_status(200).json()["count"], 1);
    service.stop();
}

fn service_password(directory: &TestDirectory) -> String {
    let path = directory.path().join("password");
    std::fs::write(&path, crate::harness::service::PASSWORD).expect("written");
    path.display().to_string()
}

#[test]
fn only_names_of_this_service_are_answered_to() {
    let directory = TestDirectory::new();
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_BROWSER_ALLOWED_HOSTS", "nas.example.com");
    });
    let client = service.anonymous();
    for host in ["localhost", "nas", "nas.local:8080", "nas.example.com", "[::1]:1", "10.0.0.1"] {
        assert_eq!(under_host(&client, host).status, 401, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example:8080"] {
        let refused = under_host(&client, host).expect_status(421);
        assert!(refused.text().contains("browser.allowed_hosts"), "{}", refused.text());
        refused.errors("base");
    }
    let target = "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client.send_raw(target.as_bytes()).expect("an answer").expect_status(421);
    let two = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    client.send_raw(two.as_bytes()).expect("an answer").expect_status(400);
    service.stop();
}

#[test]
fn every_answer_keeps_browsers_from_running_framing_and_guessing() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    for target in [CONNECTORS, "/healthz", "/nowhere", "/api/v2/openapi.json"] {
        let response = service.anonymous().get(target);
        let policy = response.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{target}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{target} {name}");
        }
    }
    service.stop();
}
