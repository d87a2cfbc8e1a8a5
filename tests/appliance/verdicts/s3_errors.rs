//! What an S3 server says that it does not like, said by servers that repeat the signature in every place.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{Bench, Case, case, s3, with};
use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::proxy::proxy;
use crate::harness::fault_server::services::{
    MARKER, bare_credential, hostile, hostile_s3_error, s3_list, sent,
};

/// A connector whose server answers with this status, code and further elements.
fn says(bench: &Bench, status: u16, code: &'static str, more: &'static str) -> Value {
    s3(&bench.http(move |request| hostile_s3_error(request, status, code, more)).url())
}

#[test]
fn codes() {
    let bench = Bench::new();
    let rows = [
        (403, "SignatureDoesNotMatch", "secret_key_wrong"),
        (403, "InvalidAccessKeyId", "access_key_unknown"),
        (400, "ExpiredToken", "credentials_expired"),
        (400, "InvalidToken", "credentials_expired"),
        (400, "TokenRefreshRequired", "credentials_expired"),
        (403, "AccessDenied", "access_denied"),
        (403, "NotSignedUp", "account_not_signed_up"),
        (403, "AccountProblem", "account_disabled"),
        (403, "AllAccessDisabled", "account_disabled"),
        (503, "SlowDown", "too_many_requests"),
        (429, "TooManyRequests", "too_many_requests"),
        (500, "InternalError", "server_error"),
        (501, "NotImplemented", "server_error"),
        (503, "ServiceUnavailable", "server_error"),
        (400, "InvalidRequest", "server_refused"),
        (405, "MethodNotAllowed", "server_refused"),
        (400, "SecondLevelDomainForbidden", "request_style"),
        (400, "VirtualHostDomainRequired", "request_style"),
        (400, "PathStyleDomainForbidden", "request_style"),
        (400, "AuthorizationHeaderMalformed", "region_wrong"),
        (400, "IllegalLocationConstraintException", "region_wrong"),
    ];
    let cases = rows.map(|(status, code, verdict)| case(code, says(&bench, status, code, ""), verdict));
    bench.run(cases.into());
    bench.finish();
}

#[test]
fn statuses_without_a_code() {
    let bench = Bench::new();
    // Without a page, a denial may be a storage service's own.
    for status in [401, 403] {
        let denied =
            s3(&bench.http(move |request: &Request| hostile(Answer::new(status, ""), request)).url());
        bench.run(vec![case(&format!("{status} alone"), denied, "access_denied")]);
    }
    let rows = [
        (401, "not_s3"),
        (403, "not_s3"),
        (429, "too_many_requests"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "server_error"),
        (404, "not_s3"),
        (200, "not_s3"),
    ];
    let cases = rows.map(|(status, verdict)| {
        let page = move |request: &Request| {
            let page = format!("<html><title>{MARKER}</title>{}</html>", sent(request));
            hostile(Answer::new(status, page).header("Content-Type", "text/html"), request)
        };
        case(&status.to_string(), s3(&bench.http(page).url()), verdict)
    });
    bench.run(cases.into());
    bench.finish();
}

#[test]
fn what_proves_that_a_key_is_valid() {
    let bench = Bench::new();
    let iam = |request: &Request| {
        let message = "User: arn:aws:iam::1:user/ann is not authorized to perform: s3:ListAllMyBuckets";
        let answer = crate::harness::fault_server::services::s3_error(
            403,
            "AccessDenied",
            &format!("{message} {MARKER}"),
            "",
        );
        hostile(answer, request)
    };
    // A proxy that answers itself gives this server the name of Amazon's.
    let amazon = bench.play(proxy(|request| Some(hostile_s3_error(request, 403, "AccessDenied", ""))));
    let at_amazon = with(
        s3("http://s3.us-east-1.amazonaws.com"),
        json!({ "url_proxy": amazon.url(), "provider": "amazon_aws_s3" }),
    );
    let not_amazon = with(s3("http://s3.amazonaws.com.evil.example"), json!({ "url_proxy": amazon.url() }));
    bench.run(vec![
        case("a policy", s3(&bench.http(iam).url()), "list_not_allowed"),
        case("Amazon", at_amazon, "list_not_allowed"),
        case("not Amazon", not_amazon, "access_denied"),
    ]);
    bench.finish();
}

