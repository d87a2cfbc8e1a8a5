//! What changes around a data directory after its first start: its owner, and the file with the first password.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use super::{run, user};
use crate::harness::service::{Service, TestDirectory, command};
use crate::harness::skip;

const CONNECTORS: &str = "/api/v2/cloud_connectors";

#[test]
fn the_file_with_the_first_password_may_be_gone_after_the_first_start() {
    let directory = TestDirectory::new();
    let data = directory.path().join("data");
    let missing = directory.path().join("gone");
    let arguments = ["--admin-password-file", &missing.display().to_string()];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data.display().to_string()];
    let (status, said) = run(&mut command(&[&serve[..], &arguments].concat()));
    assert!(status == 2 && said.contains("gone cannot be read"), "at the first start: {status} {said}");
    assert!(!data.join("secret.key").exists() && !data.join("sled").exists());

    let service = Service::start(directory.path());
    service.admin().get(CONNECTORS).expect_status(200);
    service.stop();
    for content in [None, Some("short\n")] {
        if let Some(content) = content {
            fs::write(&missing, content).expect("written");
        }
        let service = Service::start_plain(directory.path(), &arguments);
        service.admin().get(CONNECTORS).expect_status(200);
        let log = service.log();
        let warning = log.lines().rfind(|line| line.contains("is not used any more"));
        assert!(warning.is_some_and(|line| line.contains("WARN") && line.contains("gone")), "{log}");
        service.stop();
    }
}

fn give(path: &Path, user: u32) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            give(&entry.expect("an entry").path(), user);
        }
    }
    chown(path, Some(user), None).expect("given");
}

#[test]
fn commands_on_somebody_elses_data_are_refused() {
    let directory = TestDirectory::new();
    Service::start(directory.path()).stop();
    let data = directory.path().join("data");
    let owner = fs::metadata(&data).expect("metadata").uid();
    // Any but the one who runs the tests.
    let other = if owner == 1 { 2 } else { 1 };
    if chown(&data, Some(other), None).is_err() {
        skip("commands on somebody else's data: this process may not give files away, run it as root");
        return;
    }
    give(&data, other);
    let path = data.display().to_string();
    let lock = fs::read(data.join("lock")).expect("read");
    for arguments in [&["user", "list"][..], &["rotate-key"], &["recover"]] {
        let (name, rest) = arguments.split_first().expect("a subcommand");
        let (status, said) = run(&mut command(&[&[*name, "--data-dir", &path], rest].concat()));
        let parts = [format!("{path} belongs to the user with the number {other}"), "runuser -u".to_owned()];
        assert!(status == 2 && parts.iter().all(|part| said.contains(part)), "{arguments:?} {status} {said}");
        assert!(!said.contains("recovery code"), "{said}");
    }
    assert_eq!(fs::read(data.join("lock")).expect("read"), lock, "not even the lock was taken");
    give(&data, owner);
    let (status, said) = user(&directory, &["list"], "");
    assert!(status == 0 && said.contains("admin"), "{said}");
}
