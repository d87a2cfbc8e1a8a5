//! Restores that went wrong: a folder too deep or beside its place, one backup inside another, files of another user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::service::{Service, TestDirectory, command};
use crate::harness::skip;

const CONNECTORS: &str = "/api/v2/cloud_connectors";
/// A user who owns nothing.
const NOBODY: u32 = 65_534;

fn run(arguments: &[&str]) -> (i32, String) {
    output_of(command(arguments))
}

fn output_of(mut command: Command) -> (i32, String) {
    let output = command.output().expect("the binary runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("an exit status"), text)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a parent")).expect("created");
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A directory with a store of one connector in `data`, and a backup of it in `backup`.
fn with_backup() -> TestDirectory {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    service.admin().post(CONNECTORS, &json!({ "name": "kept", "url": "h" })).expect_status(201);
    service.stop();
    let (status, said) = run(&[
        "backup",
        "--data-dir",
        &text(&directory.path().join("data")),
        &text(&directory.path().join("backup")),
    ]);
    assert_eq!(status, 0, "{said}");
    directory
}

#[test]
fn a_restore_one_folder_off_is_refused_and_the_command_that_is_named_mends_it() {
    let kept = with_backup();
    let backup = kept.path().join("backup");
    let cases = [
        // Where the copy went, and whether an earlier start left an empty folder in its place.
        ("sled-2026-11-23", false, "rename it"),
        ("sled-2026-11-23", true, "rename it"),
        ("sled/sled", false, "one folder too deep"),
        ("sled/sled-2026-11-23", false, "one folder too deep"),
    ];
    for (place, has_empty_sled, part) in cases {
        let restored = TestDirectory::new();
        let data = restored.path().join("data");
        copy(&backup, &data.join(place));
        if has_empty_sled {
            fs::create_dir_all(data.join("sled/commit-log")).expect("created");
        }
        let mut said_by_serve = String::new();
        for arguments in
            [&["user", "list"][..], &["recover"], &["rotate-key"], &["serve", "--listen", "127.0.0.1:0"]]
        {
            let (name, rest) = arguments.split_first().expect("a subcommand");
            let (status, said) = run(&[&[*name, "--data-dir", &text(&data)], rest].concat());
            assert!(status == 2 && said.contains(part), "{place}: {arguments:?}: {status} {said}");
            assert!(said.contains(&text(&data.join(place))) && !said.contains("start the service"), "{said}");
            assert!(!data.join("secret.key").exists() && !data.join("first-start.txt").exists());
            said_by_serve = said;
        }
        let (_, mending) = said_by_serve.trim().rsplit_once(": ").expect("a command");
        let mended = Command::new("sh").args(["-e", "-c", mending]).status().expect("sh runs");
        assert!(mended.success(), "{mending}");
        fs::copy(kept.path().join("data/secret.key"), data.join("secret.key")).expect("copied");
        let service = Service::start(restored.path());
        assert_eq!(service.admin().get(CONNECTORS).expect_status(200).json()["count"], 1, "{place}");
        service.stop();
    }
}

#[test]
fn the_directory_above_a_data_directory_gets_no_store() {
    let kept = with_backup();
    let above = text(kept.path());
    let (status, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &above]);
    assert!(status == 2 && said.contains(&text(&kept.path().join("backup"))), "{status} {said}");
    fs::remove_dir_all(kept.path().join("backup")).expect("removed");
    let (status, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &above]);
    assert!(status == 2 && said.contains(&text(&kept.path().join("data"))), "{status} {said}");
    assert!(said.contains("--data-dir") && !kept.path().join("secret.key").exists(), "{said}");
}

#[test]
fn a_key_file_without_a_store_is_warned_of_only_where_a_store_is_made() {
    let kept = with_backup();
    let data = kept.path().join("data");
    fs::remove_dir_all(data.join("sled")).expect("removed");
    let (status, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &text(&data)]);
    assert!(status == 2 && said.contains("held a store") && !said.contains("a new one is made"), "{said}");
    fs::remove_file(data.join("reached")).expect("removed");
    let service = Service::start(kept.path());
    assert!(service.log().contains("a new one is made"), "{}", service.log());
    service.stop();
}

