//! API keys: their life, and that a key never makes one that may do more than itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const KEYS: &str = "/api/v2/users/me/api_keys";

fn scopes(scopes: &[(&str, &str)]) -> Value {
    scopes.iter().map(|(controller, action)| json!({ "controller": controller, "action": action })).collect()
}

#[test]
fn a_key_is_shown_once_works_in_both_forms_and_ends_with_its_revocation() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let body = json!({ "name": "backup", "api_key_scopes": scopes(&[("cloud_connectors", "index")]) });
    let created = admin.post(KEYS, &body).expect_status(201);
    assert_eq!(created.header("location"), Some("/api/v2/users/me/api_keys/1"));
    let key = created.json()["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("cd1_") && key.len() >= 4 + 32);
    let masked = format!("{}{}", "*".repeat(18), &key[key.len() - 4..]);

    let shown = admin.get(&format!("{KEYS}/1")).expect_status(200).json();
    assert_eq!(
        shown,
        json!({ "id": 1, "key": masked, "name": "backup", "api_key_scopes": body["api_key_scopes"], "expires_at": null,
            "last_used_at": null })
    );
    let list = admin.get(KEYS).expect_status(200).json();
    assert_eq!((&list["count"], &list["api_keys"][0]["key"]), (&json!(1), &json!(masked)));

    let list = "/api/v2/cloud_connectors";
    for authorization in [key.clone(), format!("Bearer {key}"), format!("bearer  {key}")] {
        service.anonymous().sending(&authorization).get(list).expect_status(200);
    }
    assert!(admin.get(&format!("{KEYS}/1")).json()["last_used_at"].is_string());
    let renamed =
        admin.put(&format!("{KEYS}/1"), &json!({ "name": "other", "expires_at": "2999-01-01T00:00:00Z" }));
    let renamed = renamed.expect_status(200).json();
    assert_eq!((&renamed["name"], &renamed["expires_at"]), (&json!("other"), &json!("2999-01-01T00:00:00Z")));
    admin.put(&format!("{KEYS}/1"), &json!({ "api_key_scopes": [] })).expect_status(200);
    assert!(service.with_key(&key).get(list).expect_status(403).text().contains("cloud_connectors / index"));
    admin.delete(&format!("{KEYS}/1")).expect_status(204);
    service.with_key(&key).get(list).expect_status(401);
    admin.get(&format!("{KEYS}/1")).expect_status(404);
    admin.get(&format!("{KEYS}/x")).expect_status(404);
    assert_eq!(admin.post(KEYS, &json!({})).expect_status(201).json()["id"], 2);
    service.stop();
}

#[test]
fn a_key_makes_and_changes_only_what_it_covers() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let maker = service.with_key(&service.make_key(&[
        "api_keys/*",
        "cloud_connectors/show",
        "cloud_connectors/index",
        "audit_events/index",
    ]));
    let wide = service.with_key(&service.make_key(&["*/*"]));
    let make = |scope: (&str, &str)| json!({ "api_key_scopes": scopes(&[scope]) });
    maker.post(KEYS, &make(("cloud_connectors", "show"))).expect_status(201);
    maker.post(KEYS, &make(("*", "index"))).expect_status(201);
    let refused = maker.post(KEYS, &make(("cloud_connectors", "destroy"))).expect_status(403);
    assert!(refused.text().contains("cloud_connectors / destroy"));
    maker.post(KEYS, &make(("*", "*"))).expect_status(403);
    wide.post(KEYS, &make(("*", "*"))).expect_status(201);
    wide.post(KEYS, &make(("cloud_connectors", "get_secret_key"))).expect_status(403);

    // Key 1 is the maker, key 2 the wide one.
    maker.put(&format!("{KEYS}/2"), &json!({ "name": "mine" })).expect_status(403);
    maker.delete(&format!("{KEYS}/2")).expect_status(403);
    maker.put(&format!("{KEYS}/3"), &make(("cloud_connectors", "test"))).expect_status(403);
    maker.put(&format!("{KEYS}/1"), &make(("*", "*"))).expect_status(403);
    maker.delete(&format!("{KEYS}/3")).expect_status(204);
    service.stop();
}

