//! A test with a saved secret that leads elsewhere shows that secret to whoever has the other place.

use serde_json::{Value, json};

use super::{CONNECTORS, check, count, event, secret_body, send};
use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::http::Answer;
use crate::harness::service::{Service, TestDirectory};
use crate::jobs::{end, start};

const TEST: &str = "/api/v2/cloud_connectors/-/test";

#[test]
fn a_secret_that_a_test_leads_elsewhere_is_recorded_as_shown() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &secret_body("a")).expect_status(201);
    let own = FaultServer::http(|_| Answer::new(404, ""));
    let scopes = ["cloud_connectors/test", "cloud_connectors/show", "cloud_connectors/get_secret_key"];
    let reader = service.with_key(&service.make_key(&scopes));
    let url = format!("{}/auth/v1.0", own.url());
    let body = json!({ "id": 1, "provider": "openstack_swift", "url": url });
    let started = send(&reader, "PUT", TEST, "errand-1", &body).expect_status(202).json();
    end(&reader, started["job_id"].as_str().expect("an id"));
    assert!(own.saw("hunter2 of a"), "{:?}", own.requests());
    let expected = json!({ "caller": "key:2", "client": "127.0.0.1", "request_id": "errand-1", "subject_id": 1,
        "subject_name": "a", "secret_revision": 1, "count": 1 });
    check(&event(&service.admin(), "kind=secret_revealed"), &expected);
    let readers = service.admin().get(&format!("{CONNECTORS}/1/secret_readers")).expect_status(200).json();
    assert_eq!((&readers["count"], &readers["secret_readers"][0]["caller"]), (&json!(1), &json!("key:2")));
    service.stop();
}

#[test]
fn a_change_that_leads_a_secret_elsewhere_is_told_also_where_the_answer_hides_it() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    blind.post(CONNECTORS, &secret_body("a")).expect_status(201);
    let admin = service.admin();
    let change = |body: Value| {
        admin.put(&format!("{CONNECTORS}/a?reveal=false"), &body).expect_status(200);
        count(&admin, "kind=secret_revealed")
    };
    assert_eq!(change(json!({ "region": "eu" })), 0);
    assert_eq!(change(json!({ "url": "http://127.0.0.1:10", "secret_key": "own" })), 0);
    assert_eq!(change(json!({ "url": "http://127.0.0.1:9" })), 1);
    service.stop();
}

#[test]
fn each_way_elsewhere_counts_and_none_besides() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    let password = "http://u:hunter3@127.0.0.1:9";
    let mut id = 0;
    let mut recorded = |more: Value, change: Value| {
        id += 1;
        let mut saved =
            json!({ "name": format!("c{id}"), "url": "http://127.0.0.1:9", "access_key": "public" });
        saved.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        blind.post(CONNECTORS, &saved).expect_status(201);
        let mut body = change.clone();
        body["id"] = json!(id);
        end(&service.admin(), &start(&service.admin(), &body));
        count(&service.admin(), &format!("kind=secret_revealed&subject_id={id}"))
    };
    let secret = || json!({ "secret_key": "hunter2" });
    for change in [
        json!({ "url": "http://127.0.0.1:10" }),
        json!({ "url_proxy": "http://127.0.0.1:9" }),
        json!({ "provider": "wasabi" }),
        json!({ "region": "eu" }),
        json!({ "access_key": "other" }),
        json!({ "options": "no_check_certificate" }),
    ] {
        assert_eq!(recorded(secret(), change.clone()), 1, "{change}");
    }
    // A proxy's password is a secret too.
    let other = json!({ "url": "http://127.0.0.1:10", "secret_key": "own" });
    assert_eq!(recorded(json!({ "url_proxy": password }), other.clone()), 1);
    assert_eq!(recorded(json!({ "options": format!("proxy={password}") }), other.clone()), 1);
    // As it is saved, with a secret of one's own, or without any: nothing is seen.
    for (more, change) in [
        (secret(), json!({})),
        (secret(), json!({ "url": "http://127.0.0.1:9", "probe_buckets": ["a"] })),
        (secret(), other.clone()),
        (json!({ "url_proxy": "http://127.0.0.1:9" }), other),
        (json!({}), json!({ "url": "http://127.0.0.1:10" })),
    ] {
        assert_eq!(recorded(more, change.clone()), 0, "{change}");
    }
    service.stop();
}
