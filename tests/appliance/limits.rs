//! Every limit of a connection and a request: what goes over it is refused or closed, and everybody else is served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::http::basic;
use crate::harness::service::{PASSWORD, Service, TestDirectory, binary, clean_environment, ready_address};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

fn start(directory: &TestDirectory, settings: &str) -> Service {
    let config = directory.path().join("connectord.toml");
    std::fs::write(&config, format!("[limits]\n{settings}")).expect("written");
    Service::start_with(directory.path(), &["--config", &config.display().to_string()])
}

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(service.address()).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream
}

/// Sends a request that keeps the connection, and reads the head of the answer and its body.
fn keep_alive(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
}

/// Whether the service has closed the connection; `false` too where nothing comes in time.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// How long after `started` the service closes the connection, and what it says before.
fn until_closed(mut stream: TcpStream, started: Instant) -> (Duration, String) {
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    let is_closed =
        end.as_ref().map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true);
    assert!(is_closed, "{end:?}");
    (started.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

/// The time since before the connection was opened: no stall of the client makes it shorter than the limit, and the
/// service counts in milliseconds. With what it may be longer it is less than the limits by default.
#[track_caller]
fn check_time(elapsed: Duration, limit_secs: u64) {
    let (least, most) = (Duration::from_millis(limit_secs * 1000 - 10), Duration::from_secs(limit_secs + 6));
    assert!((least..most).contains(&elapsed), "closed after {elapsed:?}, the limit is {limit_secs} s");
}

#[test]
fn headers_are_bounded_in_bytes_and_lines() {
    let directory = TestDirectory::new();
    let service = start(&directory, "header_bytes = 16384\nheader_lines = 20\n");
    let status = |head: String| service.anonymous().send_raw(head.as_bytes()).expect("an answer").status;
    let head = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{more}\r\n")
    };
    let line = |bytes: usize| format!("X-Long: {}\r\n", "x".repeat(bytes));
    let lines = |count: usize| (0..count).map(|number| format!("X-{number}: x\r\n")).collect::<String>();
    let target = |bytes: usize| format!("/{}", "x".repeat(bytes));
    for (request, expected) in [
        (head("/healthz", &line(16_000)), 200),
        (head("/healthz", &line(17_000)), 431),
        (head("/healthz", &line(1_000_000)), 431),
        (head("/healthz", &lines(18)), 200),
        (head("/healthz", &lines(19)), 431),
        (head(&target(8_000), ""), 404),
        (head(&target(9_000), ""), 414),
        (head(&target(100_000), ""), 431),
        (head("/<>", ""), 400),
        ("\u{16}\u{3}\u{1} no HTTP at all\r\n\r\n".to_owned(), 400),
    ] {
        assert_eq!(status(request.clone()), expected, "{}", &request[..request.len().min(60)]);
    }
    service.anonymous().get("/healthz").expect_status(200);
    service.stop();
}

#[test]
fn headers_bodies_requests_and_idle_connections_are_bounded_in_time() {
    let directory = TestDirectory::new();
    let limits = "header_timeout_secs = 2\nbody_timeout_secs = 3\nidle_timeout_secs = 4\n";
    let service = start(&directory, limits);
    // The password is known from here on: its check would take of the time below.
    service.admin().get(CONNECTORS).expect_status(200);

    let started = Instant::now();
    let silent = connect(&service);
    let mut begun = connect(&service);
    begun.write_all(b"GET /healthz HT").expect("written");
    let mut slow_body = connect(&service);
    let head = format!(
        "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{",
        basic("admin", PASSWORD)
    );
    slow_body.write_all(head.as_bytes()).expect("written");
    let mut idle = connect(&service);
    assert!(keep_alive(&mut idle).expect("served").starts_with("HTTP/1.1 200"));
    // A second header has its own time, from its first byte.
    let mut second_header = connect(&service);
    assert!(keep_alive(&mut second_header).expect("served").starts_with("HTTP/1.1 200"));
    second_header.write_all(b"GET").expect("written");

    let ends: Vec<_> = [silent, begun, slow_body, idle, second_header]
        .map(|stream| std::thread::spawn(move || until_closed(stream, started)))
        .map(|thread| thread.join().expect("no panic"))
        .into();
    for ((elapsed, said), (limit, status)) in
        ends.iter().zip([(2, ""), (2, ""), (3, "408"), (4, ""), (2, "")])
    {
        check_time(*elapsed, limit);
        assert!(said.is_empty() == status.is_empty() && said.contains(status), "{said}");
    }
    service.stop();
}

