//! Failed sign-ins are limited by address, and by address and user; who signed in before goes on; proxies speak for others.

use std::net::Ipv4Addr;

use crate::harness::http::basic;
use crate::harness::keep_alive::{Answer, LOCALHOST, ask_from, get};
use crate::harness::service::{PASSWORD, Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

fn sign_in(service: &Service, from: Ipv4Addr, user: &str, password: &str) -> Answer {
    ask_from(service.address(), from, &get(CONNECTORS, &basic(user, password)))
}

#[test]
fn who_mistypes_too_often_waits_and_nobody_else_does() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    // Five mistakes hurt nobody, and the eleventh has to wait for a time that a person can wait.
    for number in 0..5 {
        assert_eq!(sign_in(&service, elsewhere, "admin", &format!("wrong {number}")).status, 401);
    }
    assert_eq!(sign_in(&service, elsewhere, "admin", PASSWORD).status, 200);
    for number in 5..10 {
        assert_eq!(sign_in(&service, elsewhere, "admin", &format!("wrong {number}")).status, 401);
    }
    let refused = sign_in(&service, elsewhere, "admin", "wrong 11");
    assert_eq!(refused.status, 429);
    assert!(refused.retry_after_secs.is_some_and(|seconds| (1..=30).contains(&seconds)));
    // The one who signed in there goes on; elsewhere and for others nothing happened.
    assert_eq!(sign_in(&service, elsewhere, "admin", PASSWORD).status, 200);
    assert_eq!(sign_in(&service, elsewhere, "nobody", "wrong").status, 401);
    assert_eq!(sign_in(&service, LOCALHOST, "admin", "wrong").status, 401);

    // The shape of the answer is that of all errors.
    let anonymous = service.anonymous();
    let wrong = |number: u32| anonymous.sending(&basic("eva", &number.to_string())).get(CONNECTORS);
    let mut answers: Vec<_> = (0..20).map(wrong).collect();
    let refused = answers.pop().expect("an answer").expect_status(429);
    assert_eq!(refused.errors("base"), ["invalid"]);
    assert!(refused.text().contains("with this name or API key from your address"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some() && refused.header("www-authenticate").is_none());
    service.stop();
}

#[test]
fn an_address_is_limited_by_whatever_fails_and_its_verified_clients_go_on() {
    let directory = TestDirectory::new();
    let settings = [("limits.failures_per_address", "12"), ("limits.failure_window_secs", "3600")];
    let service = Service::start_with_settings(directory.path(), &settings);
    let key = service.make_key(&["cloud_connectors/index"]);
    let verified = service.with_key(&key);
    verified.get(CONNECTORS).expect_status(200);
    let late = service.make_key(&["*/*"]);
    let unknown = service.make_key(&["*/*"]);
    service.admin().delete("/api/v2/users/me/api_keys/3").expect_status(204);

    let anonymous = service.anonymous();
    let wrong = ["Bearer x", "Basic !", "Digest x", &unknown, &basic("a", "b"), &basic("admin", "x")];
    for value in wrong.iter().cycle().take(12) {
        // Not sending anything is no failure.
        anonymous.get(CONNECTORS).expect_status(401);
        anonymous.sending(value).get(CONNECTORS).expect_status(401);
    }
    for value in wrong {
        let refused = anonymous.sending(value).get(CONNECTORS).expect_status(429);
        assert!(refused.text().contains("sign-ins from your address"), "{}", refused.text());
    }
    anonymous.get(CONNECTORS).expect_status(401);
    verified.get(CONNECTORS).expect_status(200);
    service.admin().get(CONNECTORS).expect_status(200);
    // A key that was never used is let in elsewhere, and from there on everywhere.
    service.with_key(&late).get(CONNECTORS).expect_status(429);
    let request = get(CONNECTORS, &late);
    assert_eq!(ask_from(service.address(), Ipv4Addr::new(127, 0, 0, 2), &request).status, 200);
    service.with_key(&late).get(CONNECTORS).expect_status(200);
    service.stop();
}

#[test]
fn a_revoked_key_in_a_loop_shuts_nobody_else_out() {
    let directory = TestDirectory::new();
    let settings = [
        ("limits.failures_per_address", "6"),
        ("limits.failures_per_user_and_address", "2"),
        ("limits.failure_window_secs", "3600"),
    ];
    let service = Service::start_with_settings(directory.path(), &settings);
    let (revoked, valid) = (service.make_key(&["*/*"]), service.make_key(&["cloud_connectors/index"]));
    service.admin().delete("/api/v2/users/me/api_keys/1").expect_status(204);
    // A program that does not give up, and one that sends what is no credential here.
    for (sent, times) in [(format!("Bearer {revoked}"), 7), ("Negotiate YII=".to_owned(), 3)] {
        for number in 0..times {
            let expected = if number < 2 { 401 } else { 429 };
            assert_eq!(service.anonymous().sending(&sent).get(CONNECTORS).status, expected, "{number}");
        }
    }
    // It was never verified before.
    service.with_key(&valid).get(CONNECTORS).expect_status(200);
    service.stop();
}

/// The clients that a proxy at 127.0.0.1 speaks for, each with how many failures are looked at.
#[track_caller]
fn check_forwarded(settings: &[(&str, &str)], cases: &[(&str, u16)]) {
    let directory = TestDirectory::new();
    let mut all = vec![("limits.failures_per_address", "3"), ("limits.failure_window_secs", "3600")];
    all.extend(settings);
    let service = Service::start_with_settings(directory.path(), &all);
    for (forwarded_for, status) in cases {
        let wrong = service.anonymous().sending(&basic("nobody", "wrong"));
        let response = wrong.send("GET", CONNECTORS, &[("X-Forwarded-For", forwarded_for)], b"");
        assert_eq!(response.status, *status, "{forwarded_for}");
    }
    let log = service.log();
    let has_peer = |peer: &str| log.lines().any(|line| line.contains(&format!("peer={peer} ")));
    assert_eq!(has_peer("192.0.2.1"), !settings.is_empty(), "{log}");
    assert!(!has_peer("198.51.100.7"), "{log}");
    service.stop();
}

#[test]
fn a_configured_proxy_speaks_for_its_clients_and_nobody_else_does() {
    check_forwarded(
        &[("limits.trusted_proxies", "127.0.0.1,10.0.0.0/8")],
        &[
            ("192.0.2.1", 401),
            ("198.51.100.7, 192.0.2.1", 401),
            ("198.51.100.7, 192.0.2.1, 10.0.0.1", 401),
            ("192.0.2.1", 429),
            ("192.0.2.2", 401),
            ("2001:db8::1", 401),
            ("2001:db8::2", 401),
            ("2001:db8::3", 401),
            ("2001:db8::4", 429),
            ("2001:db8:0:1::4", 401),
        ],
    );
    check_forwarded(&[], &[("192.0.2.1", 401), ("192.0.2.2", 401), ("192.0.2.3", 401), ("192.0.2.4", 429)]);
}
