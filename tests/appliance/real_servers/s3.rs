//! S3: s3s-fs, whose list has no owner and no order, and Swift's s3api, which checks the region and can deny the list.

use serde_json::{Value, json};

use super::{
    changed, check_failure, check_failures, check_names, completed, names, notes, swift, with_service,
};
use crate::harness::s3_server::{self, ACCESS_KEY, SECRET_KEY};
use crate::harness::service::TestDirectory;
use crate::harness::swift_client::KEY;
use crate::jobs::{end, start};

#[test]
fn s3s_fs() {
    let files = TestDirectory::new();
    for bucket in ["zebra", "archive", "photos", "b-10", "b-9"] {
        std::fs::create_dir(files.path().join(bucket)).expect("created");
    }
    let empty = TestDirectory::new();
    let empty = s3_server::start(empty.path());
    let url = format!("http://{}", s3_server::start(files.path()));
    let good = json!({ "url": url, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
    with_service(|client| {
        let all = ["archive", "b-10", "b-9", "photos", "zebra"];
        for provider in ["generic_s3", "scality_ring", "openstack_swift", "datacore_swarm"] {
            check_names(client, &changed(&good, &json!({ "provider": provider })), &all);
        }
        // It takes any region, and an end of the url that is a slash.
        check_names(client, &changed(&good, &json!({ "region": "eu-west-9" })), &all);
        check_names(client, &changed(&good, &json!({ "url": format!("{url}/") })), &all);
        check_names(client, &changed(&good, &json!({ "url": format!("http://{empty}") })), &[]);
        check_failures(
            client,
            &good,
            &[
                (json!({ "secret_key": "wrong-f00d" }), ["secret_key_wrong", "authentication", "secret_key"]),
                (
                    json!({ "access_key": "unknown" }),
                    ["account_not_signed_up", "authorization", "access_key"],
                ),
                (json!({ "url": format!("{url}/photos") }), ["url_names_bucket", "answer", "url"]),
            ],
        );
    });
}

/// The connector of a user of Swift's s3api.
fn s3api(swift: &str, user: &str, secret_key: &str) -> Value {
    json!({ "provider": "openstack_swift", "url": format!("http://{swift}"), "region": "us-east-1",
        "access_key": user, "secret_key": secret_key })
}

#[test]
fn swift_s3api() {
    let Some(swift) = swift() else { return };
    let good = s3api(&swift, "some:tester", KEY);
    super::swift::fill(&swift);
    with_service(|client| {
        let ended = completed(client, &good);
        assert_eq!(names(&ended), super::swift::CONTAINERS);
        assert_eq!(notes(&ended), [""; 0]);
        for bucket in ended["cloud_buckets"].as_array().expect("buckets") {
            assert_eq!(bucket["location"], "us-east-1", "an empty LocationConstraint means that: {bucket}");
            assert_eq!((&bucket["file_count"], &bucket["file_size_sum"]), (&Value::Null, &Value::Null));
        }
        check_names(client, &changed(&good, &json!({ "provider": "generic_s3" })), &super::swift::CONTAINERS);
        check_names(client, &s3api(&swift, "empty:tester", KEY), &[]);
        assert!(names(&completed(client, &s3api(&swift, "test:tester", "testing"))).is_sorted());
        check_failures(
            client,
            &good,
            &[
                (json!({ "secret_key": "wrong-f00d" }), ["secret_key_wrong", "authentication", "secret_key"]),
                // Swift says SignatureDoesNotMatch of an unknown access key too, so the verdict cannot tell.
                (
                    json!({ "access_key": "nobody:here" }),
                    ["secret_key_wrong", "authentication", "secret_key"],
                ),
                (json!({ "access_key": "nobody" }), ["secret_key_wrong", "authentication", "secret_key"]),
                (json!({ "region": "eu-west-9" }), ["region_wrong", "authentication", "region"]),
                (json!({ "access_key": "some:reader" }), ["access_denied", "authorization", "access_key"]),
            ],
        );
        let ended = end(client, &start(client, &changed(&good, &json!({ "region": "eu-west-9" }))));
        assert!(ended["error"]["hint"].as_str().is_some_and(|hint| hint.contains("us-east-1")), "{ended}");
    });
}

/// Who may not list can still name buckets: those that he reaches are the list.
#[test]
fn swift_s3api_probes() {
    let Some(swift) = swift() else { return };
    super::swift::fill(&swift);
    let denied = s3api(&swift, "some:reader", KEY);
    let probing = |names: &[&str]| changed(&denied, &json!({ "probe_buckets": names }));
    with_service(|client| {
        let ended = completed(client, &probing(&["readable", "closed", "missing", "also-readable"]));
        assert_eq!(names(&ended), ["also-readable", "readable"]);
        assert_eq!(notes(&ended), ["buckets_probed", "buckets_not_reachable"]);
        let unreachable = ended["notes"][1]["message"].as_str().expect("a message");
        assert!(unreachable.contains("closed") && unreachable.contains("missing"), "{unreachable}");
        let ended = completed(client, &probing(&["readable"]));
        assert_eq!((names(&ended), notes(&ended)), (vec!["readable"], vec!["buckets_probed"]));
        for nothing in [&denied, &probing(&["closed", "missing"])] {
            check_failure(client, nothing, ["access_denied", "authorization", "access_key"]);
        }
        // Who may list gets the list, whatever is asked for.
        let listing = changed(&probing(&["readable"]), &json!({ "access_key": "some:tester" }));
        check_names(client, &listing, &super::swift::CONTAINERS);
    });
}
