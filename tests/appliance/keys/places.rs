//! Where a key file may be: the configured place, a systemd credential, the data directory; never in the backup.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Filled, OTHER_KEY, run};
use crate::harness::service::{Service, TestDirectory, clean_environment, command};
use crate::harness::skip;

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

#[test]
fn a_new_store_takes_nothing_for_its_own_that_waits_beside_its_key_file() {
    let (directory, place) = (TestDirectory::new(), TestDirectory::new());
    let store = Filled { directory, contents: Value::Null, code: String::new() };
    let elsewhere = place.path().join("stick.key");
    for (key, content) in [(&store.key(), OTHER_KEY), (&elsewhere, "mine"), (&elsewhere, OTHER_KEY)] {
        let waiting = key.with_extension("key.new");
        fs::create_dir_all(store.data()).expect("created");
        fs::write(&waiting, content).expect("written");
        for has_key in [false, true] {
            if has_key {
                fs::write(key, OTHER_KEY).expect("written");
            }
            let mut command = store.command(&["serve", "--listen", "127.0.0.1:0"]);
            command.env("CONNECTORD_SECRET_KEY_FILE", key);
            let said = Service::spawn(store.path(), command).err().expect("it does not start");
            assert!(said.contains(&format!("{} is there", waiting.display())), "{said}");
            assert_eq!(fs::read_to_string(&waiting).expect("kept"), content);
            assert_eq!(key.exists(), has_key);
        }
        fs::remove_file(key).expect("removed");
        fs::remove_file(&waiting).expect("removed");
    }
    // Once it is away, the store is made.
    Service::start_command(store.path(), &[], |command| {
        command.env("CONNECTORD_SECRET_KEY_FILE", &elsewhere);
    })
    .stop();
    assert!(elsewhere.exists());
}

/// A command that runs another one with a file mounted on a place, as containers do it; `None` where that is not allowed.
fn mounting(file: &Path, place: &Path) -> Option<impl Fn(&Command) -> Command + use<>> {
    const MOUNT: &str = "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"";
    let wrapper = |options: &'static [&'static str]| {
        let (file, place) = (file.to_owned(), place.to_owned());
        move |inner: &Command| {
            let mut command = Command::new("unshare");
            command.args(options).args(["--mount", "sh", "-ec", MOUNT, "sh"]).arg(&file).arg(&place);
            command.arg(inner.get_program()).args(inner.get_args());
            clean_environment(&mut command);
            command
        }
    };
    let wrappers = [wrapper(&[]), wrapper(&["--map-root-user"])];
    let is_success = |mut command: Command| command.output().is_ok_and(|output| output.status.success());
    wrappers.into_iter().find(|wrapper| is_success(wrapper(&Command::new("true"))))
}

#[test]
fn a_key_file_that_is_mounted_alone_is_left_before_anything_changes() {
    let store = Filled::new();
    let place = TestDirectory::new();
    let file = place.path().join("key of the container");
    fs::copy(store.key(), &file).expect("copied");
    let key = store.key();
    let Some(mounted) = mounting(&file, &key) else {
        skip("a key file that is mounted alone: this process may not mount, run it as root");
        return;
    };
    let (status, said) = run(mounted(&store.command(&["user", "list"])), "");
    assert!(status == 0 && said.contains("admin"), "it opens the store: {said}");
    for arguments in [&["rotate-key"][..], &["rotate-key", "--data"]] {
        let (status, said) = run(mounted(&store.command(arguments)), "");
        assert!(status == 2 && said.contains("mounted as a single file"), "{arguments:?} {status} {said}");
        assert!(said.contains("CONNECTORD_SECRET_KEY_FILE") && !said.contains("recovery code"), "{said}");
    }
    assert_eq!(fs::read(&file).expect("read"), fs::read(store.key()).expect("read"));
    fs::write(&file, OTHER_KEY).expect("written");
    let (status, said) = run(mounted(&store.command(&["recover"])), &store.code);
    assert!(status == 2 && said.contains("mounted as a single file"), "{status} {said}");
    assert_eq!(fs::read_to_string(&file).expect("read"), OTHER_KEY);
    assert!(
        !store.data().join("secret.key.new").exists() && !store.data().join("secret.key.other-1").exists()
    );
    store.check_whole();
}

