//! The Unix socket for a reverse proxy.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::service::{Service, TestDirectory, command};
use crate::harness::skip;

fn get(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).expect("connected");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn a_proxy_is_served_and_the_file_comes_and_goes_with_the_service() {
    let directory = TestDirectory::new();
    let path = directory.path().join("connectord.sock");
    let start = |tls: &str| {
        Service::start_command(directory.path(), &[], |command| {
            command.env("CONNECTORD_LISTEN_UNIX", &path).env("CONNECTORD_TLS", tls);
        })
    };
    let service = start("off");
    assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o660);
    assert!(get(&path).starts_with("HTTP/1.1 200"));
    assert!(service.log().contains("peer=unix"), "{}", service.log());
    service.anonymous().get("/healthz").expect_status(200);
    let curl = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket"])
        .arg(&path)
        .arg("http://localhost/api/v2/cloud_connectors")
        .output();
    match curl {
        Ok(output) => assert_eq!(output.stdout, b"401", "{output:?}"),
        Err(_) => skip("curl is not installed"),
    }

    // A second service may not take it away.
    let other = directory.path().join("other").display().to_string();
    let refused = command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &other])
        .env("CONNECTORD_LISTEN_UNIX", &path)
        .stdout(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("another process listens"), "{said}");
    assert!(get(&path).starts_with("HTTP/1.1 200"));

    // What a crash leaves is replaced; by https on the network, the socket speaks http still.
    service.kill();
    assert!(path.exists());
    let service = start("self-signed");
    assert!(get(&path).starts_with("HTTP/1.1 200"));
    service.stop();
    assert!(!path.exists());
}
