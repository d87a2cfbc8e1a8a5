//! Lists that come in pages, and what else is asked about their buckets.

use serde_json::json;

use super::{Bench, s3, with};
use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::http::{Answer, Body, Request};
use crate::harness::fault_server::services::{MARKER, hostile_s3_error, s3_list};
use crate::jobs::{end, start};

/// A token that a query has to write in percents.
const NEXT: &str = "a+b/c=&d e";

fn not_found() -> Answer {
    Answer::new(404, "")
}

#[test]
fn pages() {
    let bench = Bench::new();
    let escaped = NEXT.replace('&', "&amp;");
    let by_token = bench.http(move |request| {
        let next = format!("<ContinuationToken>{escaped}</ContinuationToken>");
        match (request.path(), request.parameter("continuation-token").as_deref()) {
            ("/", None) => s3_list(&["c", "a"], &next),
            ("/", Some(NEXT)) => s3_list(&["b"], "<ContinuationToken/>"),
            ("/", Some(_)) => hostile_s3_error(request, 400, "InvalidArgument", ""),
            _ => not_found(),
        }
    });
    let by_marker = bench.http(|request| match (request.path(), request.parameter("marker").as_deref()) {
        ("/", None) => s3_list(&["a"], "<IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>"),
        ("/", Some("a")) => s3_list(&["b"], "<IsTruncated>false</IsTruncated><NextMarker>b</NextMarker>"),
        _ => not_found(),
    });
    bench.lists("by token", s3(&by_token.url()), &["a", "b", "c"], &[]);
    bench.lists("by marker", s3(&by_marker.url()), &["a", "b"], &[]);
    let amazon = with(s3(&by_token.url()), json!({ "provider": "amazon_aws_s3" }));
    let before = by_token.requests().len();
    bench.lists("Amazon", amazon, &["a", "b", "c"], &[]);
    assert_eq!(by_token.requests()[before].parameter("max-buckets").as_deref(), Some("1000"));
    bench.finish();
}

#[test]
fn lists_that_are_cut_short() {
    let bench = Bench::new();
    let list = |answer: fn(&Request) -> Answer| {
        s3(&bench
            .http(move |request| if request.path() == "/" { answer(request) } else { not_found() })
            .url())
    };
    let next = "<ContinuationToken>next</ContinuationToken>";
    let first = move |request: &Request| request.parameter("continuation-token").is_none();
    for (what, body) in [
        ("the same token", list(|_| s3_list(&["a"], "<ContinuationToken>same</ContinuationToken>"))),
        ("no way on", list(|_| s3_list(&["a"], "<IsTruncated>true</IsTruncated>"))),
        (
            "the same marker",
            list(|_| s3_list(&["a"], "<IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>")),
        ),
    ] {
        bench.lists(what, body, &["a"], &["list_cut_short"]);
    }
    let failing: [fn(&Request) -> Answer; 4] = [
        |request| hostile_s3_error(request, 500, "InternalError", ""),
        |request| hostile_s3_error(request, 403, "AccessDenied", ""),
        |_| Answer::faulty(Body::CutOff(MARKER.to_owned())),
        |_| Answer::new(307, "").header("Location", "http://127.0.0.1:9/"),
    ];
    for (number, answer) in failing.into_iter().enumerate() {
        let server = bench.http(move |request| match request.path() {
            "/" if first(request) => s3_list(&["a"], next),
            "/" => answer(request),
            _ => not_found(),
        });
        bench.lists(
            &format!("a second page that fails, {number}"),
            s3(&server.url()),
            &["a"],
            &["list_cut_short"],
        );
    }
    bench.finish();
}

