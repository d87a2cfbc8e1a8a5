//! The audit trail: each event with who, from where and the request's id; what is seen is recorded before it is shown.

mod bounds;
mod errands;
mod lists;

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::http::{Client, Response, encode};
use crate::harness::service::{Service, TestDirectory, command};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const KEYS: &str = "/api/v2/users/me/api_keys";
const EVENTS: &str = "/api/v2/audit_events";

#[track_caller]
fn events(client: &Client, query: &str) -> Vec<Value> {
    let listed = client.get(&format!("{EVENTS}?{query}")).expect_status(200).json();
    listed["audit_events"].as_array().expect("a list").clone()
}

/// The only event that the query finds.
#[track_caller]
fn event(client: &Client, query: &str) -> Value {
    let found = events(client, query);
    assert_eq!(found.len(), 1, "{query}: {found:#?}");
    found[0].clone()
}

fn count(client: &Client, query: &str) -> u64 {
    client.get(&format!("{EVENTS}?limit=0&{query}")).expect_status(200).json()["count"]
        .as_u64()
        .expect("a count")
}

/// Sends a request with an id of its own.
fn send(client: &Client, method: &str, target: &str, id: &str, body: &Value) -> Response {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.send(method, target, &[("X-Request-Id", id), ("Content-Type", "application/json")], &body)
}

#[track_caller]
fn check(event: &Value, expected: &Value) {
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&event[name], value, "{name} of {event:#}");
    }
}

fn restart(service: Service, directory: &Path) -> Service {
    service.stop();
    Service::start(directory)
}

fn secret_body(name: &str) -> Value {
    json!({ "name": name, "url": "http://h:1", "access_key": "public", "secret_key": format!("hunter2 of {name}") })
}

#[test]
fn every_change_is_told_with_who_where_and_the_names_alone() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let body = json!({ "name": "a", "url": "http://h:1", "secret_key": "hunter2",
        "url_proxy": "http://u:hunter3@p:1", "options": "proxy=http://u:hunter4@p" });
    send(&admin, "POST", CONNECTORS, "create-1", &body).expect_status(201);
    let change = json!({ "name": "b", "secret_key": "hunter5", "region": "eu", "url": "http://h:1" });
    send(&admin, "PUT", &format!("{CONNECTORS}/a"), "update-1", &change).expect_status(200);
    send(&admin, "PUT", &format!("{CONNECTORS}/b"), "nothing-1", &change).expect_status(200);
    let scopes = json!([{ "controller": "*", "action": "*" }]);
    let key = send(&admin, "POST", KEYS, "key-1", &json!({ "name": "tool", "api_key_scopes": scopes }));
    let text = key.expect_status(201).json()["key"].as_str().expect("a key").to_owned();
    let tool = service.with_key(&text);
    send(&tool, "PUT", &format!("{KEYS}/1"), "key-2", &json!({ "name": "renamed" })).expect_status(200);
    send(&tool, "DELETE", &format!("{CONNECTORS}/1"), "destroy-1", &Value::Null).expect_status(204);
    send(&tool, "DELETE", &format!("{KEYS}/1"), "key-3", &Value::Null).expect_status(204);

    let user = json!({ "caller": "user:1", "user_name": "admin", "api_key_name": null, "client": "127.0.0.1", "count": 1 });
    let by_key = |name: &str| json!({ "caller": "key:1", "user_name": "admin", "api_key_name": name, "client": "127.0.0.1" });
    let connector =
        |name: &str| json!({ "subject_kind": "cloud_connector", "subject_id": 1, "subject_name": name });
    let api_key = |name: &str| json!({ "subject_kind": "api_key", "subject_id": 1, "subject_name": name });
    let all_set = json!(["name", "url", "url_proxy", "provider", "secret_key", "options"]);
    for (kind, who, subject, id, attributes) in [
        ("connector_created", &user, connector("a"), "create-1", all_set),
        ("connector_updated", &user, connector("b"), "update-1", json!(["name", "region", "secret_key"])),
        ("connector_destroyed", &by_key("renamed"), connector("b"), "destroy-1", json!([])),
        ("api_key_created", &user, api_key("tool"), "key-1", json!(["name", "api_key_scopes"])),
        ("api_key_updated", &by_key("tool"), api_key("renamed"), "key-2", json!(["name"])),
        ("api_key_revoked", &by_key("renamed"), api_key("renamed"), "key-3", json!([])),
    ] {
        let event = event(&admin, &format!("kind={kind}"));
        check(&event, who);
        check(&event, &subject);
        check(&event, &json!({ "request_id": id, "attributes": attributes }));
        assert_eq!(event["first_at"], event["last_at"]);
    }
    // A change that changes nothing is none, and a key without the scope sees no secret.
    assert_eq!(count(&admin, "request_id=nothing-1"), 0);
    assert_eq!(count(&admin, "kind=secret_revealed&caller=~key%25"), 0);
    let everything = admin.get(EVENTS).expect_status(200).text();
    assert!(!everything.contains("hunter") && !everything.contains(&text[16..56]), "{everything}");
    service.stop();
}

