//! The connectors: names of every kind, lists, changes, and who sees which secret.

use serde_json::{Value, json};

use crate::harness::http::encode;
use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

/// The example body of the API's reference page, as it stands there.
const REFERENCE_BODY: &str = r#"{
  "name": "text",
  "url": "text",
  "url_proxy": "text",
  "provider": "generic_s3",
  "region": "text",
  "access_key": "text",
  "secret_key": "text",
  "options": "text"
}"#;

#[test]
fn the_reference_pages_example_is_kept_as_it_is() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let created = service.admin().send_json("POST", CONNECTORS, REFERENCE_BODY.as_bytes()).expect_status(201);
    let mut expected: Value = serde_json::from_str(REFERENCE_BODY).expect("JSON");
    expected["id"] = json!(1);
    assert_eq!(created.json(), expected);
    assert_eq!(created.header("location"), Some("/api/v2/cloud_connectors/1"));
    assert_eq!(created.header("cache-control"), Some("no-store"));
    assert_eq!(created.header("content-type"), Some("application/json"));
    for target in ["1", "text", "text/", "1/"] {
        let shown = service.admin().get(&format!("{CONNECTORS}/{target}")).expect_status(200);
        assert_eq!(shown.json(), expected, "{target}");
    }
    let updated = service.admin().send_json("PUT", &format!("{CONNECTORS}/text"), REFERENCE_BODY.as_bytes());
    assert_eq!(updated.expect_status(200).json(), expected);
    assert_eq!(service.admin().get(CONNECTORS).json(), json!({ "count": 1, "cloud_connectors": [expected] }));
    let destroyed = service.admin().delete(&format!("{CONNECTORS}/text")).expect_status(204);
    assert!(destroyed.body.is_empty());
    assert_eq!(
        service.admin().get(&format!("{CONNECTORS}/1")).expect_status(404).errors("base"),
        ["not_found"]
    );
    service.stop();
}

#[test]
fn names_of_every_kind_are_created_found_and_destroyed() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let long = "ü".repeat(255);
    let names = [
        "with space",
        "a/b",
        "a+b",
        "100%",
        "%41",
        "say \"x\"",
        "it's",
        "Zürich",
        "日本語",
        "🗄️ box",
        "a?b#c&d=e",
        "a;b,c",
        "-/test",
        "a\\b",
        "<tag>",
        "...",
        "1a",
        "１２",
        &long,
    ];
    for name in names {
        let created =
            admin.post(CONNECTORS, &json!({ "name": name, "url": "s3.example.com" })).expect_status(201);
        assert_eq!(created.json()["name"], name);
        let target = format!("{CONNECTORS}/{}", encode(name));
        assert_eq!(admin.get(&target).expect_status(200).json(), created.json(), "{name}");
        let found =
            admin.get(&format!("{CONNECTORS}?name={}", encode(&format!("={name}")))).expect_status(200);
        assert_eq!(found.json()["count"], 1, "{name}");
        let again =
            admin.post(CONNECTORS, &json!({ "name": name, "url": "s3.example.com" })).expect_status(422);
        assert_eq!(again.errors("name"), ["taken"]);
        admin.delete(&target).expect_status(204);
        admin.get(&target).expect_status(404);
    }
    for (name, error) in [
        (json!(""), "blank"),
        (json!(null), "blank"),
        (json!("123"), "invalid"),
        (json!("-"), "invalid"),
        (json!("."), "invalid"),
        (json!(".."), "invalid"),
        (json!(" a"), "invalid"),
        (json!("a\n"), "invalid"),
        (json!("a\u{0}b"), "invalid"),
        (json!(5), "invalid"),
        (json!("x".repeat(256)), "too_long"),
    ] {
        let refused = admin.post(CONNECTORS, &json!({ "name": name, "url": "h" })).expect_status(422);
        assert_eq!(refused.errors("name"), [error], "{name}");
    }
    assert_eq!(admin.post(CONNECTORS, &json!({ "url": "h" })).expect_status(422).errors("name"), ["blank"]);
    assert_eq!(admin.get(CONNECTORS).json()["count"], 0);
    service.stop();
}

#[test]
fn a_literal_plus_is_itself_and_then_a_space() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    admin.post(CONNECTORS, &json!({ "name": "a b", "url": "h" })).expect_status(201);
    assert_eq!(admin.get(&format!("{CONNECTORS}/a+b")).expect_status(200).json()["id"], 1);
    admin.get(&format!("{CONNECTORS}/a%2Bb")).expect_status(404);
    admin.post(CONNECTORS, &json!({ "name": "a+b", "url": "h" })).expect_status(201);
    let ambiguous = admin.get(&format!("{CONNECTORS}/a+b")).expect_status(409);
    assert!(ambiguous.text().contains("id 1") && ambiguous.text().contains("id 2"), "{}", ambiguous.text());
    ambiguous.errors("base");
    assert_eq!(admin.get(&format!("{CONNECTORS}/a%2Bb")).expect_status(200).json()["id"], 2);
    assert_eq!(admin.get(&format!("{CONNECTORS}/a%20b")).expect_status(200).json()["id"], 1);
    service.stop();
}