#[test]
fn a_copy_inside_a_copy_is_refused_naming_both() {
    let kept = with_backup();
    let (data, backup) = (kept.path().join("data"), kept.path().join("backup"));
    copy(&data.join("sled"), &backup.join("sled"));
    let out = text(&kept.path().join("out"));
    for arguments in [&["verify", &text(&backup)][..], &["salvage", &text(&backup), &out]] {
        let (status, said) = run(arguments);
        assert!(status == 2 && said.contains(&text(&backup.join("sled"))), "{arguments:?}: {status} {said}");
    }
    // The inner one alone is a copy like any other.
    let (status, said) = run(&["verify", &text(&backup.join("sled"))]);
    assert_eq!(status, 0, "{said}");
    copy(&backup, &data.join("sled/sled"));
    let (status, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &text(&data)]);
    assert!(status == 2 && said.contains(&text(&data.join("sled/sled"))), "{status} {said}");
}

/// The command as a user who owns nothing; `None` where the tests have no such right.
fn as_nobody(arguments: &[&str]) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        skip("the tests do not run as root: nothing can be run as another user");
        return None;
    }
    let mut command = command(arguments);
    command.uid(NOBODY).gid(NOBODY);
    Some(command)
}

#[test]
fn no_permission_is_not_reported_as_nothing_there() {
    let kept = with_backup();
    let (data, backup) = (text(&kept.path().join("data")), text(&kept.path().join("backup")));
    let new = text(&kept.path().join("new"));
    let cases: &[(&[&str], &str)] = &[
        (&["verify", &backup], "as the directory's owner or as root"),
        (&["verify", &data], "as the directory's owner or as root"),
        (&["backup", "--data-dir", &data, &new], "as the directory's owner or as root"),
        (&["user", "--data-dir", &data, "list"], "chown -R connectord:"),
        (&["recover", "--data-dir", &data], "chown -R connectord:"),
    ];
    for (arguments, part) in cases {
        let Some(command) = as_nobody(arguments) else { return };
        let (status, said) = output_of(command);
        assert!(status != 0 && said.contains(part), "{arguments:?}: {status} {said}");
        assert!(!said.contains("is no "), "{arguments:?}: {said}");
    }
    // Root's own files in the directory of the service's user would keep the service out.
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).expect("given away");
    fs::remove_file(kept.path().join("data/lock")).expect("removed");
    let (status, said) = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    assert!(status == 2 && said.contains("runuser"), "{status} {said}");
    assert!(!kept.path().join("data/lock").exists(), "a refused start leaves nothing");
}

#[test]
fn a_key_file_of_root_is_to_be_given_away_and_not_replaced() {
    let kept = with_backup();
    let data = kept.path().join("data");
    let given =
        Command::new("chown").args(["-R", &NOBODY.to_string()]).arg(&data).status().expect("chown runs");
    let data = text(&data);
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", &data][..],
        &["user", "--data-dir", &data, "list"],
        &["recover", "--data-dir", &data],
        &["rotate-key", "--data-dir", &data],
    ] {
        let Some(command) = as_nobody(arguments) else { return };
        assert!(given.success());
        let key = kept.path().join("data/secret.key");
        std::os::unix::fs::chown(&key, Some(0), Some(0)).expect("taken");
        let (status, said) = output_of(command);
        let part = format!("chown connectord: {}", key.display());
        assert!(status == 2 && said.contains(&part), "{arguments:?}: {status} {said}");
        assert!(!said.contains("connectord recover"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_certificate_of_root_is_to_be_made_readable() {
    let directory = TestDirectory::new();
    let data = text(&directory.path().join("data"));
    let Some(mut command) = as_nobody(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]) else {
        return;
    };
    fs::create_dir(&data).expect("created");
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).expect("given away");
    let file = directory.path().join("privkey.pem");
    fs::write(&file, "a key").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
    command.env("CONNECTORD_TLS", "files");
    command.env("CONNECTORD_TLS_CERTIFICATE_FILE", &file).env("CONNECTORD_TLS_KEY_FILE", &file);
    let (status, said) = output_of(command);
    assert!(status == 2 && said.contains("the user that the service runs as"), "{status} {said}");
    assert!(said.contains(&text(&file)), "{said}");
}
