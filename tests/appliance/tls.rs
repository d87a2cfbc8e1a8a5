//! https: by rustls and by curl, a certificate changed under load, one of the service's own, and every mistake said.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{ProtocolVersion, version};

use crate::harness::http::basic;
use crate::harness::service::{PASSWORD, Service, TestDirectory, command, ready_address, wait_until};
use crate::harness::skip;
use crate::harness::tls::{Connection, Pair, client, client_of_version, fingerprint, read_certificate};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

fn start(directory: &TestDirectory, settings: &str) -> Service {
    let config = directory.path().join("connectord.toml");
    std::fs::write(&config, settings).expect("written");
    Service::start_with(directory.path(), &["--config", &config.display().to_string()])
}

/// The status that curl gets, and what it says; `None` where there is no curl.
fn curl(arguments: &[&str]) -> Option<(String, String)> {
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"])
        .args(arguments)
        .output();
    let Ok(output) = output else {
        skip("curl is not installed");
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

/// Whether the service closes a connection, after no more bytes than these: an alert has seven.
fn is_closed(stream: &mut TcpStream, most_bytes: usize) -> bool {
    let mut said = Vec::new();
    let is_ended = match stream.read_to_end(&mut said) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    is_ended && said.len() <= most_bytes
}

#[test]
fn clients_of_both_versions_and_curl_are_served() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    let certificate = pair.renew();
    let service = start(&directory, &pair.settings());
    for (offered, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let config = client_of_version(std::slice::from_ref(&certificate), &[offered]);
        let mut connection = Connection::open(service.address(), &config).expect("connected");
        for _ in 0..3 {
            assert_eq!(connection.get("/healthz").expect("served"), 200);
        }
        assert_eq!(connection.get(CONNECTORS).expect("served"), 401);
        assert_eq!(connection.0.conn.protocol_version(), Some(expected));
        assert_eq!(connection.0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(connection.certificate(), certificate);
    }
    let port = service.address().rsplit(':').next().expect("a port");
    let url = format!("https://localhost:{port}{CONNECTORS}");
    let ca = pair.certificate.display().to_string();
    let user = format!("admin:{PASSWORD}");
    if let Some((status, error)) = curl(&["--cacert", &ca, "-u", &user, &url]) {
        assert_eq!(status, "200 1.1", "{error}");
        let (status, error) = curl(&["-u", &user, &url]).expect("it was there");
        assert!(status.starts_with("000") && error.contains("self"), "{status} {error}");
        // The reason alone is no HTTP version: 1.1 is TLS that nobody should speak any more.
        let (status, _) =
            curl(&["--cacert", &ca, "--tlsv1.0", "--tls-max", "1.1", &url]).expect("it was there");
        assert!(status.starts_with("000"), "{status}");
    }
    service.stop();
}

#[test]
fn http_on_the_https_port_is_answered_with_what_to_write() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    let certificate = pair.renew();
    let service = start(&directory, &pair.settings());
    let answer = service.anonymous().get("/healthz").expect_status(400);
    answer.errors("base");
    assert!(answer.text().contains("https://") && answer.header("x-request-id").is_some());
    // Nothing is done, whoever asks.
    let body = serde_json::json!({ "name": "a", "url": "h" });
    service.admin().post(CONNECTORS, &body).expect_status(400);
    service.admin().send_json("POST", CONNECTORS, &vec![b'x'; 1_000_000]).expect_status(400);
    // What is neither is dropped.
    let mut stream = TcpStream::connect(service.address()).expect("connected");
    stream.write_all(&[0, 1, 2, 3, 4, 5, 6, 7]).expect("written");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    assert!(is_closed(&mut stream, 7), "it was answered, or left waiting");
    let mut connection = Connection::open(service.address(), &client(&[certificate])).expect("connected");
    assert_eq!(connection.get("/healthz").expect("served"), 200);
    service.stop();
}

#[test]
fn another_certificate_comes_into_force_under_load_and_a_broken_one_does_not() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    let first = pair.renew();
    let service = start(&directory, &pair.settings());
    let staged = Pair::at(&directory.path().join("data"));
    let second = staged.renew();
    let config = client(&[first.clone(), second.clone()]);
    let shown = || {
        let mut connection = Connection::open(service.address(), &config).expect("connected");
        assert_eq!(connection.get("/healthz").expect("served"), 200);
        connection.certificate()
    };
    let mut kept = Connection::open(service.address(), &config).expect("connected");
    assert_eq!(kept.get("/healthz").expect("served"), 200);

    let (is_over, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut connection =
                        Connection::open(service.address(), &config).expect("connected under load");
                    for _ in 0..3 {
                        assert_eq!(connection.get("/healthz").expect("served under load"), 200);
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let pause = || std::thread::sleep(Duration::from_millis(200));
        pause();
        assert_eq!(shown(), first);
        // Only one of the two is new: refused, and the old pair stays.
        std::fs::copy(&staged.certificate, &pair.certificate).expect("copied");
        service.signal("HUP");
        wait_until("the log to say it", || service.log().contains("is not that of the certificate"));
        assert_eq!(shown(), first);
        std::fs::copy(&staged.key, &pair.key).expect("copied");
        service.signal("HUP");
        wait_until("the second certificate", || shown() == second);
        assert!(service.log().contains(&fingerprint(&second)));
        for (broken, said) in [("", "has no certificate"), ("-----BEGIN CERTIFICATE-----\n", "PEM")] {
            std::fs::write(&pair.certificate, broken).expect("written");
            service.signal("HUP");
            wait_until(said, || service.log().contains(said));
            assert_eq!(shown(), second);
        }
        std::fs::remove_file(&pair.certificate).expect("removed");
        service.signal("HUP");
        wait_until("the log to say it", || service.log().contains("No such file"));
        assert_eq!(shown(), second);
        pause();
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(requests.load(Ordering::Relaxed) > 20, "{requests:?}");
    assert_eq!(kept.get("/healthz").expect("the connection from before goes on"), 200);
    assert_eq!(kept.certificate(), first);
    assert!(!service.log().contains("PRIVATE KEY---") && service.log().contains("stays in force"));
    service.stop();
}

#[test]
fn a_certificate_of_its_own_has_the_fingerprint_that_it_logs() {
    let directory = TestDirectory::new();
    let service = start(&directory, "tls = 'self-signed'\n");
    let path = directory.path().join("data/tls-certificate.pem");
    let certificate = read_certificate(&path);
    let mut connection =
        Connection::open(service.address(), &client(std::slice::from_ref(&certificate))).expect("connected");
    assert_eq!(connection.get("/healthz").expect("served, and for the name localhost"), 200);
    let seen = fingerprint(&connection.certificate());
    assert!(service.log().contains(&seen), "{}", service.log());
    let openssl = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&path)
        .output();
    match openssl {
        Ok(output) => assert!(String::from_utf8_lossy(&output.stdout).contains(&seen), "{output:?}"),
        Err(_) => skip("openssl is not installed"),
    }
    let port = service.address().rsplit(':').next().expect("a port");
    let (file, url) = (path.display().to_string(), format!("https://127.0.0.1:{port}/healthz"));
    if let Some((status, error)) = curl(&["--cacert", &file, &url]) {
        assert_eq!(status, "200 1.1", "{error}");
    }
    let key = directory.path().join("data/tls-key.pem");
    assert_eq!(std::fs::metadata(&key).expect("metadata").permissions().mode() & 0o777, 0o600);
    service.signal("HUP");
    wait_until("the log to say it", || service.log().contains("it is the same"));
    service.stop();
    // It stays the same, so that nobody has to look at it again.
    let service = start(&directory, "tls = 'self-signed'\n");
    let again = Connection::open(service.address(), &client(std::slice::from_ref(&certificate))).and_then(
        |mut open| {
            open.get("/healthz")?;
            Ok(open.certificate())
        },
    );
    assert_eq!(again.expect("served"), certificate);
    service.stop();
}

#[test]
fn clients_that_do_not_shake_hands_hold_nobody_up() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    let certificate = pair.renew();
    let header_timeout = Duration::from_secs(10);
    let limits = format!("[limits]\nheader_timeout_secs = {}\n", header_timeout.as_secs());
    let service = start(&directory, &format!("{}{limits}", pair.settings()));
    let started = Instant::now();
    // Nothing at all, and the beginning of a handshake.
    let mut slow: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(service.address()).expect("connected")).collect();
    for stream in slow.iter_mut().step_by(2) {
        stream.write_all(&[22, 3, 1, 2, 0, 1]).expect("written");
    }
    let config = client(&[certificate]);
    for _ in 0..20 {
        let mut connection = Connection::open(service.address(), &config).expect("connected");
        assert_eq!(connection.get("/healthz").expect("served"), 200);
    }
    // Whoever waits for the slow ones waits for the end of the first one's time at least.
    assert!(started.elapsed() < header_timeout, "others waited: {:?}", started.elapsed());
    for mut stream in slow {
        stream.set_read_timeout(Some(header_timeout * 3)).expect("set");
        assert!(is_closed(&mut stream, 7), "one that does not shake hands is left waiting");
    }
    service.stop();
}

