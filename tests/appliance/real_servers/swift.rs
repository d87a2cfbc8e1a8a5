//! OpenStack Swift's native API with sign-in version 1, which knows how much is in each container.

use serde_json::{Value, json};

use super::{
    changed, check_failure, check_failures, check_names, completed, names, notes, swift, with_service,
};
use crate::harness::swift_client::{KEY, SwiftClient};

/// What is in the account `some`.
pub const CONTAINERS: [&str; 4] = ["also-readable", "closed", "full", "readable"];

/// Fills the account `some`: the same however often, since tests that run beside each other do it.
pub fn fill(swift: &str) {
    let client = SwiftClient::sign_in(swift, "some");
    client.put_full_container("full", &[5, 70_000]);
    client.put_container("closed");
    client.put_readable_container("readable", "some:reader");
    client.put_readable_container("also-readable", "some:reader");
}

/// The connector of a user of the native API.
fn native(swift: &str, user: &str, secret_key: &str) -> Value {
    json!({ "provider": "openstack_swift", "url": format!("http://{swift}/auth/v1.0"), "access_key": user,
        "secret_key": secret_key })
}

#[test]
fn native_list() {
    let Some(swift) = swift() else { return };
    fill(&swift);
    with_service(|client| {
        let ended = completed(client, &native(&swift, "some:tester", KEY));
        assert_eq!((names(&ended), notes(&ended)), (CONTAINERS.to_vec(), vec![]));
        for (bucket, expected) in ended["cloud_buckets"].as_array().expect("buckets").iter().zip([
            ("also-readable", 0, 0),
            ("closed", 0, 0),
            ("full", 2, 70_005),
            ("readable", 0, 0),
        ]) {
            let (name, count, bytes) = expected;
            assert_eq!(
                (&bucket["name"], &bucket["file_count"], &bucket["file_size_sum"]),
                (&json!(name), &json!(count), &json!(bytes)),
                "{bucket}"
            );
        }
        // Other ways to write the address; Swift itself knows only the one.
        for path in ["auth/v1", "auth/v1.0/"] {
            let url = json!({ "url": format!("http://{swift}/{path}") });
            check_names(client, &changed(&native(&swift, "some:tester", KEY), &url), &CONTAINERS);
        }
        check_names(client, &native(&swift, "empty:tester", KEY), &[]);
        assert!(names(&completed(client, &native(&swift, "test:tester", "testing"))).is_sorted());
    });
}

#[test]
fn native_failures() {
    let Some(swift) = swift() else { return };
    let credentials_wrong = ["credentials_wrong", "authentication", "secret_key"];
    with_service(|client| {
        check_failures(
            client,
            &native(&swift, "some:tester", KEY),
            &[
                // Swift answers all of these alike.
                (json!({ "secret_key": "wrong-f00d" }), credentials_wrong),
                (json!({ "access_key": "some:nobody" }), credentials_wrong),
                (json!({ "access_key": "nobody:tester" }), credentials_wrong),
                (json!({ "access_key": "nobody" }), credentials_wrong),
                // He has signed in, so the key is good.
                (json!({ "access_key": "some:reader" }), ["list_not_allowed", "authorization", "access_key"]),
                (json!({ "access_key": null }), ["attribute_missing", "configuration", "access_key"]),
                (json!({ "secret_key": null }), ["attribute_missing", "configuration", "secret_key"]),
                (
                    json!({ "url": format!("http://{swift}/v2.0") }),
                    ["auth_version_not_supported", "configuration", "url"],
                ),
            ],
        );
    });
}

#[test]
fn native_probes() {
    let Some(swift) = swift() else { return };
    fill(&swift);
    let denied = native(&swift, "some:reader", KEY);
    with_service(|client| {
        let probing = changed(&denied, &json!({ "probe_buckets": ["readable", "closed", "missing"] }));
        let ended = completed(client, &probing);
        assert_eq!(names(&ended), ["readable"]);
        assert_eq!(ended["cloud_buckets"][0]["file_count"], 0, "known from the container itself: {ended}");
        assert_eq!(notes(&ended), ["buckets_probed", "buckets_not_reachable"]);
        let nothing = changed(&denied, &json!({ "probe_buckets": ["closed"] }));
        check_failure(client, &nothing, ["list_not_allowed", "authorization", "access_key"]);
    });
}
