//! `verify`, `backup` and `salvage`, and copies put over existing data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::service::{Service, TestDirectory, command};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

fn run(arguments: &[&str]) -> (i32, String) {
    let output = command(arguments).output().expect("the binary runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("an exit status"), text)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn add(service: &Service, names: std::ops::Range<u32>) {
    for number in names {
        let body = json!({ "name": format!("c{number}"), "url": "h", "secret_key": format!("s{number}") });
        service.admin().post(CONNECTORS, &body).expect_status(201);
    }
}

fn contents(service: &Service) -> Value {
    service.admin().get(CONNECTORS).expect_status(200).json()
}

/// Every file below a directory with its bytes.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(&path).expect("read"))),
        }
    }
    found.sort();
    found
}

#[test]
fn a_backup_of_a_running_service_is_proved_and_restores() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    add(&service, 0..20);
    let expected = contents(&service);
    let (data, copied) = (text(&directory.path().join("data")), directory.path().join("copied"));
    let (status, said) = run(&["backup", "--data-dir", &data, &text(&copied)]);
    assert!(status == 0 && said.contains("is complete") && said.contains("20 connectors"), "{status} {said}");
    add(&service, 20..25);
    let (status, said) = run(&["backup", "--data-dir", &data, &text(&copied)]);
    assert!(status == 2 && said.contains("exists"), "{status} {said}");
    let before = files(&copied);
    let (status, said) = run(&["verify", &text(&copied)]);
    assert!(
        status == 0 && said.contains("20 connectors, 0 API keys, 1 users, 0 test jobs"),
        "{status} {said}"
    );
    let (status, said) = run(&["verify", &data, "--scratch", &text(directory.path())]);
    assert!(status == 0 && said.contains("25 connectors"), "{status} {said}");
    assert_eq!(files(&copied), before, "verify only reads");
    let leftovers = fs::read_dir(directory.path()).expect("a directory");
    let leftovers: Vec<_> =
        leftovers.flatten().filter(|entry| text(&entry.path()).contains(".connectord-")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");

    let restored = TestDirectory::new();
    fs::create_dir(restored.path().join("data")).expect("created");
    copy(&copied, &restored.path().join("data/sled"));
    fs::copy(directory.path().join("data/secret.key"), restored.path().join("data/secret.key"))
        .expect("copied");
    let other = Service::start(restored.path());
    assert_eq!(contents(&other), expected);
    assert!(!other.log().contains("WARN"), "{}", other.log());
    other.stop();
    service.stop();
}

#[test]
fn verify_says_what_is_no_backup_and_what_is_damaged() {
    let directory = TestDirectory::new();
    let (status, said) = run(&["verify", &text(directory.path())]);
    assert!(status == 2 && said.contains("commit-log"), "{status} {said}");
    let service = Service::start(directory.path());
    add(&service, 0..20);
    service.stop();
    let copied = directory.path().join("copied");
    copy(&directory.path().join("data/sled"), &copied);
    damage_both_halves(&copied);
    let (status, said) = run(&["verify", &text(&copied)]);
    assert!(
        status == 3 && said.contains(&text(&copied)) && !said.contains(".connectord-"),
        "{status} {said}"
    );
}

/// Flips a bit in the middle of the log, and many in sled.
fn damage_both_halves(sled: &Path) {
    let log = sled.join("commit-log/0000000000000001.log");
    let mut bytes = fs::read(&log).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).expect("written");
    let mut bytes = fs::read(sled.join("db")).expect("read");
    bytes.iter_mut().skip(64).step_by(61).for_each(|byte| *byte ^= 0x20);
    fs::write(sled.join("db"), bytes).expect("written");
}

#[test]
fn salvage_brings_what_is_left_and_names_what_is_missing() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    add(&service, 0..20);
    let all = contents(&service)["cloud_connectors"].as_array().expect("a list").clone();
    service.stop();
    let data = directory.path().join("data");
    damage_both_halves(&data.join("sled"));
    let before = files(&data);
    let saved = TestDirectory::new();
    let out = saved.path().join("data");
    let (status, said) = run(&["salvage", &text(&data), &text(&out)]);
    assert!(
        status == 0 && said.contains("19 connectors") && said.contains("missing: commits"),
        "{status} {said}"
    );
    assert_eq!(files(&data), before, "salvage only reads");
    let (status, said) = run(&["salvage", &text(&data), &text(&out)]);
    assert!(status == 2 && said.contains("exists"), "{status} {said}");
    fs::copy(data.join("secret.key"), out.join("secret.key")).expect("copied");
    let service = Service::start(saved.path());
    let left = contents(&service)["cloud_connectors"].as_array().expect("a list").clone();
    assert_eq!(left.len(), 19);
    assert!(left.iter().all(|connector| all.contains(connector)));
    // Ids are not given out again, also not that of the lost one.
    let created =
        service.admin().post(CONNECTORS, &json!({ "name": "new", "url": "h" })).expect_status(201).json();
    assert_eq!(created["id"], 21);
    service.stop();
}