#[test]
fn mistakes_end_the_start_before_anything_is_made() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    pair.renew();
    let other = directory.path().join("other");
    std::fs::write(&other, "no PEM").expect("written");
    let (certificate, key) = (pair.certificate.display().to_string(), pair.key.display().to_string());
    let other = other.display().to_string();
    let cases = [
        (certificate.as_str(), "/no/such/key", "/no/such/key cannot be read"),
        ("/no/such/file", key.as_str(), "/no/such/file cannot be read"),
        (&other, &key, "has no certificate"),
        (&certificate, &other, "no private key that can be read"),
        (&certificate, "", "needs tls_key_file"),
    ];
    let data = directory.path().join("data");
    let run = |arguments: &[&str], certificate: &str, key: &str| {
        let output = command(arguments)
            .args(["--data-dir", &data.display().to_string()])
            .env("CONNECTORD_TLS", "files")
            .env("CONNECTORD_TLS_CERTIFICATE_FILE", certificate)
            .env("CONNECTORD_TLS_KEY_FILE", key)
            .stdout(Stdio::null())
            .output()
            .expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (certificate, key, said) in cases {
        let (status, text) = run(&["serve", "--listen", "127.0.0.1:0"], certificate, key);
        let line = text.lines().find(|line| line.contains(said));
        assert!(status == Some(2) && line.is_some(), "{said}: {text}");
        // The same before a start, in the same words.
        let (status, text) = run(&["check-config"], certificate, key);
        assert!(status == Some(2) && text.lines().find(|line| line.contains(said)) == line, "{said}: {text}");
        assert!(!data.join("sled").exists() && !data.join("secret.key").exists());
    }
    assert_eq!(run(&["check-config"], &certificate, &key), (Some(0), String::new()));
}