#[test]
fn regions() {
    let bench = Bench::new();
    let named = "<Region>eu-west-9</Region>";
    let permanent = |region: &'static str| {
        let server = bench.http(move |request| {
            let answer =
                hostile_s3_error(request, 301, "PermanentRedirect", "<Endpoint>h.example</Endpoint>");
            answer.header("x-amz-bucket-region", region)
        });
        s3(&server.url())
    };
    let header = bench.http(|request| {
        hostile_s3_error(request, 400, "AuthorizationHeaderMalformed", "")
            .header("x-amz-bucket-region", "ap-south-7")
    });
    let hostile_region = bench.http(|request| {
        let region = format!("<Region>{}</Region>", bare_credential(request));
        hostile_s3_error(request, 400, "AuthorizationHeaderMalformed", &region)
    });
    let marked = "<Region>marker~7f3a9c~of~a~raw~body</Region>";
    let malformed = |more| says(&bench, 400, "AuthorizationHeaderMalformed", more);
    let ended = bench.run(vec![
        case("an element", malformed(named), "region_wrong").says("eu-west-9"),
        case("another code", says(&bench, 400, "IllegalLocationConstraintException", named), "region_wrong")
            .says("eu-west-9"),
        case("a header", s3(&header.url()), "region_wrong").says("ap-south-7"),
        case("a redirect", permanent("eu-west-9"), "region_wrong").says("eu-west-9"),
        case("the signature as the region", s3(&hostile_region.url()), "region_wrong"),
        case("no region", malformed(marked), "region_wrong"),
    ]);
    for (ended, region) in ended.iter().zip(["eu-west-9", "eu-west-9", "ap-south-7", "eu-west-9"]) {
        let hint = ended["error"]["hint"].as_str().unwrap_or_default();
        if !hint.contains(region) {
            bench.note_wrong(format!("the hint does not name {region}: {ended}"));
        }
    }
    bench.finish();
}

#[test]
fn clocks() {
    let bench = Bench::new();
    let skewed = |minutes: i64| {
        let server = bench.http(move |request| {
            let time = time::OffsetDateTime::now_utc() + time::Duration::minutes(minutes);
            let time = time.replace_nanosecond(0).expect("a time").format(&Rfc3339).expect("a text");
            let more = format!("<ServerTime>{time}</ServerTime><RequestTime>{MARKER}</RequestTime>");
            hostile_s3_error(request, 403, "RequestTimeTooSkewed", &more)
        });
        s3(&server.url())
    };
    let dated = bench.http(|request| {
        let time = time::OffsetDateTime::now_utc() + time::Duration::days(3);
        hostile_s3_error(request, 403, "RequestTimeTooSkewed", "").header("Date", &http_date(time))
    });
    let ended = bench.run(vec![
        case("two hours on", skewed(120), "clock_skew"),
        case("two hours back", skewed(-120), "clock_skew"),
        case("three days on, by its date", s3(&dated.url()), "clock_skew"),
        case(
            "a time that is none",
            says(&bench, 403, "RequestTimeTooSkewed", "<ServerTime>x</ServerTime>"),
            "clock_skew",
        ),
    ]);
    let message = |at: usize| ended[at]["error"]["message"].as_str().unwrap_or_default().to_lowercase();
    let measured = [
        vec!["2 h", "two hours", "120 m", "7200 s", "119 m", "1 hour"],
        vec!["3 d", "three days", "72 h", "2 d"],
    ];
    for (at, forms) in [(0, &measured[0]), (1, &measured[0]), (2, &measured[1])] {
        if !forms.iter().any(|form| message(at).contains(form)) {
            bench.note_wrong(format!("no measured difference: {}", message(at)));
        }
    }
    if message(0) == message(1) {
        bench.note_wrong(format!("it does not say whose clock is ahead: {}", message(0)));
    }
    bench.finish();
}

