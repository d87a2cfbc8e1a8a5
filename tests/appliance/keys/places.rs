//! Where a key file may be: the configured place, a systemd credential, the data directory; never in the backup.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::{Filled, OTHER_KEY, run};
use crate::harness::service::{Service, TestDirectory, command};

#[test]
fn the_key_comes_from_the_configured_place_or_a_systemd_credential() {
    let place = TestDirectory::new();
    let configured = place.path().join("elsewhere.key");
    let directory = TestDirectory::new();
    Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_SECRET_KEY_FILE", &configured);
    })
    .stop();
    let log = fs::read_to_string(directory.path().join("log.txt")).expect("a log");
    assert!(log.contains("made a key file") && !log.contains("same disk"), "{log}");
    assert_eq!(fs::metadata(&configured).expect("made").permissions().mode() & 0o777, 0o600);
    assert!(!directory.path().join("data/secret.key").exists());
    let credentials = place.path().join("credentials");
    fs::create_dir(&credentials).expect("created");
    let credential = credentials.join("secret-key");
    fs::rename(&configured, &credential).expect("moved");
    let store = Filled { directory, contents: Value::Null, code: String::new() };
    let with_credential = |arguments: &[&str]| {
        let mut command = store.command(arguments);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    let (status, said) = run(with_credential(&["user", "list"]), "");
    assert_eq!(status, 0, "{said}");
    for arguments in [&["rotate-key"][..], &["rotate-key", "--data"], &["recover"]] {
        let (status, said) = run(with_credential(arguments), "");
        let part = if arguments == ["recover"] { "nothing to recover" } else { "CONNECTORD_SECRET_KEY_FILE" };
        assert!(status == 2 && said.contains(part), "{arguments:?} {said}");
    }
    fs::write(&credential, OTHER_KEY).expect("written");
    let (status, said) = run(with_credential(&["user", "list"]), "");
    assert!(status == 2 && said.contains(&credential.display().to_string()), "{said}");
    let (status, said) = run(with_credential(&["recover"]), "");
    assert!(status == 2 && said.contains("CONNECTORD_SECRET_KEY_FILE"), "{said}");
    // The configured place comes before the credential.
    fs::copy(store.path().join("log.txt"), place.path().join("other")).expect("copied");
    let mut command = with_credential(&["user", "list"]);
    command.env("CONNECTORD_SECRET_KEY_FILE", place.path().join("other"));
    let (status, said) = run(command, "");
    assert!(status == 2 && said.contains("other is not a key file"), "{said}");
}

#[test]
fn a_key_file_inside_the_backup_is_refused() {
    let directory = TestDirectory::new();
    let data = directory.path().join("data");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(data.join("sled"), &link).expect("linked");
    let try_start = |place: &Path| {
        let mut command =
            command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data.display().to_string()]);
        command.env("CONNECTORD_SECRET_KEY_FILE", place);
        run(command, "")
    };
    let inside = [
        data.join("sled/secret.key"),
        data.join("sled/commit-log/k"),
        data.join("other/../sled/k"),
        data.join("sled/deeper/k"),
        link.join("k"),
    ];
    fs::create_dir_all(data.join("other")).expect("created");
    for place in &inside {
        let (status, said) = try_start(place);
        assert!(status == 2 && said.contains("inside") && said.contains("secret_key_file"), "{said}");
        assert!(!place.exists());
    }
    // A link to a medium that is not there is no place for a new key.
    let dangling = directory.path().join("dangling");
    std::os::unix::fs::symlink("/no/such/medium/key", &dangling).expect("linked");
    let (status, said) = try_start(&dangling);
    assert!(status == 2 && said.contains("is not there"), "{said}");
    Service::start(directory.path()).stop();
    fs::copy(data.join("secret.key"), data.join("sled/secret.key")).expect("copied");
    let (status, said) = try_start(&data.join("sled/secret.key"));
    assert!(status == 2 && said.contains("inside"), "{said}");
}
