//! What goes wrong on the way to the server, and while it answers.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Bench, case, s3, with};
use crate::harness::fault_server::http::{Answer, Body};
use crate::harness::fault_server::services::{MARKER, hostile};
use crate::harness::fault_server::tls::alert;
use crate::harness::fault_server::{FullBacklog, Play};

#[test]
fn no_connection() {
    let bench = Bench::impatient();
    let full = FullBacklog::new();
    bench.run(vec![
        case("nothing listens", s3("http://127.0.0.1:1"), "connection_refused").says("127.0.0.1"),
        case("nothing listens, with TLS", s3("https://127.0.0.1:1"), "connection_refused"),
        // TCP to a broadcast address: the kernel says at once that the net is unreachable.
        case("a broadcast address", s3("http://127.255.255.255:9"), "unreachable").says("127.255.255.255"),
        case("a queue that is full", s3(&format!("http://{}", full.address())), "connect_timeout"),
        case("a queue that is full, with TLS", s3(&format!("https://{}", full.address())), "connect_timeout"),
    ]);
    bench.finish();
}

#[test]
fn no_http_answer() {
    let bench = Bench::new();
    let url = |play: Play| s3(&bench.play(play).url());
    let page = |text: &'static str| {
        let server =
            bench.http(move |request| hostile(Answer::new(400, format!("{text} {MARKER}")), request));
        s3(&server.url())
    };
    let nginx = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>";
    bench.run(vec![
        case("closed at once", url(Play::Close), "connection_broken"),
        case("closed after the request", url(Play::CloseAfterRequest), "connection_broken"),
        case("reset at once", url(Play::Reset), "connection_broken"),
        case("reset after the request", url(Play::ResetAfterRequest), "connection_broken"),
        case("an SSH server", url(Play::Banner(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())), "not_http"),
        case("a mail server", url(Play::Banner(b"220 mail.example ESMTP\r\n".to_vec())), "not_http"),
        case("zeros", url(Play::Banner(vec![0; 512])), "not_http"),
        case("a TLS alert", url(Play::Banner(alert(70))), "https_needed").says("https"),
        case("nginx", page(nginx), "https_needed").says("https"),
        case("Go", page("Client sent an HTTP request to an HTTPS server.\n"), "https_needed"),
    ]);
    bench.finish();
}

#[test]
fn broken_answers() {
    let bench = Bench::new();
    let begun =
        "<?xml version=\"1.0\"?><ListAllMyBucketsResult><Buckets><Bucket><Name>marker~7f3a9c~of~a~raw~body";
    let url = |answer: Answer| s3(&bench.http(move |request| hostile(answer.clone(), request)).url());
    let faulty = |body: Body| url(Answer::faulty(body));
    bench.run(vec![
        case("cut off", faulty(Body::CutOff(begun.to_owned())), "answer_cut_off"),
        case("cut off before the body", faulty(Body::CutOff(String::new())), "answer_cut_off"),
        case("not closed", url(Answer::new(200, begun)), "answer_malformed"),
        case(
            "not UTF-8",
            url(Answer::new(200, [begun.as_bytes(), &[0xff, 0xfe]].concat())),
            "answer_malformed",
        ),
        case(
            "compressed, which nobody asked for",
            url(Answer::new(200, vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).header("Content-Encoding", "gzip")),
            "answer_malformed",
        )
        .or("not_s3"),
        case("endless", faulty(Body::Endless(Duration::ZERO)), "answer_too_large").says("4 MiB"),
        case("an endless head", faulty(Body::EndlessHeaders), "answer_too_large").or("not_http"),
    ]);
    bench.finish();
}

#[test]
fn answers_that_never_end() {
    let bench = Bench::impatient();
    let begun = || "<?xml version=\"1.0\"?><ListAllMyBucketsResult>".to_owned();
    let url = |body: Body| s3(&bench.http(move |_| Answer::faulty(body.clone())).url());
    let silent = bench.play(Play::Silent);
    let started = Instant::now();
    bench.run(vec![
        case("no answer", s3(&silent.url()), "answer_timeout").says("127.0.0.1"),
        case("a head that stalls", url(Body::StalledHead), "answer_timeout"),
        case("a body that stalls", url(Body::Stalled(begun())), "answer_timeout"),
        case("a body that drips", url(Body::Endless(Duration::from_millis(50))), "answer_timeout"),
        case(
            "an absurd length",
            url(Body::Announced("99999999999999".to_owned(), begun())),
            "answer_too_large",
        )
        .or("answer_timeout"),
        case("a length that is no number", url(Body::Announced("-1".to_owned(), begun())), "not_http")
            .or("answer_malformed"),
        case("a length over 64 bits", url(Body::Announced("9".repeat(40), begun())), "not_http")
            .or("answer_malformed")
            .or("answer_too_large"),
    ]);
    assert!(started.elapsed() < Duration::from_secs(10), "the deadline holds: {:?}", started.elapsed());
    bench.finish();
}

#[test]
fn options_shorten_the_times_but_never_lengthen_them() {
    let bench = Bench::with(&[("CONNECTORD_JOBS_DEADLINE_MS", "4000")]);
    let silent = s3(&bench.play(Play::Silent).url());
    let mut times = Vec::new();
    for options in ["readwrite_timeout=1", "readwrite_timeout=600"] {
        let started = Instant::now();
        bench.run(vec![case(options, with(silent.clone(), json!({ "options": options })), "answer_timeout")]);
        times.push(started.elapsed());
    }
    assert!(times[0] < Duration::from_secs(3), "readwrite_timeout=1: {:?}", times[0]);
    assert!((3900..7000).contains(&times[1].as_millis()), "the deadline: {:?}", times[1]);
    bench.finish();
}