#[test]
fn a_request_that_takes_too_long_is_answered_503() {
    let directory = TestDirectory::new();
    let service = start(&directory, "request_timeout_secs = 1\nbody_timeout_secs = 5\n");
    let started = Instant::now();
    let mut stream = connect(&service);
    let head = format!(
        "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nX-Request-Id: late\r\nAuthorization: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        basic("admin", PASSWORD)
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer).expect("an answer");
    check_time(started.elapsed(), 1);
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("x-request-id: late") && answer.contains("\"messages\""), "{answer}");
    service.admin().get(CONNECTORS).expect_status(200);
    service.stop();
}

#[test]
fn when_all_connections_are_taken_the_idle_make_room_and_running_requests_do_not() {
    for settings in ["connections = 4\n", "connections_per_address = 4\n"] {
        let was_quick = (0..20).any(|_| the_idle_make_room(settings));
        assert!(was_quick, "the machine was never quick enough to tell a running request from a slow one");
    }
}

/// `false` where the machine stalled: after a second a request that waits for its body makes room before idle ones, as
/// it should.
fn the_idle_make_room(settings: &str) -> bool {
    let directory = TestDirectory::new();
    let service = start(&directory, settings);
    // The password is known from here on: its check takes long.
    service.admin().get(CONNECTORS).expect_status(200);
    let mut idle: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(&service);
            assert!(keep_alive(&mut stream).expect("served").starts_with("HTTP/1.1 200"));
            // The service notes that a connection is idle after its answer is read here: the next one must not be first.
            std::thread::sleep(Duration::from_millis(50));
            stream
        })
        .collect();
    let started = Instant::now();
    let mut running = connect(&service);
    let body = json!({ "name": "kept", "url": "h" }).to_string();
    let head = format!(
        "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        basic("admin", PASSWORD),
        body.len()
    );
    running.write_all(head.as_bytes()).expect("written");
    // Fewer than the idle ones, so that the request is never the next to go.
    for _ in 0..2 {
        assert!(keep_alive(&mut connect(&service)).expect("served").starts_with("HTTP/1.1 200"));
    }
    if started.elapsed() > Duration::from_millis(900) {
        return false;
    }
    assert!(is_closed(&mut idle[0]), "the one that was idle longest");
    let last = idle.last_mut().expect("four");
    assert!(keep_alive(last).expect("the youngest idle one is kept").starts_with("HTTP/1.1 200"));
    running.write_all(body.as_bytes()).expect("written");
    let (_, said) = until_closed(running, started);
    assert!(said.starts_with("HTTP/1.1 201"), "{said}");
    assert!(service.log().contains("make room"), "{}", service.log());
    service.stop();
    true
}

#[test]
fn readers_that_take_nothing_or_too_little_are_closed() {
    let directory = TestDirectory::new();
    let service = start(&directory, "write_timeout_secs = 2\nanswer_timeout_secs = 4\n");
    // More than the system's buffers of a connection hold.
    let options = format!("ua={}", "x".repeat(4000));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (admin, options) = (service.admin(), &options);
            scope.spawn(move || {
                for number in 0..300 {
                    let body =
                        json!({ "name": format!("c-{thread}-{number}"), "url": "h", "options": options });
                    admin.post(CONNECTORS, &body).expect_status(201);
                }
            });
        }
    });
    let whole = service.admin().get(CONNECTORS).expect_status(200).body.len();
    let head = format!(
        "GET {CONNECTORS} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: {}\r\n\r\n",
        basic("admin", PASSWORD)
    );
    let read_slowly = |pause_millis: u64, for_secs: u64| {
        let mut stream = connect(&service);
        stream.write_all(head.as_bytes()).expect("written");
        let started = Instant::now();
        let (mut received, mut buffer) = (0, vec![0; 64 * 1024]);
        while started.elapsed() < Duration::from_secs(for_secs) {
            std::thread::sleep(Duration::from_millis(pause_millis));
            received += stream.read(&mut buffer).unwrap_or(0);
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        received + rest.len()
    };
    let (nothing, little) = std::thread::scope(|scope| {
        let nothing = scope.spawn(|| read_slowly(5000, 5));
        let little = scope.spawn(|| read_slowly(300, 7));
        (nothing.join().expect("no panic"), little.join().expect("no panic"))
    });
    assert!(nothing < whole, "a reader that took nothing got all {whole} bytes");
    assert!(little < whole, "a reader that took too little got all {whole} bytes");
    // One that reads as it should gets all of it.
    assert_eq!(service.admin().get(CONNECTORS).expect_status(200).body.len(), whole);
    service.stop();
}

