//! Mount options: those in force, those with a wrong value, and notes on those that a test does not know or honour.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Bench, case, s3, with};
use crate::harness::fault_server::FullBacklog;
use crate::harness::fault_server::http::Answer;
use crate::harness::fault_server::proxy::open_proxy;
use crate::harness::fault_server::services::s3_list;

const TEST: &str = "/api/v2/cloud_connectors/-/test";

/// A server with one bucket, which has no region.
fn photos(bench: &Bench) -> crate::harness::fault_server::FaultServer {
    bench.http(|request| match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => Answer::new(404, ""),
    })
}

#[test]
fn wrong_values() {
    let bench = Bench::new();
    let server = photos(&bench);
    let optioned = |options: &str| with(s3(&server.url()), json!({ "options": options }));
    let rows = [
        "connect_timeout=x",
        "connect_timeout=-1",
        "connect_timeout=",
        "connect_timeout=99999999999999999999999999",
        "readwrite_timeout=soon",
        "url=ftp://127.0.0.1:1",
        "url=http://",
        "url=",
        "proxy=ftp://127.0.0.1:1",
        "proxy=",
        "ssl_verify_hostname=x",
        "uid=1,connect_timeout=x,allow_other",
        "endpoint=a b",
    ];
    let cases = rows.map(|options| {
        let name = options.split(['=', ',']).find(|word| !["uid", "1"].contains(word)).unwrap_or_default();
        case(options, optioned(options), "option_invalid").says(name)
    });
    bench.run(cases.into());
    let unusable = |changes| with(s3(&server.url()), changes);
    bench.run(vec![
        case("a line end in access_key", unusable(json!({ "access_key": "a\nb" })), "attribute_unusable"),
        case("a NUL in access_key", unusable(json!({ "access_key": "a\u{0}b" })), "attribute_unusable"),
        case("no access_key", unusable(json!({ "access_key": null })), "attribute_missing")
            .about(Some("access_key"))
            .says("access_key"),
        case("no secret_key", unusable(json!({ "secret_key": "" })), "attribute_missing")
            .about(Some("secret_key"))
            .says("secret_key"),
    ]);
    assert_eq!(server.connections(), 0, "nothing is sent with a wrong option");
    // What cannot be parsed is refused before there is a job.
    for (attribute, value) in [
        ("url", "ftp://h"),
        ("url", "http://u:p@h"),
        ("url_proxy", "ftp://h"),
        ("url_proxy", "http://h/path"),
    ] {
        let refused = bench.admin.put(TEST, &unusable(json!({ attribute: value }))).expect_status(422);
        assert_eq!(refused.errors(attribute), ["invalid"], "{attribute} {value}");
    }
    bench.finish();
}

#[test]
fn options_win_over_attributes() {
    let bench = Bench::new();
    let server = photos(&bench);
    let forward = bench.play(open_proxy());
    let nowhere = || s3("http://127.0.0.1:1");
    let optioned = |options: &str| with(nowhere(), json!({ "options": options }));
    let url = format!("url={}", server.url());
    bench.lists("url=", optioned(&url), &["photos"], &[]);
    bench.lists("spaces", optioned(&format!("uid=1, {url} ,allow_other")), &["photos"], &[]);
    let proxied = format!("url=http://s3.internal.example:{},proxy={}", server.port(), forward.url());
    bench.lists("proxy=", optioned(&proxied), &["photos"], &[]);
    assert!(forward.connections() > 0);
    for (options, region) in [
        (format!("{url},endpoint=eu-west-9"), "eu-west-9"),
        (format!("{url},region=eu-west-8"), "eu-west-8"),
        (url.clone(), "ap-south-7"),
    ] {
        let before = server.requests().len();
        let body = with(optioned(&options), json!({ "region": "ap-south-7" }));
        bench.lists(&options, body, &["photos"], &[]);
        let sent = server.requests()[before].header("authorization").to_owned();
        if !sent.contains(&format!("/{region}/s3/aws4_request")) {
            bench.note_wrong(format!("{options}: signed for another region than {region}"));
        }
    }
    bench.lists("known ones", optioned(&format!("{url},use_path_request_style,sigv4")), &["photos"], &[]);
    bench.run(vec![
        case(
            "url= that is closed",
            with(s3(&server.url()), json!({ "options": "url=http://127.0.0.1:1" })),
            "connection_refused",
        )
        .about(Some("options")),
        case(
            "proxy= that is closed",
            with(s3(&server.url()), json!({ "options": "proxy=http://127.0.0.1:1" })),
            "proxy_refused",
        )
        .about(Some("options")),
    ]);
    bench.finish();
}

#[test]
fn notes() {
    let bench = Bench::new();
    let server = photos(&bench);
    let optioned = |options: &str| with(s3(&server.url()), json!({ "options": options }));
    for (options, notes) in [
        ("conect_timeout=5", &["option_unknown"][..]),
        ("sigv2", &["option_not_honoured"]),
        ("passwd_file=/etc/passwd-s3fs", &["option_not_honoured"]),
        ("iam_role=auto", &["option_not_honoured"]),
        ("uid=1000,gid=1000,allow_other,umask=022,use_cache=/tmp", &[]),
        ("-o uid=1000,-oallow_other", &[]),
    ] {
        bench.lists(options, optioned(options), &["photos"], notes);
    }
    let ended =
        crate::jobs::end(&bench.admin, &crate::jobs::start(&bench.admin, &optioned("conect_timeout=5")));
    let note = ended["notes"][0]["message"].as_str().unwrap_or_default().to_owned();
    if !note.contains("conect_timeout") || !note.contains("connect_timeout") {
        bench.note_wrong(format!("the note does not name the nearest option: {note}"));
    }
    // A failed test has its notes too, and its message says them.
    let failing = with(s3("http://127.0.0.1:1"), json!({ "options": "conect_timeout=5" }));
    let ended = bench.run(vec![case("failing", failing, "connection_refused").says("conect_timeout")]);
    assert_eq!(ended[0]["error"]["notes"][0]["code"], "option_unknown", "{}", ended[0]);
    // A password that an unknown option holds is in no note.
    let secret = format!("prxy=http://ann:{}@127.0.0.1:1", super::PROXY_PASSWORD);
    bench.lists("an unknown option with a password", optioned(&secret), &["photos"], &["option_unknown"]);
    bench.finish();
}

#[test]
fn connect_timeout_is_in_force_and_never_over_the_configured_one() {
    let bench = Bench::with(&[("CONNECTORD_JOBS_CONNECT_TIMEOUT_MS", "2500")]);
    let full = FullBacklog::new();
    let connector = s3(&format!("http://{}", full.address()));
    for (options, least, most) in [("connect_timeout=1", 900, 2200), ("connect_timeout=300", 2400, 4500)] {
        let started = Instant::now();
        let body = with(connector.clone(), json!({ "options": options }));
        bench.run(vec![case(options, body, "connect_timeout")]);
        let took = started.elapsed();
        let range = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(range.contains(&took), "{options}: {took:?}");
    }
    bench.finish();
}