#[test]
fn every_mistake_in_certificates_is_said_before_a_start() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    pair.renew();
    let config = directory.path().join("connectord.toml");
    let check = |settings: &str| {
        std::fs::write(&config, settings).expect("written");
        let output = command(&["check-config", "--config", &config.display().to_string()]).output();
        let output = output.expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let ca_file = |path: &str| format!("[cloud]\nca_file = '{path}'\n");
    let (status, said) =
        check(&format!("{}{}", pair.settings(), ca_file(&pair.certificate.display().to_string())));
    assert!(status == Some(0) && said.contains("is right") && said.contains("tls = \"files\""), "{said}");
    std::fs::write(&pair.certificate, "no PEM").expect("written");
    let (status, said) = check(&format!("{}{}", pair.settings(), ca_file("/no/such/authority")));
    let both = ["has no certificate", "cloud.ca_file: /no/such/authority cannot be read"];
    assert!(status == Some(2) && both.iter().all(|part| said.contains(part)), "{said}");
    // One of the service's own is not made by asking.
    let (status, said) =
        check(&format!("tls = 'self-signed'\ndata_dir = '{}/data'\n", directory.path().display()));
    assert!(status == Some(0) && !directory.path().join("data").exists(), "{said}");
}

#[test]
fn credentials_in_clear_over_the_network_are_warned_of_once() {
    for (tls, listen, warnings) in [
        ("off", "127.0.0.1:0", 0),
        ("off", "0.0.0.0:0", 1),
        ("self-signed", "0.0.0.0:0", 0),
        ("self-signed", "127.0.0.1:0", 0),
    ] {
        let directory = TestDirectory::new();
        let data = directory.path().join("data").display().to_string();
        let log = directory.path().join("log.txt");
        let mut service = command(&["serve", "--listen", listen, "--data-dir", &data])
            .env("CONNECTORD_TLS", tls)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("it runs");
        let address = ready_address(&mut service);
        let _ = service.kill();
        let _ = service.wait();
        let said = std::fs::read_to_string(&log).expect("a log");
        assert!(address.is_some(), "{said}");
        assert_eq!(said.matches("travel unencrypted").count(), warnings, "{tls} {listen} {said}");
    }
}

