//! The list of events: filters on every attribute, order, pages, and what is refused.

use serde_json::json;

use super::{CONNECTORS, EVENTS, event};
use crate::harness::http::encode;
use crate::harness::service::{Service, TestDirectory};

#[test]
fn events_are_filtered_ordered_and_paged() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let admin = service.admin();
    for name in ["a", "b", "c"] {
        admin.post(CONNECTORS, &json!({ "name": name, "url": "h" })).expect_status(201);
    }
    service.make_key(&["*/*"]);
    admin.put(&format!("{CONNECTORS}/b"), &json!({ "region": "eu", "url": "i" })).expect_status(200);
    let moment = event(&admin, "id=3")["first_at"].as_str().expect("a moment").to_owned();
    let moment = encode(&moment);
    let cases = [
        ("", 5, "5 4 3 2 1"),
        ("limit=2&offset=1", 5, "4 3"),
        ("sort_by=id", 5, "1 2 3 4 5"),
        ("sort_by=kind|id:desc", 5, "4 3 2 1 5"),
        ("sort_by=subject_kind", 5, "4 5 3 2 1"),
        ("kind=connector_created", 3, "3 2 1"),
        ("kind=%3E%3Capi_key_created|connector_updated", 2, "5 4"),
        ("kind=~connector%25&id=%3E2", 2, "5 3"),
        ("kind=~secret_reveal", 0, ""),
        ("kind=!=connector_created&subject_kind=!%3E%3Cuser|api_key", 1, "5"),
        ("kind=%3Eb", 4, "5 3 2 1"),
        ("caller=user:1&user_name=admin&client=127.0.0.1&count=1", 5, "5 4 3 2 1"),
        ("api_key_name=!=", 0, ""),
        ("subject_kind=cloud_connector&subject_id=2", 2, "5 2"),
        ("subject_name=!~b", 3, "4 3 1"),
        ("secret_revision=", 5, "5 4 3 2 1"),
        ("attributes=url,region", 1, "5"),
        ("attributes=~%25scopes%25", 1, "4"),
        (&format!("first_at=%3C{moment}"), 2, "2 1"),
        (&format!("first_at={moment}&last_at=%3E%3D{moment}"), 1, "3"),
    ];
    for (query, count, ids) in cases {
        let listed = admin.get(&format!("{EVENTS}?{query}")).expect_status(200).json();
        let shown = listed["audit_events"].as_array().expect("a list").iter();
        let shown: Vec<String> = shown.map(|event| event["id"].to_string()).collect();
        assert_eq!((listed["count"].as_u64(), shown.join(" ")), (Some(count), ids.to_owned()), "{query}");
    }
    for (query, attribute) in [
        ("first_at=yesterday", "first_at"),
        ("last_at=~2026%25", "last_at"),
        ("count=~1", "count"),
        ("subject_id=x", "subject_id"),
        ("sort_by=value", "sort_by"),
        ("limit=-1", "limit"),
        ("secret_key=x", "secret_key"),
        ("kind=secret_reveal", "kind"),
        ("kind=!=Connector_created", "kind"),
        ("kind=%3E%3Cconnector_created|", "kind"),
        ("kind=!%3E%3Cconnector_created|api_keys", "kind"),
        ("subject_kind=connector", "subject_kind"),
    ] {
        let refused = admin.get(&format!("{EVENTS}?{query}")).expect_status(422);
        assert_eq!(refused.errors(attribute).len(), 1, "{query}");
    }
    let refused = admin.get(&format!("{EVENTS}?kind=secret_reveal")).expect_status(422);
    assert!(refused.text().contains("login_refused, api_key_created"), "{}", refused.text());
    service.stop();
}
