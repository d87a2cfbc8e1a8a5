//! `rotate-key`, with and without `--data`: what opens afterwards, what is left of the old ciphertext, and kill -9.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Filled, copy, shown_code};
use crate::durability::workload::{Random, count, figure};
use crate::harness::service::{binary, command, wait_until};
use crate::harness::{self, service::TestDirectory};

/// So many bytes in a row of an old sealed value are found again by nobody's chance.
const WINDOW_BYTES: usize = 16;
/// The calls that change what is on disk, for strace.
const CHANGING_CALLS: &[&str] =
    &["rename", "unlink", "unlinkat", "pwrite64", "ftruncate", "mkdir", "fsync", "fdatasync"];

impl Filled {
    fn rotate(&mut self, arguments: &[&str]) -> String {
        let (status, said) = self.run(&[&["rotate-key"], arguments].concat(), "");
        assert!(status == 0 && said.contains("Done"), "{said}");
        self.code = shown_code(&said);
        said
    }

    /// A copy of the sled folder with this key file or code: whether it opens.
    fn opens(&self, sled: &Path, key: Option<&[u8]>, code: &str) -> bool {
        let directory = TestDirectory::new();
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("created");
        copy(sled, &data.join("sled"));
        let copied = Filled { directory, contents: self.contents.clone(), code: String::new() };
        let (status, said) = match key {
            Some(key) => {
                fs::write(copied.key(), key).expect("written");
                copied.run(&["user", "list"], "")
            }
            None => copied.run(&["recover"], code),
        };
        assert!(status == 0 || status == 2, "{said}");
        if status == 0 {
            copied.check_whole();
        }
        status == 0
    }
}

/// Every run of bytes of the sealed values in the commit log.
fn sealed_windows(sled: &Path) -> HashSet<Vec<u8>> {
    let mut windows = HashSet::new();
    for entry in fs::read_dir(sled.join("commit-log")).expect("a directory") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("read");
        for at in 0..bytes.len().saturating_sub(6) {
            if !bytes[at..].starts_with(b"sealed") {
                continue;
            }
            let value = bytes[at..].splitn(4, |byte| *byte == b'"').nth(2).unwrap_or_default();
            windows.extend(value.windows(WINDOW_BYTES).map(<[u8]>::to_vec));
        }
    }
    windows
}

fn files_with(directory: &Path, windows: &HashSet<Vec<u8>>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, windows));
        } else if holds_any(&fs::read(&path).expect("read"), windows) {
            found.push(path);
        }
    }
    found
}

/// Sealed values are base64: only among such bytes is it worth looking.
fn holds_any(bytes: &[u8], windows: &HashSet<Vec<u8>>) -> bool {
    let mut run_length = 0;
    bytes.iter().enumerate().any(|(at, byte)| {
        run_length =
            if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') { run_length + 1 } else { 0 };
        run_length >= WINDOW_BYTES && windows.contains(&bytes[at + 1 - WINDOW_BYTES..=at])
    })
}

#[test]
fn a_new_key_file_and_code_take_the_place_of_the_old_ones() {
    let mut store = Filled::new();
    let (old_key, old_code) = (fs::read(store.key()).expect("read"), store.code.clone());
    let backup = store.path().join("backup");
    copy(&store.data().join("sled"), &backup);
    let said = store.rotate(&[]);
    let new_key = fs::read(store.key()).expect("read");
    assert!(old_key != new_key && old_code != store.code);
    assert!(said.contains(&store.key().display().to_string()) && said.contains("fingerprint"), "{said}");
    assert!(!store.data().join("secret.key.new").exists());
    store.check_whole();
    let sled = store.data().join("sled");
    assert!(store.opens(&sled, Some(&new_key), "") && store.opens(&sled, None, &store.code));
    assert!(!store.opens(&sled, Some(&old_key), "") && !store.opens(&sled, None, &old_code));
    // What was copied before still opens with what opened it then.
    assert!(store.opens(&backup, Some(&old_key), "") && store.opens(&backup, None, &old_code));
    let first_start = fs::read_to_string(store.data().join("first-start.txt")).unwrap_or_default();
    assert!(!first_start.contains(&old_code));
}

