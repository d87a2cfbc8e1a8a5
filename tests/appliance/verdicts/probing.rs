//! `probe_buckets`: buckets that are asked for one by one, where the key may not list them.

use serde_json::{Value, json};

use super::{Bench, case, s3, with};
use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::services::{hostile_s3_error, s3_list};
use crate::jobs::{end, start};

const TEST: &str = "/api/v2/cloud_connectors/-/test";

fn denied(request: &Request) -> Answer {
    hostile_s3_error(request, 403, "AccessDenied", "")
}

/// As Garage with a key of few rights: the list is denied, one bucket is open, one is closed, others are not there.
fn garage(bench: &Bench) -> FaultServer {
    bench.http(|request| match request.path().trim_end_matches('/') {
        "/photos" => Answer::new(200, "").header("x-amz-bucket-region", "garage"),
        "" | "/closed" => denied(request),
        _ => hostile_s3_error(request, 404, "NoSuchBucket", ""),
    })
}

fn probing(url: &str, names: Value) -> Value {
    with(s3(url), json!({ "probe_buckets": names }))
}

#[test]
fn buckets_are_asked_for_where_the_list_is_denied() {
    let bench = Bench::new();
    let server = garage(&bench);
    bench.lists("reachable", probing(&server.url(), json!(["photos"])), &["photos"], &["buckets_probed"]);
    let body = probing(&server.url(), json!(["photos", "closed", "absent", "photos"]));
    bench.lists("some", body.clone(), &["photos"], &["buckets_probed", "buckets_not_reachable"]);
    let ended = end(&bench.admin, &start(&bench.admin, &body)).to_string();
    for name in ["closed", "absent"] {
        assert!(ended.contains(name), "the note names what is not reachable: {ended}");
    }
    bench.run(vec![
        case("without names", s3(&server.url()), "access_denied"),
        case("an empty list", probing(&server.url(), json!([])), "access_denied"),
        case("null", probing(&server.url(), Value::Null), "access_denied"),
    ]);
    // Nothing is denied here, so nothing is probed.
    let open = bench.http(|request| match request.path() {
        "/" => s3_list(&["a", "b"], ""),
        _ => Answer::new(404, ""),
    });
    bench.lists("an open list", probing(&open.url(), json!(["photos"])), &["a", "b"], &[]);
    let wrong = bench.http(|request| hostile_s3_error(request, 403, "SignatureDoesNotMatch", ""));
    bench.run(vec![case("a wrong key", probing(&wrong.url(), json!(["photos"])), "secret_key_wrong")]);
    assert_eq!(wrong.requests().len(), 1, "a wrong key is not tried again on buckets");
    bench.finish();
}

#[test]
fn nothing_reachable() {
    let bench = Bench::new();
    let server = bench.http(denied);
    let ended = end(&bench.admin, &start(&bench.admin, &probing(&server.url(), json!(["a", "b"]))));
    // The test fails as it would have without names, and says why each of them is of no use, in their order.
    assert_eq!(ended["error"]["code"], "access_denied", "{ended}");
    let message = ended["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("a (denied), b (denied)"), "{message}");
    bench.check_shown("nothing reachable", &ended.to_string());
    bench.finish();
}

#[test]
fn names_stay_within_the_server() {
    let bench = Bench::new();
    let server = garage(&bench);
    let other = bench.http(|_| Answer::new(200, ""));
    let address = other.address();
    let names = [
        format!("//{address}/"),
        format!("@{address}/"),
        format!("http://{address}/"),
        format!("x@{address}"),
        format!("{address}/"),
        "..".to_owned(),
        "../closed".to_owned(),
        "photos?acl".to_owned(),
        "photos#".to_owned(),
        "photos/../closed".to_owned(),
        "%70hotos".to_owned(),
        "ph\u{f6}tos \u{1f4f7}".to_owned(),
        "photos\\".to_owned(),
    ];
    let response = bench.admin.put(TEST, &probing(&server.url(), json!(names)));
    // Names that no bucket can have may also be refused at once.
    if response.status == 202 {
        let job_id = response.json()["job_id"].as_str().expect("an id").to_owned();
        let ended = end(&bench.admin, &job_id);
        bench.check_shown("names", &ended.to_string());
        for bucket in ended["cloud_buckets"].as_array().into_iter().flatten() {
            bench.note_wrong(format!("{bucket} is no bucket that is there"));
        }
    } else {
        assert_eq!(response.status, 422, "{}", response.text());
    }
    assert_eq!(other.connections(), 0, "a name leads nowhere else");
    bench.finish();
}

#[test]
fn names_are_checked() {
    let bench = Bench::new();
    let server = garage(&bench);
    let many = |count: usize| json!((0..count).map(|number| format!("b{number}")).collect::<Vec<_>>());
    for (names, errors) in [
        (many(101), vec!["too_long"]),
        (json!(["x".repeat(256)]), vec!["too_long"]),
        (json!([""]), vec!["blank"]),
        (json!("photos"), vec!["invalid"]),
        (json!([1]), vec!["invalid"]),
        (json!({ "a": 1 }), vec!["invalid"]),
    ] {
        let response = bench.admin.put(TEST, &probing(&server.url(), names.clone()));
        let refused = response.status == 422;
        let found = if refused { response.errors("probe_buckets") } else { Vec::new() };
        if !refused || (found != errors && found != ["invalid"]) {
            bench.note_wrong(format!("{names}: {} {found:?}, not {errors:?}", response.status));
        }
    }
    let longest = json!(["x".repeat(255), "ü".repeat(255)]);
    bench.admin.put(TEST, &probing(&server.url(), longest)).expect_status(202);
    bench.admin.put(TEST, &probing(&server.url(), many(100))).expect_status(202);
    bench.finish();
}
