//! The command line: first start, users, configuration, signals, and what is said about mistakes.

mod upkeep;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::harness::http::basic;
use crate::harness::service::{PASSWORD, Service, TestDirectory, command, wait_until};
use crate::harness::skip;

const CONNECTORS: &str = "/api/v2/cloud_connectors";

fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().expect("an exit status"), text)
}

fn user(directory: &TestDirectory, arguments: &[&str], input: &str) -> (i32, String) {
    let data = directory.path().join("data").display().to_string();
    let mut command = command(&["user", "--data-dir", &data]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("waited");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("an exit status"), text)
}

#[test]
fn a_made_up_password_waits_in_a_file_until_the_first_sign_in() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TestDirectory::new();
    let service = Service::start_plain(directory.path(), &[]);
    let path = directory.path().join("data/first-start.txt");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    assert!(service.log().contains(&path.display().to_string()));
    let password = text.lines().find_map(|line| line.strip_prefix("password: ")).expect("a password");
    assert!(!service.log().contains(password));
    service.stop();
    // It survives a restart, and a wrong sign-in.
    let service = Service::start_plain(directory.path(), &[]);
    service.anonymous().sending(&basic("admin", "wrong")).get(CONNECTORS).expect_status(401);
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), text);
    service.anonymous().sending(&basic("admin", password)).get(CONNECTORS).expect_status(200);
    assert!(!path.exists());
    service.stop();
}

#[test]
fn the_password_comes_from_a_systemd_credential() {
    let directory = TestDirectory::new();
    let credentials = directory.path().join("credentials");
    std::fs::create_dir(&credentials).expect("created");
    std::fs::write(credentials.join("admin-password"), "from systemd's hands").expect("written");
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("CREDENTIALS_DIRECTORY", &credentials);
    });
    service.anonymous().sending(&basic("admin", "from systemd's hands")).get(CONNECTORS).expect_status(200);
    assert!(!directory.path().join("data/first-start.txt").exists());
    service.stop();
}

#[test]
fn users_are_managed_while_the_service_is_stopped() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let key = service.make_key(&["*/*"]);
    let (status, text) = user(&directory, &["list"], "");
    assert_eq!(status, 2);
    assert!(
        text.contains(&format!("another connectord (pid {})", service.id())) && text.contains("stop it"),
        "{text}"
    );
    service.admin().get(CONNECTORS).expect_status(200);
    service.stop();

    let cases: &[(&[&str], &str, i32, &str)] = &[
        (&["add", "eva"], "short\n", 2, "8 characters"),
        (&["add", "e:va"], "a good password\n", 2, "no colon"),
        (&["add", "eva"], "a good password\n", 0, "added"),
        (&["add", "eva"], "another password\n", 2, "already"),
        (&["passwd", "nobody"], "a good password\n", 2, "no user nobody"),
        (&["passwd", "admin", "--revoke-keys"], "changed password\n", 0, "1 API keys revoked"),
        (&["list"], "", 0, "eva  added"),
        (&["remove", "eva"], "", 0, "removed"),
        (&["remove", "eva"], "", 2, "no user eva"),
        (&["remove", "admin"], "", 2, "only user"),
    ];
    for (arguments, input, status, part) in cases {
        let (actual, text) = user(&directory, arguments, input);
        assert!(actual == *status && text.contains(part), "{arguments:?}: {actual} {text}");
        assert!(!text.contains("password\n") || !text.contains(input.trim()), "{text}");
    }
    // The flags may stand behind the command too.
    let data = directory.path().join("data").display().to_string();
    for arguments in
        [&["user", "list", "--data-dir", &data][..], &["user", "passwd", "eva", "--data-dir", &data]]
    {
        let (_, text) = run(&mut command(arguments));
        assert!(text.contains("admin  added") || text.contains("no user eva"), "{arguments:?}: {text}");
    }
    let service = Service::start(directory.path());
    service.admin().get(CONNECTORS).expect_status(401);
    service.with_key(&key).get(CONNECTORS).expect_status(401);
    service.anonymous().sending(&basic("admin", "changed password")).get(CONNECTORS).expect_status(200);
    service.stop();
}