#[test]
fn all_problems_of_a_body_are_told_at_once_and_nothing_is_stored() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    admin.post(CONNECTORS, &json!({ "name": "taken", "url": "h" })).expect_status(201);
    let body = json!({
        "name": "taken", "url": "ftp://x", "url_proxy": "http://u:hunter2@h/path", "provider": "floppy", "region": 7,
        "access_key": "x".repeat(1025), "secret_key": ["hunter2"], "options": "x".repeat(4097),
    });
    for refused in [admin.post(CONNECTORS, &body), admin.put(&format!("{CONNECTORS}/taken"), &body)] {
        let refused = refused.expect_status(422);
        for (attribute, error) in [
            ("url", "invalid"),
            ("url_proxy", "invalid"),
            ("provider", "invalid"),
            ("region", "invalid"),
            ("access_key", "too_long"),
            ("secret_key", "invalid"),
            ("options", "too_long"),
        ] {
            assert_eq!(refused.errors(attribute), [error], "{attribute}");
        }
        assert!(!refused.text().contains("hunter2"));
    }
    assert_eq!(admin.post(CONNECTORS, &body).errors("name"), ["taken"]);
    assert_eq!(admin.post(CONNECTORS, &json!({ "name": "b" })).expect_status(422).errors("url"), ["blank"]);
    admin.post(CONNECTORS, &json!({ "name": "b", "provider": "amazon_aws_s3" })).expect_status(201);
    assert_eq!(admin.get(CONNECTORS).json()["count"], 2);
    service.stop();
}

#[test]
fn attributes_left_out_stay_and_null_clears() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    let body = json!({ "name": "a", "url": "http://h:1", "region": "eu", "secret_key": "s", "options": "x,y", "unknown": [1] });
    admin.post(CONNECTORS, &body).expect_status(201);
    let change = |body: Value| admin.put(&format!("{CONNECTORS}/1"), &body).expect_status(200).json();
    let changed = change(json!({ "access_key": "k", "id": 99 }));
    assert_eq!(
        changed,
        json!({ "id": 1, "name": "a", "url": "http://h:1", "url_proxy": null, "provider": "generic_s3", "region": "eu",
            "access_key": "k", "secret_key": "s", "options": "x,y" })
    );
    let cleared =
        change(json!({ "region": null, "options": "", "secret_key": "", "provider": "wasabi", "url": null }));
    for attribute in ["region", "options", "secret_key", "url"] {
        assert_eq!(cleared[attribute], Value::Null, "{attribute}");
    }
    assert_eq!(change(json!({ "provider": null, "url": "h" }))["provider"], "generic_s3");
    let refused = admin.put(&format!("{CONNECTORS}/1"), &json!({ "url": null })).expect_status(422);
    assert_eq!(refused.errors("url"), ["blank"]);
    assert_eq!(
        admin.put(&format!("{CONNECTORS}/1"), &json!({ "name": "" })).expect_status(422).errors("name"),
        ["blank"]
    );
    assert_eq!(change(json!({ "name": "renamed" }))["name"], "renamed");
    admin.get(&format!("{CONNECTORS}/a")).expect_status(404);
    service.stop();
}

#[test]
fn lists_are_filtered_ordered_and_paged() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    for (name, region) in
        [("Alpha", json!("eu")), ("beta", Value::Null), ("gamma", json!("us")), ("alpha 2", json!("eu"))]
    {
        admin.post(CONNECTORS, &json!({ "name": name, "url": "h", "region": region })).expect_status(201);
    }
    let cases = [
        ("", 4, "1 2 3 4"),
        ("?limit=2", 4, "1 2"),
        ("?limit=2&offset=3", 4, "4"),
        ("?limit=0", 4, ""),
        ("?offset=9", 4, ""),
        ("?name=beta", 1, "2"),
        ("?name=%3Dbeta", 1, "2"),
        ("?name=!=beta", 3, "1 3 4"),
        ("?name=~alpha%25", 2, "1 4"),
        ("?name=!~alpha%25", 2, "2 3"),
        ("?name=%3E%3Cbeta|gamma", 2, "2 3"),
        ("?name=!%3E%3Cbeta|gamma", 2, "1 4"),
        ("?id=%3E%3D3", 2, "3 4"),
        ("?id=%3C3&id=%3E1", 1, "2"),
        ("?region=", 1, "2"),
        ("?region=!=", 3, "1 3 4"),
        ("?region=eu&name=Alpha", 1, "1"),
        ("?name=alpha+2", 1, "4"),
        ("?sort_by=region|name:desc", 4, "2 4 1 3"),
        ("?sort_by=region,name", 4, "2 1 4 3"),
        ("?sort_by=region&sort_by=id:desc", 4, "2 4 1 3"),
        ("?sort_by[]=name:desc", 4, "3 2 4 1"),
        ("?sort_by%5B%5D=name&limit=1&_=123", 4, "1"),
        ("?sort_by=", 4, "1 2 3 4"),
    ];
    for (query, count, ids) in cases {
        let listed = admin.get(&format!("{CONNECTORS}{query}")).expect_status(200).json();
        let shown = listed["cloud_connectors"].as_array().expect("a list").iter();
        let shown: Vec<String> = shown.map(|connector| connector["id"].to_string()).collect();
        assert_eq!((listed["count"].as_u64(), shown.join(" ")), (Some(count), ids.to_owned()), "{query}");
    }
    service.stop();
}