#[test]
fn a_key_ends_in_time_and_makes_none_that_ends_later() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let in_two_seconds = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
    let unix = in_two_seconds.duration_since(std::time::UNIX_EPOCH).expect("now").as_secs();
    let end = time::OffsetDateTime::from_unix_timestamp(unix as i64).expect("a moment");
    let end = end.format(&time::format_description::well_known::Rfc3339).expect("formatted");
    let body = json!({ "api_key_scopes": scopes(&[("api_keys", "*")]), "expires_at": end });
    let key = admin.post(KEYS, &body).expect_status(201).json()["key"].as_str().expect("a key").to_owned();
    let short = service.with_key(&key);
    assert_eq!(short.post(KEYS, &json!({})).expect_status(201).json()["expires_at"], json!(end));
    let later = short.post(KEYS, &json!({ "expires_at": "2999-01-01T00:00:00Z" })).expect_status(422);
    assert_eq!(later.errors("expires_at"), ["invalid"]);
    let unbounded = short.put(&format!("{KEYS}/1"), &json!({ "expires_at": null })).expect_status(200);
    assert_eq!(unbounded.json()["expires_at"], json!(end));
    crate::harness::service::wait_until("the end of the key", || short.get(KEYS).status == 401);
    for expires_at in ["2001-01-01T00:00:00Z", "tomorrow"] {
        let refused = admin.post(KEYS, &json!({ "expires_at": expires_at })).expect_status(422);
        assert_eq!(refused.errors("expires_at"), ["invalid"], "{expires_at}");
        let twice = json!({ "expires_at": expires_at, "name": "x".repeat(256) });
        let refused = admin.post(KEYS, &twice).expect_status(422);
        assert_eq!(
            (refused.errors("expires_at").len(), refused.errors("name").len()),
            (1, 1),
            "both at once"
        );
    }
    service.stop();
}

/// Starts a request whose body is held back: the service has let the caller in, and waits.
fn begin(service: &Service, method: &str, target: &str, key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).expect("connected");
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {key}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("written");
    // The service asks for the body once the key was let in.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("read");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Sends the body that was held back, and reads the answer.
