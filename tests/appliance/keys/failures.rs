//! Changes of the key while the file system refuses: nothing takes its place too early, and every refusal is survived.

use std::fs;
use std::process::Command;

use super::{Filled, run};
use crate::harness::service::{TestDirectory, clean_environment};
use crate::harness::skip;

/// Runs a command on the store while strace lets calls fail: its status, what it says, and whether any failed. `None` where
/// strace cannot run.
fn run_failing(
    store: &Filled,
    arguments: &[&str],
    calls: &str,
    failure: &str,
) -> Option<(i32, String, bool)> {
    let (inner, trace) = (store.command(arguments), store.path().join("trace.txt"));
    let mut traced = Command::new("strace");
    traced.args([
        "-f",
        "-qq",
        "-e",
        &format!("trace={calls}"),
        "-e",
        &format!("inject={calls}:{failure}"),
        "-o",
    ]);
    traced.arg(&trace).arg(inner.get_program()).args(inner.get_args());
    clean_environment(&mut traced);
    if Command::new("strace").arg("-V").output().is_err() {
        skip("calls that fail while keys are changed: strace is not installed");
        return None;
    }
    let (status, said) = run(traced, "");
    if said.contains("ptrace") {
        skip(&format!("calls that fail while keys are changed: strace cannot run: {said}"));
        return None;
    }
    Some((status, said, fs::read_to_string(trace).expect("a trace").contains("(INJECTED)")))
}

#[test]
fn a_new_key_file_takes_its_place_after_the_log_is_synced() {
    let store = Filled::new();
    let old = fs::read(store.key()).expect("read");
    let (status, said) = store.run(&["rotate-key"], "");
    assert_eq!(status, 0, "{said}");
    // As after a kill before the last step.
    let (key, waiting) = (fs::read(store.key()).expect("read"), store.data().join("secret.key.new"));
    fs::rename(store.key(), &waiting).expect("moved");
    fs::write(store.key(), &old).expect("written");
    // The commit that the new key belongs to may be in memory alone: then the old one is still needed.
    let failed = run_failing(&store, &["user", "list"], "fsync,fdatasync", "error=EIO");
    let Some((status, said, is_failed)) = failed else { return };
    assert!(status == 1 && is_failed, "{status} {said}");
    assert!(fs::read(store.key()).expect("read") == old && fs::read(&waiting).expect("read") == key);
    store.check_whole();
    assert!(fs::read(store.key()).expect("read") == key && !waiting.exists());
}

#[test]
fn a_rename_that_fails_leaves_a_store_that_opens_and_is_not_called_done() {
    for arguments in [&["rotate-key"][..], &["rotate-key", "--data"]] {
        let store = Filled::new();
        let mut refusals = 0;
        for number in 1.. {
            assert!(number < 100, "the command never came to its end");
            let old = fs::read(store.key()).expect("read");
            let failure = format!("error=EBUSY:when={number}");
            let Some((status, said, is_failed)) = run_failing(&store, arguments, "rename", &failure) else {
                return;
            };
            let is_done = said.contains("Done");
            assert_eq!(is_done, status == 0, "{arguments:?} {number}: {status} {said}");
            if is_done {
                let is_new = fs::read(store.key()).expect("read") != old;
                assert!(
                    is_new && !store.data().join("secret.key.new").exists(),
                    "{arguments:?} {number}: {said}"
                );
            }
            refusals += usize::from(!is_done);
            store.check_whole();
            if !is_failed {
                break;
            }
        }
        assert!(refusals >= 2, "the new file and its place: {refusals}");
    }
}

#[test]
fn what_killed_writes_left_goes_at_the_next_opening_and_nothing_else() {
    let (store, place) = (Filled::new(), TestDirectory::new());
    let elsewhere = place.path().join("stick.key");
    fs::copy(store.key(), &elsewhere).expect("copied");
    let (data, part) = (store.data(), ".connectord-part");
    let left = [
        data.join(format!("secret.key{part}")),
        data.join(format!("secret.key.new{part}")),
        data.join(format!("first-start.txt{part}")),
        data.join("new-generation"),
        place.path().join(format!("stick.key{part}")),
        place.path().join(format!("stick.key.new{part}")),
    ];
    let strange =
        [data.join("notes.new"), place.path().join("notes.new"), place.path().join(format!("notes{part}"))];
    for path in left.iter().chain(&strange) {
        fs::write(path, "something").expect("written");
    }
    let mut command = store.command(&["user", "list"]);
    command.env("CONNECTORD_SECRET_KEY_FILE", &elsewhere);
    let (status, said) = run(command, "");
    assert_eq!(status, 0, "{said}");
    for (paths, is_there) in [(&left[..], false), (&strange, true)] {
        for path in paths {
            assert_eq!(path.exists(), is_there, "{}", path.display());
        }
    }
    store.check_whole();
}

#[test]
fn a_place_that_no_file_can_take_is_found_before_a_code_is_shown() {
    for arguments in [&["rotate-key"][..], &["rotate-key", "--data"]] {
        let store = Filled::new();
        let old = fs::read(store.key()).expect("read");
        let failed = run_failing(&store, arguments, "rename", "error=EBUSY");
        let Some((status, said, is_failed)) = failed else { return };
        assert!(status == 1 && is_failed && said.contains("cannot be written there"), "{status} {said}");
        assert!(!said.contains("recovery code") && !said.contains("keep the old"), "{said}");
        assert!(fs::read(store.key()).expect("read") == old && !store.data().join("secret.key.new").exists());
        store.check_whole();
    }
}

#[test]
fn old_ciphertext_that_cannot_be_removed_is_named_and_does_not_keep_the_store_shut() {
    let store = Filled::new();
    let (aside, mark) = (store.data().join("set-aside"), store.data().join("resealing"));
    fs::create_dir(&aside).expect("created");
    fs::write(aside.join("old.log"), "old").expect("written");
    // Directories are emptied by this call, single files go by another.
    let fail = |arguments: &[&str]| run_failing(&store, arguments, "unlinkat", "error=EACCES");
    let Some((status, said, is_failed)) = fail(&["rotate-key", "--data"]) else { return };
    assert!(status == 1 && is_failed && said.contains("the new key counts"), "{status} {said}");
    assert!(said.contains(&format!("{}: Permission denied", aside.display())), "{said}");
    assert!(!said.contains("Done") && mark.exists());
    let (status, said, is_failed) = fail(&["user", "list"]).expect("strace ran before");
    assert!(status == 0 && is_failed && said.contains("admin"), "{status} {said}");
    assert!(mark.exists() && aside.join("old.log").exists());
    store.check_whole();
    assert!(!mark.exists() && !aside.exists(), "what was left goes with the first start that may");
    let log = fs::read_to_string(store.path().join("log.txt")).expect("a log");
    assert!(log.contains("what was sealed with the old data key is removed"), "{log}");
}
