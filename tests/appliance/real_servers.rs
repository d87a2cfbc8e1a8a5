//! Tests of connectors against real servers: s3s-fs in the test's process, and OpenStack Swift and Azurite where they
//! run, as `tests/run` starts them and says by `CONNECTORD_TEST_SWIFT` and `CONNECTORD_TEST_AZURITE` (host and port).

use serde_json::Value;

use crate::harness::azure_client::{ACCOUNT, key};
use crate::harness::http::Client;
use crate::harness::s3_server::SECRET_KEY;
use crate::harness::service::{Service, TestDirectory};
use crate::harness::skip;
use crate::jobs::{end, start};

mod azure;
mod many;
mod other_provider;
mod s3;
mod swift;

/// The address of the Swift of `tests/servers/swift`; without one the test is skipped.
#[track_caller]
fn swift() -> Option<String> {
    server("CONNECTORD_TEST_SWIFT", "OpenStack Swift")
}

/// The address of the Azurite of `tests/servers/azurite`; without one the test is skipped.
#[track_caller]
fn azurite() -> Option<String> {
    server("CONNECTORD_TEST_AZURITE", "Azurite")
}

#[track_caller]
fn server(variable: &str, name: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        skip(&format!("{name} does not run here; tests/run starts it"));
    }
    address
}

/// Runs the checks with a service of their own; no secret of these tests may be in its log afterwards.
fn with_service(checks: impl FnOnce(&Client)) {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    checks(&service.admin());
    let log = service.log();
    // Words that no random id contains.
    for word in ["secret-f00d", "wrong-f00d", SECRET_KEY, &key(ACCOUNT), "AUTH_tk", "SharedKey", "panicked"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(word)).collect();
        assert!(lines.is_empty(), "{word}: {lines:#?}");
    }
    service.stop();
}

/// A connector with some attributes changed; null takes one away.
fn changed(connector: &Value, changes: &Value) -> Value {
    let mut connector = connector.clone();
    let attributes = connector.as_object_mut().expect("an object");
    attributes.extend(changes.as_object().expect("an object").clone());
    connector
}

/// The answer of a test that completed.
#[track_caller]
fn completed(client: &Client, connector: &Value) -> Value {
    let ended = end(client, &start(client, connector));
    assert!(ended["cloud_buckets"].is_array(), "{connector}: {ended}");
    ended
}

#[track_caller]
fn names(completed: &Value) -> Vec<&str> {
    let buckets = completed["cloud_buckets"].as_array().expect("buckets").iter();
    buckets.map(|bucket| bucket["name"].as_str().expect("a name")).collect()
}

/// The codes of the notes, each of which has to say something.
#[track_caller]
fn notes(ended: &Value) -> Vec<&str> {
    let Some(notes) = ended.get("notes") else { return Vec::new() };
    let notes = notes.as_array().expect("a list");
    assert!(!notes.is_empty(), "left out where there are none: {ended}");
    for note in notes {
        assert!(note["message"].as_str().is_some_and(|text| !text.is_empty()), "{ended}");
    }
    notes.iter().map(|note| note["code"].as_str().expect("a code")).collect()
}

/// The whole list: these names in this order, and nothing to remark.
#[track_caller]
fn check_names(client: &Client, connector: &Value, expected: &[&str]) {
    let ended = completed(client, connector);
    assert_eq!(names(&ended), expected, "{connector}");
    assert_eq!(notes(&ended), [""; 0], "{connector}");
}

/// The code, the stage, and the attribute to change (`""` where none is named) of a connector that fails.
#[track_caller]
fn failure(client: &Client, connector: &Value) -> [String; 3] {
    let ended = end(client, &start(client, connector));
    let error = &ended["error"];
    assert!(error.is_object(), "{connector}: {ended}");
    let (message, hint) = (error["message"].as_str().unwrap_or(""), error["hint"].as_str().unwrap_or(""));
    assert!(!hint.is_empty() && message.contains(hint) && message.len() > hint.len(), "{ended}");
    let secret = connector["secret_key"].as_str().unwrap_or("");
    assert!(secret.is_empty() || !ended.to_string().contains(secret), "{ended}");
    ["code", "stage", "attribute"].map(|part| error[part].as_str().unwrap_or("").to_owned())
}

#[track_caller]
fn check_failure(client: &Client, connector: &Value, expected: [&str; 3]) {
    assert_eq!(failure(client, connector), expected, "{connector}");
}

/// A good connector, and what is wrong with it after each change: all that differ are told at once.
#[track_caller]
fn check_failures(client: &Client, good: &Value, rows: &[(Value, [&str; 3])]) {
    let found: Vec<_> = rows.iter().map(|(changes, _)| failure(client, &changed(good, changes))).collect();
    let different: Vec<_> =
        rows.iter().zip(&found).filter(|((_, expected), found)| *found != expected).collect();
    assert!(different.is_empty(), "{different:#?}");
}