#[test]
fn a_removed_users_keys_and_connectors() {
    let directory = TestDirectory::new();
    Service::start(directory.path()).stop();
    assert_eq!(user(&directory, &["add", "eva"], "evas password\n").0, 0);
    let service = Service::start(directory.path());
    let eva = service.anonymous().sending(&basic("eva", "evas password"));
    let body = json!({ "api_key_scopes": [{ "controller": "*", "action": "*" }] });
    let key = eva.post("/api/v2/users/me/api_keys", &body).expect_status(201).json();
    eva.post(CONNECTORS, &json!({ "name": "a", "url": "h" })).expect_status(201);
    // Keys belong to their user, connectors to the service.
    service.admin().get("/api/v2/users/me/api_keys/1").expect_status(404);
    assert_eq!(service.admin().get("/api/v2/users/me/api_keys").json()["count"], 0);
    assert_eq!(service.admin().get(CONNECTORS).json()["count"], 1);
    service.stop();
    assert_eq!(user(&directory, &["remove", "eva"], "").0, 0);
    let service = Service::start(directory.path());
    service.with_key(key["key"].as_str().expect("a key")).get(CONNECTORS).expect_status(401);
    service.anonymous().sending(&basic("eva", "evas password")).get(CONNECTORS).expect_status(401);
    assert_eq!(service.admin().get(CONNECTORS).json()["count"], 1);
    service.stop();
}

#[test]
fn mistakes_of_configuration_are_named() {
    let directory = TestDirectory::new();
    let file = directory.path().join("connectord.toml");
    let path = file.display().to_string();
    let cases = [
        ("lisen = '127.0.0.1:1'\n", "line 1: lisen is not a setting, did you mean listen?"),
        (
            "[limits]\nbody_bytes = 'large'\n",
            "line 2: limits.body_bytes is not valid: write a whole number from 1024",
        ),
        ("[log]\nlevel = 'loud'\n", "line 2: log.level is not valid: write one of error, warn, info"),
        ("listen = \n", "line 1"),
        (
            "[browser]\nlisten = '127.0.0.1:1'\n",
            "line 2: browser.listen is not a setting; write listen above the first",
        ),
    ];
    for (text, expected) in cases {
        std::fs::write(&file, text).expect("written");
        for subcommand in [&["check-config"][..], &["serve"], &[]] {
            let mut arguments = subcommand.to_vec();
            arguments.extend(["--config", &path]);
            let (status, output) = run(&mut command(&arguments));
            assert_eq!(status, 2, "{arguments:?} {output}");
            assert!(output.contains(&path) && output.contains(expected), "{output}");
        }
    }
    std::fs::write(&file, "[log]\nlevel = 'warn'\n").expect("written");
    let (status, output) =
        run(command(&["check-config", "--config", &path]).env("CONNECTORD_LISTEN", "127.0.0.1:9"));
    assert_eq!(status, 0);
    for line in [
        "log.level = \"warn\"  # file",
        "listen = \"127.0.0.1:9\"  # environment",
        "limits.body_bytes = 65536  # default",
    ] {
        assert!(output.contains(line), "{output}");
    }
    for (arguments, part) in [
        (&["serv"][..], "unrecognized subcommand"),
        (&["--lisen", "x"], "--listen"),
        (&["--listen", "x"], "127.0.0.1:8080"),
        (&["check-config", "--config", "/no/such/file"], "/no/such/file"),
        (&["user", "--data-dir", "/no/such/directory", "list"], "/no/such/directory"),
        (&["backup", "--data-dir", "/no/such/directory", "/no/such/copy"], "with --config"),
    ] {
        let (status, output) = run(&mut command(arguments));
        assert!(status == 2 && output.contains(part), "{arguments:?}: {status} {output}");
    }
    let (status, output) = run(command(&["check-config"]).env("CONNECTORD_LISTN", "x"));
    assert!(status == 2 && output.contains("did you mean CONNECTORD_LISTEN?"), "{output}");
}