fn finish(mut stream: TcpStream, body: &str) -> String {
    stream.write_all(body.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn an_end_that_is_set_while_a_body_arrives_counts() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let (near, far) = ("2998-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    let key = service.make_key(&["api_keys/*"]);
    let own = format!("{KEYS}/1");
    service.admin().put(&own, &json!({ "expires_at": far })).expect_status(200);
    let body = json!({ "expires_at": far }).to_string();
    let renewal = begin(&service, "PUT", &own, &key, &body);
    let child = begin(&service, "POST", KEYS, &key, &body);
    let child_without_end = begin(&service, "POST", KEYS, &key, "{}");
    service.admin().put(&own, &json!({ "expires_at": near })).expect_status(200);
    for stream in [renewal, child] {
        let answer = finish(stream, &body);
        assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("expires_at"), "{answer}");
    }
    let answer = finish(child_without_end, "{}");
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains(near), "{answer}");
    assert_eq!(service.admin().get(&own).json()["expires_at"], json!(near));
    service.stop();
}

#[test]
fn a_key_with_an_end_gives_rights_to_none_that_outlives_it() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let (end, later) = ("2998-01-01T00:00:00Z", "2999-01-01T00:00:00Z");
    service.make_key(&["cloud_connectors/index"]);
    let giver = service.with_key(&service.make_key(&["api_keys/*", "cloud_connectors/*"]));
    service.admin().put(&format!("{KEYS}/2"), &json!({ "expires_at": end })).expect_status(200);
    let other = format!("{KEYS}/1");
    let more = scopes(&[("cloud_connectors", "*")]);
    // What the other key's end is, what is sent besides its scopes, the end that it has then.
    for (before, sent, expected) in [
        (json!(null), json!({}), None),
        (json!(later), json!({}), None),
        (json!(null), json!({ "expires_at": later }), None),
        (json!(null), json!({ "expires_at": null }), Some(end)),
        (json!(null), json!({ "expires_at": end }), Some(end)),
        (json!("2997-01-01T00:00:00Z"), json!({}), Some("2997-01-01T00:00:00Z")),
    ] {
        let scopes_before = scopes(&[("cloud_connectors", "index")]);
        let reset = json!({ "api_key_scopes": scopes_before, "expires_at": before });
        service.admin().put(&other, &reset).expect_status(200);
        let mut body = sent.clone();
        body["api_key_scopes"] = more.clone();
        let answer = giver.put(&other, &body);
        match expected {
            Some(expected) => {
                assert_eq!(answer.expect_status(200).json()["expires_at"], json!(expected), "{sent}")
            }
            None => {
                assert_eq!(answer.expect_status(422).errors("expires_at"), ["invalid"], "{before} {sent}");
                assert_eq!(
                    service.admin().get(&other).json()["api_key_scopes"],
                    scopes_before,
                    "{before} {sent}"
                );
            }
        }
    }
    // What gains nothing needs no end.
    let reset = json!({ "api_key_scopes": more, "expires_at": null });
    service.admin().put(&other, &reset).expect_status(200);
    let fewer = json!({ "name": "fewer", "api_key_scopes": scopes(&[("cloud_connectors", "show")]) });
    giver.put(&other, &fewer).expect_status(200);
    // A password has no end.
    service.admin().put(&other, &json!({ "api_key_scopes": more })).expect_status(200);
    service.stop();
}

#[test]
fn scopes_that_do_not_exist_are_refused() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let cases = [
        scopes(&[("pools", "index")]),
        scopes(&[("cloud_connectors", "explode")]),
        scopes(&[("*", "get_secret_key")]),
        json!("cloud_connectors/index"),
        json!([{ "controller": "cloud_connectors" }]),
        json!([5]),
        json!([["cloud_connectors", "index"]]),
    ];
    for sent in cases {
        let refused = service.admin().post(KEYS, &json!({ "api_key_scopes": sent })).expect_status(422);
        assert_eq!(refused.errors("api_key_scopes"), ["invalid"], "{sent}");
    }
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("*", "index"), 65).collect();
    let refused = service.admin().post(KEYS, &json!({ "api_key_scopes": scopes(&many) })).expect_status(422);
    assert_eq!(refused.errors("api_key_scopes"), ["too_long"]);
    assert_eq!(service.admin().get(KEYS).json()["count"], 0);
    service.stop();
}

#[test]
fn a_key_that_is_revoked_while_its_body_arrives_changes_nothing() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let key = service.make_key(&["*/*"]);
    let body = json!({ "name": "late" }).to_string();
    let stream = begin(&service, "POST", KEYS, &key, &body);
    service.admin().put(&format!("{KEYS}/1"), &json!({ "api_key_scopes": [] })).expect_status(200);
    let answer = finish(stream, &body);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");

    let scopes = json!({ "api_key_scopes": scopes(&[("*", "*")]) });
    service.admin().put(&format!("{KEYS}/1"), &scopes).expect_status(200);
    let body = json!({ "name": "late", "url": "h" }).to_string();
    let stream = begin(&service, "POST", CONNECTORS, &key, &body);
    service.admin().delete(&format!("{KEYS}/1")).expect_status(204);
    let answer = finish(stream, &body);
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(service.admin().get(CONNECTORS).json()["count"], 0);
    service.stop();
}

#[test]
fn a_key_that_is_revoked_while_its_body_arrives_is_shown_nothing() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let body = json!({ "name": "c", "url": "h", "secret_key": "hidden-f00d" });
    service.admin().post(CONNECTORS, &body).expect_status(201);
    let scopes = [
        "cloud_connectors/index",
        "cloud_connectors/show",
        "cloud_connectors/get_secret_key",
        "audit_events/index",
    ];
    for (number, target) in [
        format!("{CONNECTORS}/c"),
        CONNECTORS.to_owned(),
        format!("{CONNECTORS}/c/secret_readers"),
        "/api/v2/audit_events".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let key = service.make_key(&scopes);
        // It has seen the secret before: nothing has to be recorded any more.
        service.with_key(&key).get(target).expect_status(200);
        let stream = begin(&service, "GET", target, &key, "{}");
        service.admin().delete(&format!("{KEYS}/{}", number + 1)).expect_status(204);
        let answer = finish(stream, "{}");
        assert!(answer.starts_with("HTTP/1.1 401"), "{target}: {answer}");
    }
    service.stop();
}