#[test]
fn no_more_buckets_than_20_000() {
    let bench = Bench::new();
    let server = bench.http(|request| {
        let page: usize =
            request.parameter("continuation-token").and_then(|text| text.parse().ok()).unwrap_or(0);
        let names: Vec<String> = (0..1000).map(|number| format!("b{:07}", page * 1000 + number)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match request.path() {
            "/" => s3_list(&names, &format!("<ContinuationToken>{}</ContinuationToken>", page + 1)),
            _ => not_found(),
        }
    });
    let (names, notes) = bench.completes("for ever", s3(&server.url()));
    assert_eq!((names.len(), notes), (20_000, vec!["list_cut_short".to_owned()]));
    let asked = server.requests();
    assert!(asked.iter().filter(|request| request.path() == "/").count() <= 21, "pages");
    let about_buckets: std::collections::BTreeSet<&str> =
        asked.iter().map(Request::path).filter(|path| *path != "/").collect();
    assert!(about_buckets.len() <= 500, "{} buckets were asked about", about_buckets.len());
    bench.finish();
}

/// A server that knows three buckets by different means.
fn located() -> FaultServer {
    FaultServer::http(|request| match (request.method.as_str(), request.path()) {
        ("GET", "/") => s3_list(&["amazon", "ceph", "old", "unknown"], ""),
        ("HEAD", "/amazon" | "/amazon/") => Answer::new(200, "").header("x-amz-bucket-region", "eu-west-9"),
        ("HEAD", "/ceph" | "/ceph/") => Answer::new(200, "")
            .header("X-RGW-Object-Count", "12")
            .header("X-RGW-Bytes-Used", "5000000000000"),
        ("HEAD", "/old" | "/old/") => Answer::new(200, ""),
        ("GET", "/old" | "/old/") if request.target.contains("location") => Answer::new(
            200,
            "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">ap-south-7</LocationConstraint>",
        ),
        _ => hostile_s3_error(request, 403, "AccessDenied", ""),
    })
}

#[test]
fn what_is_known_of_each_bucket() {
    let bench = Bench::new();
    let server = bench.watch(located());
    let ended = end(&bench.admin, &start(&bench.admin, &s3(&server.url())));
    let bucket = |at: usize| {
        let bucket = &ended["cloud_buckets"][at];
        json!([bucket["name"], bucket["location"], bucket["file_count"], bucket["file_size_sum"]])
    };
    let expected = [
        json!(["amazon", "eu-west-9", null, null]),
        json!(["ceph", null, 12, 5_000_000_000_000_u64]),
        json!(["old", "ap-south-7", null, null]),
        json!(["unknown", null, null, null]),
    ];
    for (at, expected) in expected.into_iter().enumerate() {
        if bucket(at) != expected {
            bench.note_wrong(format!("{} is not {expected}", bucket(at)));
        }
    }
    bench.check_shown("locations", &ended.to_string());
    bench.finish();
}

#[test]
fn what_is_asked_about_buckets_never_fails_a_list() {
    let bench = Bench::impatient();
    let answers: [fn(&Request) -> Answer; 6] = [
        |_| Answer::faulty(Body::StalledHead),
        |_| Answer::faulty(Body::CutOff(String::new())),
        |_| Answer::faulty(Body::EndlessHeaders),
        |request| hostile_s3_error(request, 503, "SlowDown", ""),
        |request| {
            hostile_s3_error(request, 307, "TemporaryRedirect", "").header("Location", "http://127.0.0.1:9/")
        },
        |_| Answer::new(200, "").header("x-amz-bucket-region", "no region!").header("X-RGW-Bytes-Used", "-1"),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let server = bench.http(move |request| match request.path() {
            "/" => s3_list(&["a", "b", "c"], ""),
            _ => answer(request),
        });
        bench.lists(&format!("answer {number}"), s3(&server.url()), &["a", "b", "c"], &[]);
    }
    bench.finish();
}

#[test]
fn names_that_no_bucket_has() {
    let bench = Bench::new();
    let named = |name: String| {
        s3(&bench
            .http(move |request| match request.path() {
                "/" => s3_list(&[&name], ""),
                _ => not_found(),
            })
            .url())
    };
    for (what, name) in
        [("2,000 characters", "x".repeat(2000)), ("a tab", "a&#9;b".to_owned()), ("none", String::new())]
    {
        bench.lists(what, named(name), &[], &["names_left_out"]);
    }
    // A name is a name: it neither leaves its place in a path, nor names another host.
    for name in ["..", "a/../b", "//127.0.0.1:9/", "a?b", "a#b", "a b", "%2e%2e", "a@127.0.0.1:9"] {
        bench.lists(name, named(name.to_owned()), &[name], &[]);
    }
    bench.finish();
}