#[test]
fn a_key_file_elsewhere_is_replaced_through_a_link_and_strange_files_beside_it_are_left() {
    let place = TestDirectory::new();
    let (stick, link) = (place.path().join("stick.key"), place.path().join("link.key"));
    let mut store = Filled::new();
    fs::rename(store.key(), &stick).expect("moved");
    std::os::unix::fs::symlink(&stick, &link).expect("linked");
    let mine = place.path().join("stick.key.new");
    fs::write(&mine, "mine").expect("written");
    let rotate = |store: &Filled| {
        let mut command = store.command(&["rotate-key"]);
        command.env("CONNECTORD_SECRET_KEY_FILE", &link);
        super::run(command, "")
    };
    let (status, said) = rotate(&store);
    assert!(status == 2 && said.contains(&mine.display().to_string()), "{said}");
    assert_eq!(fs::read_to_string(&mine).expect("read"), "mine");
    fs::remove_file(&mine).expect("removed");
    let old_key = fs::read(&stick).expect("read");
    let (status, said) = rotate(&store);
    assert_eq!(status, 0, "{said}");
    assert!(link.is_symlink() && fs::read(&stick).expect("read") != old_key && !store.key().exists());
    store.code = shown_code(&said);
    fs::rename(&stick, store.key()).expect("moved");
    store.check_whole();
}

#[test]
fn the_file_of_the_first_start_keeps_the_password_and_loses_the_old_code() {
    let directory = TestDirectory::new();
    crate::harness::service::Service::start_plain(directory.path(), &[]).stop();
    let path = directory.path().join("data/first-start.txt");
    let before = fs::read_to_string(&path).expect("read");
    let code = shown_code(&before);
    let data = directory.path().join("data").display().to_string();
    let (status, said) = super::run(command(&["rotate-key", "--data-dir", &data]), "");
    assert_eq!(status, 0, "{said}");
    let after = fs::read_to_string(&path).expect("read");
    assert!(after.contains("password: ") && before.contains(&after) && !after.contains(&code), "{after}");
    // As after a kill just before that; a start does not show a code for long that opens nothing.
    fs::write(&path, &before).expect("written");
    let start = || crate::harness::service::Service::start_plain(directory.path(), &[]).stop();
    start();
    assert_eq!(fs::read_to_string(&path).expect("read"), after);
    // One that counts stays.
    let counts = before.replace(&code, &shown_code(&said));
    fs::write(&path, &counts).expect("written");
    start();
    assert_eq!(fs::read_to_string(&path).expect("read"), counts);
    // What cannot be changed is a warning: the new keys count.
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("created");
    let (status, said) = super::run(command(&["rotate-key", "--data-dir", &data]), "");
    assert!(status == 0 && said.contains("Done") && said.contains("cannot be changed"), "{status} {said}");
}

#[test]
fn what_rotate_key_said_is_taken_as_the_file_with_the_code() {
    let store = Filled::new();
    let (status, said) = store.run(&["rotate-key"], "");
    assert_eq!(status, 0, "{said}");
    let file = store.path().join("code.txt");
    let code = shown_code(&said);
    // As it was said, with other words around the code, and as somebody notes it down.
    for text in [said, format!("my code:\n\n    {code}\n\nkeep it\n"), format!("\n{}\n", code.to_lowercase())]
    {
        fs::remove_file(store.key()).expect("removed");
        fs::write(&file, &text).expect("written");
        let (status, said) = store.run(&["recover", "--code-file", &file.display().to_string()], "");
        assert_eq!(status, 0, "{text} {said}");
        store.check_whole();
    }
}

#[test]
fn a_new_data_key_leaves_nothing_of_the_old_ciphertext() {
    let mut store = Filled::new();
    let sled = store.data().join("sled");
    // Superseded generations and damaged files, as years of use leave them.
    let log = sled.join("commit-log/0000000000000001.log");
    let mut bytes = fs::read(&log).expect("read");
    bytes.extend_from_within(bytes.len() - 200..bytes.len() - 1);
    fs::write(&log, &bytes).expect("written");
    store.check_whole();
    fs::remove_file(sled.join("db")).expect("removed");
    store.check_whole();
    fs::write(store.data().join("sync-failed"), "as a disk would").expect("written");
    store.check_whole();
    let scratch = store.data().join(".connectord-0011223344556677");
    copy(&sled, &scratch);
    let old = sealed_windows(&sled);
    assert!(old.len() > 1000 && files_with(&store.data(), &old).len() > 3, "{} runs", old.len());
    assert!(store.data().join("set-aside").exists());
    let (old_key, old_code) = (fs::read(store.key()).expect("read"), store.code.clone());
    let said = store.rotate(&["--data"]);
    assert!(said.contains("sealed anew"), "{said}");
    for name in ["set-aside", "resealing", "secret.key.new", "new-generation"] {
        assert!(!store.data().join(name).exists(), "{name}");
    }
    assert_eq!(files_with(&store.data(), &old), Vec::<PathBuf>::new());
    let new_key = fs::read(store.key()).expect("read");
    assert!(!store.opens(&sled, Some(&old_key), "") && !store.opens(&sled, None, &old_code));
    assert!(store.opens(&sled, Some(&new_key), "") && store.opens(&sled, None, &store.code));
    store.check_whole();
    assert_eq!(files_with(&store.data(), &old), Vec::<PathBuf>::new(), "also after a start");
    // Again, and the copy proves itself without any key.
    store.rotate(&["--data"]);
    let (status, said) = super::run(command(&["verify", &store.data().display().to_string()]), "");
    assert!(status == 0 && said.contains("8 connectors"), "{said}");
    store.check_whole();
}

