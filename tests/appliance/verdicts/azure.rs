//! Azure's Blob service, played by a server of the test.

use base64::Engine as _;
use serde_json::{Value, json};

use super::s3_errors::http_date;
use super::{Bench, case, with};
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::services::{
    MARKER, azure_list, bare_credential, hostile, hostile_azure_error, sent,
};

const ACCOUNT: &str = "account7";
const KEY: &str = "azure-hunter2-key-0123456789-f00d";

fn encoded_key() -> String {
    base64::engine::general_purpose::STANDARD.encode(KEY)
}

fn azure(url: &str) -> Value {
    json!({ "provider": "azure", "url": url, "access_key": ACCOUNT, "secret_key": encoded_key() })
}

/// A bench that looks for the key too, in both forms.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.secrets.extend([KEY.to_owned(), encoded_key()]);
    bench
}

#[test]
fn lists_page_by_page() {
    let bench = bench();
    let server = bench.http(|request| match request.parameter("marker").as_deref() {
        None | Some("") => azure_list(&["alpha"], "second & more"),
        Some("second & more" | "second &amp; more") => azure_list(&["beta"], ""),
        Some(_) => Answer::new(400, ""),
    });
    let escaped = bench.http(|request| match request.parameter("marker").as_deref() {
        None | Some("") => azure_list(&["alpha"], "a&lt;b/c+d"),
        Some("a<b/c+d") => azure_list(&["beta"], ""),
        Some(_) => Answer::new(400, ""),
    });
    bench.lists("two pages", azure(&escaped.url()), &["alpha", "beta"], &[]);
    for request in escaped.requests() {
        assert_eq!(request.path().trim_end_matches('/'), format!("/{ACCOUNT}"), "{request:?}");
        assert_eq!(request.parameter("comp").as_deref(), Some("list"));
        assert!(request.header("authorization").starts_with(&format!("SharedKey {ACCOUNT}:")), "{request:?}");
        assert!(!request.header("x-ms-version").is_empty() && !request.header("x-ms-date").is_empty());
    }
    // A raw ampersand is no XML: the first page cannot be read.
    bench.run(vec![case("a raw ampersand", azure(&server.url()), "answer_malformed")]);
    let with_path = format!("{}/{ACCOUNT}", escaped.url());
    bench.lists("with the account in the path", azure(&with_path), &["alpha", "beta"], &[]);
    let endless = bench.http(|_| azure_list(&["alpha"], "the same"));
    bench.lists("the same marker for ever", azure(&endless.url()), &["alpha"], &["list_cut_short"]);
    let broken = bench.http(|request| match request.parameter("marker") {
        None => azure_list(&["alpha"], "next"),
        Some(_) => hostile_azure_error(request, 500, "InternalError"),
    });
    bench.lists("a second page that fails", azure(&broken.url()), &["alpha"], &["list_cut_short"]);
    bench.finish();
}

#[test]
fn errors() {
    let bench = bench();
    let says = |status, code: &'static str| {
        azure(&bench.http(move |request| hostile_azure_error(request, status, code)).url())
    };
    let page = |status: u16| {
        let server = bench.http(move |request| {
            hostile(Answer::new(status, format!("<html>{MARKER} {}</html>", sent(request))), request)
        });
        azure(&server.url())
    };
    let header_alone = bench.http(|request| {
        hostile(Answer::new(403, ""), request).header("x-ms-error-code", "AccountIsDisabled")
    });
    let skewed = |hours: i64| {
        let server = bench.http(move |request| {
            let time = time::OffsetDateTime::now_utc() + time::Duration::hours(hours);
            hostile_azure_error(request, 403, "AuthenticationFailed").header("Date", &http_date(time))
        });
        azure(&server.url())
    };
    let bare = bench.http(|request| hostile_azure_error(request, 400, &bare_credential(request)));
    bench.run(vec![
        case("AuthenticationFailed", says(403, "AuthenticationFailed"), "credentials_wrong"),
        case("a clock behind", skewed(5), "clock_skew"),
        case("a clock ahead", skewed(-5), "clock_skew"),
        case("the same clock", skewed(0), "credentials_wrong"),
        case("AccountIsDisabled", says(403, "AccountIsDisabled"), "account_disabled"),
        case("AccountIsDisabled in the header alone", azure(&header_alone.url()), "account_disabled"),
        case("ServerBusy", says(503, "ServerBusy"), "too_many_requests"),
        case("InternalError", says(500, "InternalError"), "server_error"),
        case("keys are forbidden", says(403, "KeyBasedAuthenticationNotPermitted"), "account_forbids_keys"),
        case("a firewall", says(403, "AuthorizationFailure"), "account_forbids_network"),
        case("no such account", says(404, "ResourceNotFound"), "access_key_unknown"),
        case("another code", says(400, "InvalidQueryParameterValue"), "server_refused"),
        case("a web page", page(200), "not_azure"),
        case("a web page that is not found", page(404), "not_azure"),
        case("403 without a code", page(403), "access_denied").or("not_azure").about_any(),
        case("the signature as the code", azure(&bare.url()), "server_refused").or("not_azure").about_any(),
    ]);
    let list =
        bench.http(|request: &Request| hostile(Answer::new(200, "<ListAllMyBucketsResult/>"), request));
    bench.run(vec![case("an S3 server", azure(&list.url()), "not_azure")]);
    bench.finish();
}

#[test]
fn a_key_that_is_no_base64_is_never_sent() {
    let bench = bench();
    let server = bench.http(|_| azure_list(&[], ""));
    for key in ["not base64!", "hunter2-secret-f00d-0123456789", "====", "QQ="] {
        let body = with(azure(&server.url()), json!({ "secret_key": key }));
        bench.run(vec![case(key, body, "secret_key_not_base64")]);
    }
    bench.run(vec![
        case("no key", with(azure(&server.url()), json!({ "secret_key": null })), "attribute_missing")
            .about(Some("secret_key")),
        case("no account", with(azure(&server.url()), json!({ "access_key": null })), "attribute_missing")
            .about(Some("access_key")),
    ]);
    assert_eq!(server.connections(), 0);
    bench.finish();
}