#[test]
fn a_secret_is_recorded_before_it_is_shown_and_repeats_are_counted() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &secret_body("a")).expect_status(201);
    blind.post(CONNECTORS, &json!({ "name": "without", "url": "h" })).expect_status(201);
    let reader = service.make_key(&["cloud_connectors/*", "cloud_connectors/get_secret_key"]);
    let target = format!("{CONNECTORS}/a");
    blind.get(&target).expect_status(200);
    blind.get(CONNECTORS).expect_status(200);
    assert_eq!(count(&service.admin(), "kind=secret_revealed"), 0);

    let shown = send(&service.with_key(&reader), "GET", &target, "first", &Value::Null);
    service.kill();
    assert!(shown.text().contains("hunter2 of a"));
    let service = Service::start(directory.path());
    let admin = service.admin();
    let expected = json!({ "caller": "key:2", "api_key_name": "test", "user_name": "admin", "client": "127.0.0.1",
        "request_id": "first", "subject_id": 1, "subject_name": "a", "secret_revision": 1, "count": 1 });
    check(&event(&admin, "kind=secret_revealed"), &expected);

    // Repeats, also after the crash: a look at one, a list, a change that leaves the secret.
    let seeing = service.with_key(&reader);
    for _ in 0..5 {
        seeing.get(&target).expect_status(200);
        seeing.get(&format!("{CONNECTORS}?limit=10")).expect_status(200);
    }
    seeing.put(&target, &json!({ "region": "eu" })).expect_status(200);
    seeing.get(&format!("{CONNECTORS}/without")).expect_status(200);
    // A test uses the secret, nobody sees it.
    seeing.put(&format!("{CONNECTORS}/-/test"), &json!({ "id": 1 })).expect_status(202);
    assert_eq!(event(&admin, "kind=secret_revealed")["count"], 1, "counted in memory");
    let service = restart(service, directory.path());
    let admin = service.admin();
    let counted = event(&admin, "kind=secret_revealed");
    check(&counted, &json!({ "count": 12, "request_id": "first", "id": counted["id"] }));
    assert!(counted["last_at"].as_str() > counted["first_at"].as_str());

    // Another caller, another secret and an unmasked password are events of their own.
    admin.get(&target).expect_status(200);
    assert_eq!(count(&admin, "kind=secret_revealed"), 2);
    blind_change(&service, &json!({ "secret_key": "other" }));
    admin.get(&target).expect_status(200);
    check(
        &events(&admin, "kind=secret_revealed&limit=1")[0],
        &json!({ "caller": "user:1", "secret_revision": 2 }),
    );
    blind_change(&service, &json!({ "secret_key": null, "url_proxy": "http://u:hunter3@p" }));
    admin.get(CONNECTORS).expect_status(200);
    check(
        &events(&admin, "kind=secret_revealed&limit=1")[0],
        &json!({ "caller": "user:1", "secret_revision": 3 }),
    );
    blind_change(&service, &json!({ "url_proxy": null }));
    admin.get(CONNECTORS).expect_status(200);
    assert_eq!(count(&admin, "kind=secret_revealed"), 4);
    service.stop();
}

#[test]
fn a_head_shows_no_secret_and_is_no_reveal() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let (admin, target) = (service.admin(), format!("{CONNECTORS}/a"));
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &secret_body("a")).expect_status(201);
    let ask_heads = || {
        for target in [target.as_str(), CONNECTORS] {
            let head = admin.send("HEAD", target, &[], b"");
            assert!(head.status == 200 && head.body.is_empty() && head.header("content-length").is_some());
        }
    };
    ask_heads();
    assert_eq!(count(&admin, "kind=secret_revealed"), 0);
    admin.get(&target).expect_status(200);
    // Nor is it a repeat of what was seen.
    ask_heads();
    let service = restart(service, directory.path());
    check(&event(&service.admin(), "kind=secret_revealed"), &json!({ "caller": "user:1", "count": 1 }));
    service.stop();
}