#[test]
fn a_hangup_does_not_end_a_service_without_tls() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    service.signal("HUP");
    wait_until("the log to say it", || service.log().contains("tls is off"));
    service.anonymous().sending(&basic("admin", PASSWORD)).get(CONNECTORS).expect_status(200);
    service.stop();
}

#[test]
fn a_certificate_that_takes_its_time_to_read_holds_nobody_up() {
    let directory = TestDirectory::new();
    let pair = Pair::at(directory.path());
    let certificate = pair.renew();
    let config = directory.path().join("connectord.toml");
    std::fs::write(&config, pair.settings()).expect("written");
    let service =
        Service::start_command(directory.path(), &["--config", &config.display().to_string()], |command| {
            // One that waits would be all there is.
            command.env("TOKIO_WORKER_THREADS", "1");
        });
    std::fs::remove_file(&pair.certificate).expect("removed");
    make_fifo(&pair.certificate);
    service.signal("HUP");
    // This returns when the service reads the file, which then goes on until this end is closed.
    let writer = std::fs::File::options().write(true).open(&pair.certificate).expect("opened");
    for _ in 0..3 {
        let mut connection = Connection::open(service.address(), &client(std::slice::from_ref(&certificate)))
            .expect("connected");
        assert_eq!(connection.get("/healthz").expect("served"), 200);
    }
    drop(writer);
    wait_until("the log to say it", || service.log().contains("the certificate was not changed"));
    service.stop();
}

#[test]
fn a_signal_to_read_the_certificate_anew_is_survived_while_the_store_is_opened() {
    let directory = TestDirectory::new();
    Service::start(directory.path()).stop();
    let key_file = directory.path().join("data/secret.key");
    let key = std::fs::read(&key_file).expect("read");
    std::fs::remove_file(&key_file).expect("removed");
    make_fifo(&key_file);
    let data = directory.path().join("data").display().to_string();
    let mut child = command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let id = child.id().to_string();
    // Not waited for: it stays where the key is not read.
    std::thread::spawn(move || {
        // This returns when the service reads the file: it is opening the store.
        let mut writer = std::fs::File::options().write(true).open(&key_file).expect("opened");
        let sent = Command::new("kill").args(["-HUP", &id]).status();
        assert!(sent.expect("kill runs").success());
        let _ = writer.write_all(&key);
    });
    let address = ready_address(&mut child);
    let _ = child.kill();
    let status = child.wait().expect("waited");
    assert!(address.is_some(), "it ended: {status}");
}

fn make_fifo(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}