#[test]
fn the_texts_of_all_connectors_are_bounded() {
    let directory = TestDirectory::new();
    let service = start(&directory, "connectors_mib = 1\n");
    let text = "😀".repeat(1000);
    let options = format!("ua={}", "😀".repeat(4000));
    let large = |name: &str| json!({ "name": name, "url": "h", "region": text, "access_key": text, "secret_key": text, "options": options });
    let post = |service: &Service, name: &str| service.admin().post(CONNECTORS, &large(name));
    let made = (0..100).take_while(|number| post(&service, &format!("c{number}")).status == 201).count();
    // 28 KB each.
    assert_eq!(made, 1024 * 1024 / 28_000);
    let refused = post(&service, "more").expect_status(503);
    assert_eq!(refused.errors("base"), ["invalid"]);
    assert!(refused.text().contains("limits.connectors_mib") && refused.header("retry-after").is_some());

    let change =
        |name: &str, body: serde_json::Value| service.admin().put(&format!("{CONNECTORS}/{name}"), &body);
    service.admin().post(CONNECTORS, &json!({ "name": "small", "url": "h" })).expect_status(201);
    change("small", large("small")).expect_status(503);
    assert_eq!(service.admin().get(&format!("{CONNECTORS}/small")).json()["region"], json!(null));
    change("c0", large("renamed")).expect_status(200);
    change("renamed", json!({ "options": null })).expect_status(200);
    change("renamed", json!({ "options": options })).expect_status(200);
    service.admin().delete(&format!("{CONNECTORS}/c1")).expect_status(204);
    post(&service, "in its place").expect_status(201);
    post(&service, "more").expect_status(503);
    service.stop();
    let service = start(&directory, "connectors_mib = 1\n");
    post(&service, "more").expect_status(503);
    service.stop();
}

#[test]
fn a_request_that_outlives_the_time_for_draining_is_cut_off() {
    for (drain_secs, answer_begins) in [("0", ""), ("30", "HTTP/1.1 408")] {
        let directory = TestDirectory::new();
        let settings = [("limits.drain_timeout_secs", drain_secs), ("limits.body_timeout_secs", "5")];
        let mut service = Service::start_with_settings(directory.path(), &settings);
        let mut stream = connect(&service);
        let head = format!(
            "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
             Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
            basic("admin", PASSWORD)
        );
        stream.write_all(head.as_bytes()).expect("written");
        // The service asks for the body, which does not come.
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).expect("read");
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        service.signal("TERM");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        assert!(
            answer.is_empty() == answer_begins.is_empty() && answer.starts_with(answer_begins),
            "{answer} {read:?}"
        );
        assert!(service.wait().success());
        assert_eq!(service.log().contains("are cut off"), answer_begins.is_empty(), "{}", service.log());
    }
}

#[test]
fn the_usual_limit_of_open_files_is_raised() {
    let directory = TestDirectory::new();
    let data = directory.path().join("data").display().to_string();
    let mut command = std::process::Command::new("sh");
    clean_environment(&mut command);
    let command = command
        .args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\""])
        .arg(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", &data])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut service = command.spawn().expect("sh runs");
    let address = ready_address(&mut service).expect("it starts");
    let mut held: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(&address).expect("connected")).collect();
    for stream in &mut held {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        assert!(keep_alive(stream).expect("served").starts_with("HTTP/1.1 200"));
    }
    let _ = service.kill();
    let _ = service.wait();
}