/// As RFC 9110 writes a date.
pub fn http_date(time: time::OffsetDateTime) -> String {
    let day = &time.weekday().to_string()[..3];
    let month = &time.month().to_string()[..3];
    let (date, hour, minute, second) = (time.day(), time.hour(), time.minute(), time.second());
    format!("{day}, {date:02} {month} {} {hour:02}:{minute:02}:{second:02} GMT", time.year())
}

#[test]
fn redirects_are_shown_and_never_followed() {
    let bench = Bench::new();
    let target = bench.http(|_| s3_list(&["stolen"], ""));
    let to = |status: u16, location: String| {
        let server = bench.http(move |request| {
            let location = location.replace("CREDENTIAL", &bare_credential(request));
            hostile(Answer::new(status, format!("<html>{MARKER}</html>")), request)
                .header("Location", &location)
        });
        s3(&server.url())
    };
    let mut cases: Vec<Case> = Vec::new();
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let place = target.url();
        let location =
            format!("http://{MARKER}:{MARKER}@{}/{MARKER}?{MARKER}=CREDENTIAL#CREDENTIAL", target.address());
        cases.push(case(&status.to_string(), to(status, location), "redirected").says(&place));
    }
    cases.extend([
        case("to https", to(307, "https://s3.elsewhere.example/x".to_owned()), "redirected")
            .says("https://s3.elsewhere.example"),
        case("a path", to(307, format!("/{MARKER}/CREDENTIAL")), "redirected"),
        case("no address", to(307, format!("ht!tp:{MARKER} CREDENTIAL")), "redirected"),
        case("a script", to(307, format!("javascript:{MARKER}")), "redirected"),
        case("the signature as the host", to(307, "http://CREDENTIAL/".to_owned()), "redirected"),
        case(
            "the signature in the host",
            to(307, "http://CREDENTIAL.evil.example/".to_owned()),
            "redirected",
        ),
        case("304", s3(&bench.http(|request| hostile(Answer::new(304, ""), request)).url()), "redirected"),
    ]);
    bench.run(cases);
    assert_eq!(target.connections(), 0, "nobody goes where a redirect points to");
    bench.finish();
}

#[test]
fn answers_of_something_else() {
    let bench = Bench::new();
    let page =
        |text: &'static str| s3(&bench.http(move |request| hostile(Answer::new(200, text), request)).url());
    let echoing: FaultServer = bench.http(|request| {
        let word = bare_credential(request);
        Answer::new(200, format!("<s{word}><{MARKER}/></s{word}>"))
    });
    let code = bench.http(|request| hostile_s3_error(request, 400, &bare_credential(request), ""));
    let marked_code = bench.http(|request| hostile_s3_error(request, 400, MARKER, ""));
    let whole = bench.http(|request| hostile_s3_error(request, 400, &sent(request), ""));
    let listing = "<?xml version=\"1.0\"?><ListBucketResult><Name>marker~7f3a9c~of~a~raw~body</Name></ListBucketResult>";
    bench.run(vec![
        case("a web page", page("<!DOCTYPE html><html>marker~7f3a9c~of~a~raw~body</html>"), "not_s3"),
        case("nothing", page(""), "not_s3"),
        case("JSON", page("{\"marker~7f3a9c~of~a~raw~body\": 1}"), "not_s3"),
        case("another document", page("<EnumerationResults/>"), "not_s3"),
        case("a bucket", page(listing), "url_names_bucket"),
        case("the signature as the root", s3(&echoing.url()), "not_s3"),
        case("the signature as the code", s3(&code.url()), "server_refused").or("not_s3").about_any(),
        case("a code that is none", s3(&marked_code.url()), "server_refused").or("not_s3").about_any(),
        case("credentials as the code", s3(&whole.url()), "server_refused").or("not_s3").about_any(),
    ]);
    bench.finish();
}