/// After a kill: it opens with what is there, nothing is lost, and no old ciphertext stays once the new key counts.
#[track_caller]
fn check_after_kill(store: &Filled, old_key: &[u8], old: &HashSet<Vec<u8>>, moment: &str) -> bool {
    store.check_whole();
    let is_new = fs::read(store.key()).expect("read") != old_key;
    for entry in fs::read_dir(store.data()).expect("a directory") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let is_left = name == "resealing" || name.contains("new") || name.ends_with(".connectord-part");
        assert!(!is_left, "{moment}: {name} is left");
    }
    if is_new {
        let left = files_with(&store.data(), old);
        assert!(left.is_empty(), "{moment}: {left:?}");
    }
    is_new
}

#[test]
fn kill_9_of_a_change_of_the_data_key_loses_nothing() {
    let mut store = Filled::new();
    let mut random = Random::new("kill -9 of rotate-key");
    let started = Instant::now();
    store.rotate(&["--data"]);
    let usual_ms = u64::try_from(started.elapsed().as_millis()).expect("short").max(20);
    let (kills, mut new_keys) = (count(8, 100), 0);
    for round in 0..kills {
        let old_key = fs::read(store.key()).expect("read");
        let old = sealed_windows(&store.data().join("sled"));
        let mut child = store
            .command(&["rotate-key", "--data"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let moment = Duration::from_millis(random.below(usual_ms * 5 / 4));
        std::thread::sleep(moment);
        let _ = child.kill();
        child.wait().expect("waited");
        new_keys +=
            usize::from(check_after_kill(&store, &old_key, &old, &format!("round {round}, {moment:?}")));
    }
    figure(&format!(
        "rotate-key --data: {kills} kills at random moments, {new_keys} with the new key, 0 lost"
    ));
}

#[test]
fn kill_9_before_each_change_of_a_file_loses_nothing() {
    let mut kills = 0;
    for arguments in [&["--data"][..], &[]] {
        let store = Filled::new();
        let mut sides = HashSet::new();
        for call in CHANGING_CALLS {
            for number in (1..).step_by(count(4, 1)) {
                assert!(number < 1000, "the command never came to its end");
                let old_key = fs::read(store.key()).expect("read");
                let old = match arguments.is_empty() {
                    false => sealed_windows(&store.data().join("sled")),
                    true => HashSet::new(),
                };
                let Some(is_killed) = rotate_until(&store, arguments, call, number) else { return };
                let moment = format!("{arguments:?}, killed before {call} {number}");
                let is_new = check_after_kill(&store, &old_key, &old, &moment);
                if !is_killed {
                    assert!(is_new, "{moment}");
                    break;
                }
                kills += 1;
                sides.insert(is_new);
            }
        }
        assert_eq!(sides.len(), 2, "{arguments:?}: both sides of the moment when it counts were met");
    }
    figure(&format!("rotate-key: {kills} kills, each before another change of a file, 0 lost"));
}

/// Runs the command under strace, which kills it as one of its threads makes this call for the so manieth time. Says whether
/// it came to that; `None` where strace cannot run.
fn rotate_until(store: &Filled, arguments: &[&str], call: &str, number: usize) -> Option<bool> {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    traced.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
    traced.arg(binary()).args(["rotate-key", "--data-dir"]).arg(store.data()).args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CONNECTORD_"))
    {
        traced.env_remove(name);
    }
    traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let Ok(child) = traced.spawn() else {
        harness::skip("kill -9 before each change of a file: strace is not installed");
        return None;
    };
    let output = child.wait_with_output().expect("waited");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("ptrace") {
        harness::skip(&format!("kill -9 before each change of a file: strace cannot run: {said}"));
        return None;
    }
    // Threads of a process that was killed may hold the lock for a moment longer.
    let lock = fs::File::open(store.data().join("lock")).expect("a lock file");
    wait_until("the lock to be free", || lock.try_lock().is_ok());
    assert!(output.status.code().is_none_or(|code| code == 0 || code == 137), "{:?} {said}", output.status);
    Some(!output.status.success())
}