#[test]
fn a_second_process_leaves_the_first_alone() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let data = directory.path().join("data").display().to_string();
    let (status, output) = run(&mut command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]));
    assert_eq!(status, 2);
    assert!(
        output.contains(&format!("another connectord (pid {}) uses this directory", service.id())),
        "{output}"
    );
    let other = directory.path().join("other").display().to_string();
    let (status, output) = run(&mut command(&["serve", "--listen", service.address(), "--data-dir", &other]));
    assert!(status == 1 && output.contains("cannot listen"), "{output}");
    service.admin().post(CONNECTORS, &json!({ "name": "a", "url": "h" })).expect_status(201);
    service.stop();
}

#[test]
fn signals_drain_running_requests() {
    use std::io::Read;
    for signal in ["TERM", "INT"] {
        let directory = TestDirectory::new();
        let mut service = Service::start(directory.path());
        // A request whose body is not complete yet when the signal comes.
        let mut stream = std::net::TcpStream::connect(service.address()).expect("connected");
        let body = json!({ "name": "late", "url": "h" }).to_string();
        let head = format!(
            "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            basic("admin", PASSWORD),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("written");
        std::thread::sleep(std::time::Duration::from_millis(300));
        service.signal(signal);
        wait_until("the listener to close", || std::net::TcpStream::connect(service.address()).is_err());
        stream.write_all(body.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert!(service.wait().success());
        let service = Service::start(directory.path());
        assert_eq!(service.admin().get(CONNECTORS).json()["count"], 1);
        service.stop();
    }
}

#[test]
fn the_service_manager_is_told() {
    let directory = TestDirectory::new();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("set");
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let receive = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(receive(), "READY=1");
    service.stop();
    assert_eq!(receive(), "STOPPING=1");
}

#[test]
fn log_lines_are_json_when_asked() {
    let directory = TestDirectory::new();
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_LOG_FORMAT", "json");
    });
    service
        .anonymous()
        .send("GET", &format!("{CONNECTORS}/a%20b?x=hunter2"), &[("X-Request-Id", "my-id")], b"")
        .expect_status(401);
    let log = service.log();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let line = lines.iter().find(|line| line["request_id"] == "my-id").expect("the request's line");
    assert_eq!(
        (&line["method"], &line["route"], &line["status"], &line["caller"]),
        (&json!("GET"), &json!("/api/v2/cloud_connectors/{cloud_connector_id}"), &json!(401), &json!(""))
    );
    assert!(line["duration_ms"].is_number());
    assert!(!log.contains("hunter2"));
    service.stop();
}

#[test]
fn systemd_accepts_the_unit_and_finds_it_shut() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/connectord.service");
    let Ok(output) =
        Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20", unit]).output()
    else {
        skip("systemd-analyze is not installed");
        return;
    };
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[test]
fn the_unit_bounds_the_memory_that_the_machine_gives() {
    let unit = include_str!("../../systemd/connectord.service");
    let value = |name: &str| {
        unit.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix('%')?.parse::<u32>().ok())
    };
    let (high, most) = (value("MemoryHigh="), value("MemoryMax="));
    assert!(high.is_some() && high < most && most < Some(100), "{high:?} {most:?}");
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_the_service() {
    let directory = TestDirectory::new();
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let service = Service::start_command(directory.path(), &[], |command| {
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD).expect("written");
        command.env("CONNECTORD_LOG_LEVEL", "trace").stderr(full);
        command.arg("--admin-password-file").arg(password);
    });
    service.admin().post(CONNECTORS, &json!({ "name": "a", "url": "h" })).expect_status(201);
    service.admin().get(CONNECTORS).expect_status(200);
    service.stop();
}
