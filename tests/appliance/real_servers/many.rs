//! Accounts of 1,200 buckets, of which every one has to come back, and of more than fit on a page: Azurite's pages are
//! of 5,000, Swift's of 10,000, which take minutes to make and are for `CONNECTORD_TEST_FULL`. The S3 servers here
//! have no pages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{azurite, completed, names, notes, swift, with_service};
use crate::harness::azure_client;
use crate::harness::http::Client;
use crate::harness::in_parallel;
use crate::harness::s3_server::{self, ACCESS_KEY, SECRET_KEY};
use crate::harness::service::TestDirectory;
use crate::harness::swift_client::{KEY, SwiftClient};

const MANY: usize = 1_200;

fn name(number: usize) -> String {
    format!("bucket-{number:05}")
}

/// Every one is there, once, in order.
#[track_caller]
fn check_all(ended: &Value, count: usize) {
    let expected: Vec<String> = (0..count).map(name).collect();
    assert!(names(ended) == expected, "{} names of {count}", names(ended).len());
    assert_eq!(notes(ended), [""; 0]);
}

/// Runs a test and looks all the time: what it said of its progress, and how it ended.
fn watched(client: &Client, connector: &Value) -> (Vec<(u64, u64)>, Value) {
    let job_id = crate::jobs::start(client, connector);
    let started = Instant::now();
    let mut seen = Vec::new();
    loop {
        let response = client.get(&format!("/api/v2/cloud_connectors/-/test?job_id={job_id}"));
        let body = response.json();
        if response.status == 200 {
            return (seen, body);
        }
        assert!(response.status == 202 && body["status"] != "failed", "{} {body}", response.status);
        assert!(started.elapsed() < Duration::from_secs(60), "{body}");
        let number = |attribute: &str| body[attribute].as_u64().unwrap_or_else(|| panic!("{body}"));
        let now = (number("progress"), number("total"));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Progress moves, only upwards, and never over the total, which is more than the one step of a test with few buckets.
#[track_caller]
fn check_progress(seen: &[(u64, u64)]) {
    assert!(seen.iter().all(|(progress, total)| progress <= total), "{seen:?}");
    assert!(seen.is_sorted_by_key(|(progress, _)| *progress), "{seen:?}");
    let working: Vec<_> = seen.iter().filter(|(progress, total)| *total > 1 && *progress > 0).collect();
    assert!(working.len() > 2, "{seen:?}");
}

/// Locations are asked of at most 500 buckets.
#[track_caller]
fn check_locations(ended: &Value) {
    let buckets = ended["cloud_buckets"].as_array().expect("buckets");
    let located = buckets.iter().filter(|bucket| bucket["location"] == "us-east-1").count();
    assert!((1..=500).contains(&located), "{located}");
}

#[test]
fn s3s_fs() {
    let files = TestDirectory::new();
    for number in 0..MANY {
        std::fs::create_dir(files.path().join(name(number))).expect("created");
    }
    let s3 = s3_server::start_slow(files.path(), Duration::from_millis(5));
    let connector =
        json!({ "url": format!("http://{s3}"), "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
    with_service(|client| {
        let (seen, ended) = watched(client, &connector);
        check_all(&ended, MANY);
        check_locations(&ended);
        check_progress(&seen);
    });
}

#[test]
fn swift_over_both_its_apis() {
    let Some(swift) = swift() else { return };
    let filling = SwiftClient::sign_in(&swift, "many");
    in_parallel(0..MANY, |number| filling.put_container(&name(number)));
    let native = json!({ "provider": "openstack_swift", "url": format!("http://{swift}/auth/v1.0"),
        "access_key": "many:tester", "secret_key": KEY });
    let s3 = super::changed(&native, &json!({ "url": format!("http://{swift}"), "region": "us-east-1" }));
    with_service(|client| {
        let (seen, ended) = watched(client, &s3);
        check_all(&ended, MANY);
        check_locations(&ended);
        check_progress(&seen);
        check_all(&completed(client, &native), MANY);
        if std::env::var_os("CONNECTORD_TEST_FULL").is_some() {
            let filling = SwiftClient::sign_in(&swift, "pages");
            in_parallel(0..10_050, |number| filling.put_container(&name(number)));
            let pages = super::changed(&native, &json!({ "access_key": "pages:tester" }));
            check_all(&completed(client, &pages), 10_050);
        }
    });
}

#[test]
fn more_than_a_page_of_azurite() {
    let Some(azurite) = azurite() else { return };
    let count = 5_050;
    in_parallel(0..count, |number| azure_client::put_container(&azurite, "many", &name(number)));
    let connector = super::azure::connector(&format!("http://{azurite}"), "many");
    with_service(|client| check_all(&completed(client, &connector), count));
}