#[test]
fn a_new_key_that_cannot_take_its_place_opens_the_store_and_is_not_written_over() {
    let store = Filled::new();
    let (status, said) = store.run(&["rotate-key"], "");
    assert_eq!(status, 0, "{said}");
    // As after a kill; and something that no file can take the place of.
    let new = store.data().join("secret.key.new");
    fs::rename(store.key(), &new).expect("moved");
    fs::create_dir(store.key()).expect("created");
    let key = fs::read(&new).expect("read");
    store.check_whole();
    let log = fs::read_to_string(store.path().join("log.txt")).expect("a log");
    assert!(log.contains(&format!("{} is the one that opens this store", new.display())), "{log}");
    for arguments in [&["rotate-key"][..], &["rotate-key", "--data"]] {
        let (status, said) = store.run(arguments, "");
        assert!(
            status == 2 && said.contains("by hand") && !said.contains("recovery code"),
            "{status} {said}"
        );
        assert_eq!(fs::read(&new).expect("read"), key);
        store.check_whole();
    }
    fs::remove_dir(store.key()).expect("removed");
    store.check_whole();
    assert!(fs::read(store.key()).expect("read") == key && !new.exists());
    let (status, said) = store.run(&["rotate-key"], "");
    assert!(status == 0 && said.contains("Done"), "{said}");
    store.check_whole();
}

#[test]
fn a_key_that_is_only_somewhere_else_is_named_before_recovering() {
    let store = Filled::new();
    let elsewhere = store.path().join("elsewhere.key");
    let with_configured = |arguments: &[&str]| {
        let mut command = store.command(arguments);
        command.env("CONNECTORD_SECRET_KEY_FILE", &elsewhere);
        command
    };
    // The configuration names a place, and the key is still beside the data.
    let (status, said) = run(with_configured(&["user", "list"]), "");
    let beside = format!("the right key is in {}", store.key().display());
    assert!(status == 2 && said.contains(&beside) && !said.contains("connectord recover"), "{said}");
    // The key is in its place, and a command is not told of the configuration.
    fs::rename(store.key(), &elsewhere).expect("moved");
    for arguments in [&["user", "list"][..], &["rotate-key"]] {
        let (status, said) = store.run(arguments, "");
        assert_eq!(status, 2, "{said}");
        let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part:?} is not in: {said}"));
        assert!(at("--config") < at("connectord recover"), "{said}");
        assert!(at("CONNECTORD_SECRET_KEY_FILE") < at("Only where it is lost"), "{said}");
    }
    let (status, said) = store.run(&["recover"], "");
    assert!(
        status == 2 && said.contains("--config") && said.contains(&store.key().display().to_string()),
        "{said}"
    );
    // Whoever recovers all the same is told where the key is now.
    let (status, said) = store.run(&["recover"], &store.code);
    assert_eq!(status, 0, "{said}");
    let (status, said) = run(with_configured(&["serve", "--listen", "127.0.0.1:0"]), "");
    assert!(status == 2 && said.contains(&beside), "{said}");
}

#[test]
fn a_key_elsewhere_that_could_not_take_its_place_is_called_the_store_s() {
    let (store, place) = (Filled::new(), TestDirectory::new());
    let elsewhere = place.path().join("stick.key");
    let new = place.path().join("stick.key.new");
    let rotate = |arguments: &[&str]| {
        let mut command = store.command(arguments);
        command.env("CONNECTORD_SECRET_KEY_FILE", &elsewhere);
        run(command, "")
    };
    fs::rename(store.key(), &new).expect("moved");
    fs::create_dir(&elsewhere).expect("created");
    let key = fs::read(&new).expect("read");
    // In the way is something else first, then the same key.
    for part in ["is the one that opens this store", "is this store's key: put it in the place of"] {
        for arguments in [&["rotate-key"][..], &["rotate-key", "--data"]] {
            let (status, said) = rotate(arguments);
            assert!(status == 2 && said.contains(part), "{status} {said}");
            assert!(said.contains(&new.display().to_string()) && !said.contains("recovery code"), "{said}");
            assert_eq!(fs::read(&new).expect("read"), key);
        }
        if elsewhere.is_dir() {
            fs::remove_dir(&elsewhere).expect("removed");
            fs::copy(&new, &elsewhere).expect("copied");
        }
    }
    fs::rename(&new, &elsewhere).expect("moved");
    let (status, said) = rotate(&["rotate-key"]);
    assert!(status == 0 && said.contains("Done"), "{said}");
}
