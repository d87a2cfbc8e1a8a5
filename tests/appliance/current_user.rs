//! Who am I: what the service tells a caller about itself.

use serde_json::{Value, json};

use crate::harness::http::basic;
use crate::harness::service::{Service, TestDirectory};

const ME: &str = "/api/v2/users/me";

/// The scopes of an answer, as `controller/action`.
fn scopes(answer: &Value) -> Vec<String> {
    let scopes = answer["scopes"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    scopes.map(|scope| format!("{}/{}", text(&scope["controller"]), text(&scope["action"]))).collect()
}

#[test]
fn every_caller_is_told_what_it_may_do() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let mine = service.admin().get(ME).expect_status(200);
    assert_eq!(mine.header("cache-control"), Some("no-store"));
    let mine = mine.json();
    assert_eq!((&mine["id"], &mine["name"]), (&json!(1), &json!("admin")));
    assert_eq!((&mine["credential"], &mine["api_key"]), (&json!("password"), &Value::Null));
    let every = scopes(&mine);
    assert!(every.contains(&"cloud_connectors/get_secret_key".to_owned()), "{every:?}");
    let all = mine["all_scopes"].as_array().expect("a list");
    assert_eq!(all.len(), every.len(), "a password may do everything");
    for scope in all {
        assert_eq!(scope["explicit"], scope["action"] == "get_secret_key", "{scope}");
        assert!(scope["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{scope}");
        // What is listed can be given to a key.
        let (controller, action) = (scope["controller"].as_str(), scope["action"].as_str());
        let scope = format!("{}/{}", controller.expect("a name"), action.expect("a name"));
        let answer = service.with_key(&service.make_key(&[&scope])).get(ME).expect_status(200).json();
        assert_eq!(scopes(&answer), [scope]);
    }

    let ordinary: Vec<String> =
        every.iter().filter(|scope| *scope != "cloud_connectors/get_secret_key").cloned().collect();
    for (given, expected) in [
        (&["*/*"][..], ordinary),
        (&["*/index"], every.iter().filter(|scope| scope.ends_with("/index")).cloned().collect()),
        (&["api_keys/*"], every.iter().filter(|scope| scope.starts_with("api_keys/")).cloned().collect()),
        (&["*/*", "cloud_connectors/get_secret_key"], every.clone()),
        (&["cloud_connectors/show", "cloud_connectors/show"], vec!["cloud_connectors/show".to_owned()]),
        (&[], Vec::new()),
    ] {
        let answer = service.with_key(&service.make_key(given)).get(ME).expect_status(200).json();
        assert_eq!(scopes(&answer), expected, "{given:?}");
        assert_eq!((&answer["id"], &answer["name"]), (&json!(1), &json!("admin")), "the owner");
        assert_eq!((&answer["credential"], &answer["api_key"]["name"]), (&json!("api_key"), &json!("test")));
        assert_eq!(answer["all_scopes"], mine["all_scopes"]);
    }
    service.stop();
}

#[test]
fn a_key_is_told_about_itself_until_it_ends() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let body = json!({ "name": "panel", "expires_at": "2999-01-01T00:00:00Z" });
    let created = service.admin().post("/api/v2/users/me/api_keys", &body).expect_status(201).json();
    let key = created["key"].as_str().expect("a key");
    let client = service.with_key(key);
    let answer = client.get(ME).expect_status(200);
    assert!(!answer.text().contains(key) && !answer.text().contains("***"), "{}", answer.text());
    let expected = json!({ "id": created["id"], "name": "panel", "expires_at": "2999-01-01T00:00:00Z" });
    assert_eq!(answer.json()["api_key"], expected);

    service.admin().delete("/api/v2/users/me/api_keys/1").expect_status(204);
    client.get(ME).expect_status(401);
    service.anonymous().get(ME).expect_status(401).errors("base");
    service.anonymous().sending(&basic("admin", "wrong password")).get(ME).expect_status(401);
    service.anonymous().sending("Bearer cd1_nonsense").get(ME).expect_status(401);
    let refused = service.admin().send("DELETE", ME, &[], b"").expect_status(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    service.stop();
}