#[test]
fn who_may_not_read_a_secret_cannot_see_it_or_send_it_elsewhere() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let body = json!({
        "name": "a", "url": "http://h:1", "url_proxy": "http://user:hunter2@proxy:1", "access_key": "k",
        "secret_key": "hunter2", "options": "proxy=http://user:hunter2@proxy,uid=1",
    });
    service.admin().post(CONNECTORS, &body).expect_status(201);
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    let seeing =
        service.with_key(&service.make_key(&["cloud_connectors/*", "cloud_connectors/get_secret_key"]));
    let target = format!("{CONNECTORS}/1");

    for answer in [blind.get(&target), blind.get(CONNECTORS), blind.put(&target, &json!({ "region": "eu" }))]
    {
        let text = answer.expect_status(200).text();
        assert!(!text.contains("hunter2") && !text.contains("secret_key"), "{text}");
        assert!(
            text.contains("http://user:***@proxy:1") && text.contains("proxy=http://user:***@proxy,uid=1"),
            "{text}"
        );
    }
    let shown = seeing.get(&target).expect_status(200).json();
    assert_eq!((&shown["secret_key"], &shown["url_proxy"]), (&body["secret_key"], &body["url_proxy"]));

    for change in [
        json!({ "url": "http://evil:1" }),
        json!({ "url_proxy": "http://evil:1" }),
        json!({ "url_proxy": "http://user:***@evil:1" }),
        json!({ "url_proxy": null }),
        json!({ "provider": "wasabi" }),
        json!({ "access_key": "other" }),
        json!({ "options": "url=http://evil" }),
    ] {
        let refused = blind.put(&target, &change).expect_status(422);
        assert_eq!(refused.errors("secret_key"), ["blank"], "{change}");
    }
    // The masked forms sent back mean the saved texts, so nothing changes.
    let back = blind.get(&target).json();
    blind.put(&target, &back).expect_status(200);
    assert_eq!(seeing.get(&target).json()["url_proxy"], body["url_proxy"]);
    assert_eq!(seeing.get(&target).json()["options"], body["options"]);
    // A filter sees the masked form too: a password cannot be guessed letter by letter.
    assert_eq!(blind.get(&format!("{CONNECTORS}?url_proxy=~%25hunter2%25")).json()["count"], 0);
    let with_secret = json!({ "url": "http://other:1", "secret_key": "mine" });
    blind.put(&target, &with_secret).expect_status(200);
    assert_eq!(seeing.get(&target).json()["secret_key"], "mine");
    seeing.put(&target, &json!({ "url": "http://third:1" })).expect_status(200);
    blind.put(&target, &json!({ "url": "http://fourth:1", "secret_key": null })).expect_status(200);
    assert_eq!(seeing.get(&target).json()["secret_key"], Value::Null);
    let created = blind
        .post(CONNECTORS, &json!({ "name": "b", "url": "h", "secret_key": "hunter3" }))
        .expect_status(201);
    assert!(!created.text().contains("hunter3"));
    service.stop();
}

#[test]
fn a_region_never_names_another_host() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    for region in ["evil.example.com/", "x/../#", "a.b", "a@b"] {
        let body = json!({ "name": "a", "provider": "amazon_aws_s3", "region": region });
        assert_eq!(
            admin.post(CONNECTORS, &body).expect_status(422).errors("region"),
            ["invalid"],
            "{region}"
        );
    }
    // With a url of its own the region is only signed.
    let body = json!({ "name": "a", "provider": "wasabi", "region": "a.b", "url": "h", "secret_key": "s" });
    admin.post(CONNECTORS, &body).expect_status(201);
    assert_eq!(
        admin.put(&format!("{CONNECTORS}/a"), &json!({ "url": null })).expect_status(422).errors("region"),
        ["invalid"]
    );
    service.stop();
}

#[test]
fn a_hidden_password_cannot_be_guessed_by_sending_it() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let body = json!({ "name": "a", "url": "h", "url_proxy": "http://u:hunter2@h:1", "secret_key": "s" });
    service.admin().post(CONNECTORS, &body).expect_status(201);
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    for guess in ["http://u:wrong@h:1", "http://u:hunter2@h:1"] {
        let refused =
            blind.put(&format!("{CONNECTORS}/a"), &json!({ "url_proxy": guess })).expect_status(422);
        assert_eq!(refused.errors("secret_key"), ["blank"], "{guess}");
        let refused = blind
            .put(&format!("{CONNECTORS}/-/test"), &json!({ "id": 1, "url_proxy": guess }))
            .expect_status(422);
        assert_eq!(refused.errors("secret_key"), ["blank"], "{guess}");
    }
    service.stop();
}