#[test]
fn who_asks_without_secrets_gets_none_and_leaves_no_reveal() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let body = json!({ "name": "a", "url": "h", "secret_key": "s", "url_proxy": "http://u:p@proxy" });
    let is_without = |connector: &Value| {
        connector.get("secret_key").is_none() && connector["url_proxy"] == json!("http://u:***@proxy")
    };
    let (list, one) = (format!("{CONNECTORS}?reveal=false"), format!("{CONNECTORS}/a?reveal=false"));
    assert!(is_without(&admin.post(&list, &body).expect_status(201).json()));
    assert!(is_without(&admin.get(&one).expect_status(200).json()));
    assert!(is_without(&admin.get(&list).expect_status(200).json()["cloud_connectors"][0]));
    assert_eq!(count(&admin, "kind=secret_revealed"), 0);
    // Whoever may see secrets may go on changing what they belong to. Who has the other place reads them there.
    assert!(is_without(&admin.put(&one, &json!({ "url": "other" })).expect_status(200).json()));
    assert_eq!(count(&admin, "kind=secret_revealed"), 1);
    admin.get(&format!("{CONNECTORS}?reveal=no")).expect_status(422).errors("reveal");
    admin.get(&format!("{CONNECTORS}?reveal=false&reveal=true")).expect_status(422).errors("reveal");
    let shown = admin.get(&format!("{CONNECTORS}/a?reveal=true")).expect_status(200).json();
    assert_eq!((&shown["secret_key"], &shown["url"]), (&json!("s"), &json!("other")));
    assert_eq!(count(&admin, "kind=secret_revealed"), 1);
    service.stop();
}

fn blind_change(service: &Service, change: &Value) {
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.put(&format!("{CONNECTORS}/a"), change).expect_status(200);
}

#[test]
fn who_has_seen_a_secret_since_it_changed_is_one_request() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let readers = |selector: &str| {
        let target = format!("{CONNECTORS}/{}/secret_readers", encode(selector));
        admin.get(&target).expect_status(200).json()
    };
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &secret_body("a/b c")).expect_status(201);
    assert_eq!(readers("1"), json!({ "count": 0, "secret_revision": 1, "secret_readers": [] }));
    let key = service.with_key(&service.make_key(&["*/*", "cloud_connectors/get_secret_key"]));
    key.get(&format!("{CONNECTORS}/1")).expect_status(200);
    admin.get(CONNECTORS).expect_status(200);
    let seen = readers("a/b c");
    assert_eq!((&seen["count"], &readers("1")["count"]), (&json!(2), &json!(2)));
    check(&seen["secret_readers"][0], &json!({ "caller": "user:1", "user_name": "admin", "count": 1 }));
    let second = json!({ "caller": "key:2", "api_key_name": "test", "client": "127.0.0.1" });
    check(&seen["secret_readers"][1], &second);
    let page = admin.get(&format!("{CONNECTORS}/1/secret_readers?limit=1&offset=1")).json();
    assert_eq!((&page["count"], &page["secret_readers"]), (&json!(2), &json!([seen["secret_readers"][1]])));

    blind.put(&format!("{CONNECTORS}/1"), &json!({ "region": "eu" })).expect_status(200);
    assert_eq!(readers("1")["count"], 2, "the secret is the same");
    blind.put(&format!("{CONNECTORS}/1"), &json!({ "secret_key": "new" })).expect_status(200);
    assert_eq!(readers("1"), json!({ "count": 0, "secret_revision": 2, "secret_readers": [] }));
    admin.get(&format!("{CONNECTORS}/9/secret_readers")).expect_status(404);
    let refused = service.with_key(&service.make_key(&["audit_events/index"]));
    let refused = refused.get(&format!("{CONNECTORS}/1/secret_readers")).expect_status(403);
    assert!(refused.text().contains("cloud_connectors / show"), "{}", refused.text());
    service.stop();
}

#[test]
fn of_many_clients_at_once_one_is_the_first() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &secret_body("a")).expect_status(201);
    service.admin().get(EVENTS).expect_status(200);
    let barrier = std::sync::Barrier::new(32);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let admin = service.admin();
                barrier.wait();
                admin.get(&format!("{CONNECTORS}/a")).expect_status(200);
            });
        }
    });
    let service = restart(service, directory.path());
    let event = event(&service.admin(), "kind=secret_revealed");
    assert!(event["count"].as_u64().is_some_and(|count| count <= 32), "{event}");
    service.stop();
}

#[test]
fn keys_revoked_on_the_command_line_are_told_too() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let key = service.make_key(&["*/*"]);
    service.stop();
    let data = directory.path().join("data").display().to_string();
    let password = directory.path().join("password").display().to_string();
    let arguments =
        ["user", "--data-dir", &data, "passwd", "admin", "--password-file", &password, "--revoke-keys"];
    let output = command(&arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let service = Service::start(directory.path());
    service.with_key(&key).get(EVENTS).expect_status(401);
    let expected = json!({ "caller": "command_line", "client": null, "request_id": null, "subject_id": 1,
        "subject_name": "test" });
    check(&event(&service.admin(), "kind=api_key_revoked"), &expected);
    service.stop();
}