#[test]
fn an_older_copy_over_newer_data_is_refused() {
    for is_killed in [false, true] {
        let directory = TestDirectory::new();
        let service = Service::start(directory.path());
        add(&service, 0..5);
        service.stop();
        let data = directory.path().join("data");
        let backup = directory.path().join("backup");
        copy(&data.join("sled"), &backup);
        let service = Service::start(directory.path());
        add(&service, 5..9);
        if is_killed {
            service.kill()
        } else {
            service.stop()
        }
        copy(&backup.join("."), &data.join("sled"));
        let before = files(&data.join("sled"));
        let (status, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &text(&data)]);
        assert!(
            status == 2 && said.contains("older copy") && said.contains("empty directory"),
            "{status} {said}"
        );
        assert!(
            said.contains("commit-log/0000000000000001.log") && said.contains("reached"),
            "both are named: {said}"
        );
        assert_eq!(files(&data.join("sled")).len(), before.len());
    }
}

#[test]
fn the_log_is_rewritten_as_it_grows_and_nothing_is_lost() {
    let directory = TestDirectory::new();
    let start = || {
        Service::start_command(
            directory.path(),
            &["--admin-password-file", &text(&directory.path().join("password"))],
            |command| {
                command.env("CONNECTORD_STORE_LOG_GROWTH_KIB", "16");
            },
        )
    };
    fs::write(directory.path().join("password"), crate::harness::service::PASSWORD).expect("written");
    let service = start();
    add(&service, 0..10);
    for round in 0..20 {
        for number in 0..10 {
            let body = json!({ "options": format!("{round},{}", "x".repeat(500)) });
            service.admin().put(&format!("{CONNECTORS}/c{number}"), &body).expect_status(200);
        }
    }
    let expected = contents(&service);
    let logs = fs::read_dir(directory.path().join("data/sled/commit-log")).expect("a directory").flatten();
    let logs = logs.filter(|entry| text(&entry.path()).ends_with(".log")).count();
    assert!(logs > 2, "{logs} generations");
    service.kill();
    let service = start();
    assert_eq!(contents(&service), expected);
    assert!(!service.log().contains("set aside"), "{}", service.log());
    service.stop();
    // Without sled too, the newest generation says it all.
    fs::remove_file(directory.path().join("data/sled/db")).expect("removed");
    let service = start();
    assert_eq!(contents(&service), expected);
    service.stop();
}

#[test]
fn a_copy_of_the_whole_data_directory_restores_too() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    add(&service, 0..5);
    let (data, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let archive = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
        assert!(copied.success());
    };
    archive(&data, &backup);
    let expected = contents(&service);
    add(&service, 5..8);
    // The mark copied last is ahead of what was copied first; it must not speak for the copy.
    fs::copy(data.join("reached"), backup.join("reached")).expect("copied");
    service.stop();
    fs::remove_dir_all(&data).expect("removed");
    archive(&backup, &data);
    let service = Service::start(directory.path());
    assert_eq!(contents(&service), expected);
    service.stop();
}

#[test]
fn a_scratch_directory_is_new_and_its_parent_is_left_alone() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    add(&service, 0..3);
    service.stop();
    let data = text(&directory.path().join("data"));
    let (status, said) = run(&["verify", &data, "--scratch", &text(&directory.path().join("typo/missing"))]);
    let missing = format!("{} is not there; make it first", directory.path().join("typo/missing").display());
    assert!(status == 1 && said.contains(&missing), "{status} {said}");
    let (status, said) = run(&["backup", "--data-dir", &data, &text(&directory.path().join("typo/copy"))]);
    assert!(status == 1 && said.contains("typo is not there; make it first"), "{status} {said}");
    assert!(!directory.path().join("typo").exists());
    let inside = text(&directory.path().join("data/sled/backup"));
    let (status, said) = run(&["backup", "--data-dir", &data, &inside]);
    assert!(status == 2 && said.contains("elsewhere"), "{status} {said}");
}
