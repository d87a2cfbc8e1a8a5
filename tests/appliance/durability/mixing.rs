//! An older backup put over newer data is noticed and refused, and nothing is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::process::{self, run, text};
use super::workload::{Random, SHORT_TRAIL, Workload, make_key};
use crate::harness::service::{Service, TestDirectory};

struct Case {
    what: &'static str,
    is_killed: bool,
    /// The whole data directory is put back, not the backup alone.
    is_whole_directory: bool,
    growth_kib: &'static str,
}

const CASES: &[Case] = &[
    Case { what: "after a clean stop", is_killed: false, is_whole_directory: false, growth_kib: "8192" },
    Case { what: "after kill -9", is_killed: true, is_whole_directory: false, growth_kib: "8192" },
    Case {
        what: "with all that lies beside it",
        is_killed: false,
        is_whole_directory: true,
        growth_kib: "8192",
    },
];

const CASES_WITH_NEWER_GENERATIONS: &[Case] = &[
    Case { what: "after a clean stop", is_killed: false, is_whole_directory: false, growth_kib: "16" },
    Case { what: "after kill -9", is_killed: true, is_whole_directory: false, growth_kib: "16" },
    Case {
        what: "with all that lies beside it",
        is_killed: false,
        is_whole_directory: true,
        growth_kib: "16",
    },
];

fn start(directory: &Path, case: &Case) -> Service {
    Service::start_command(directory, &[], |command| {
        command.env("CONNECTORD_STORE_LOG_GROWTH_KIB", case.growth_kib).envs(SHORT_TRAIL);
    })
}

/// The content of the commit log, by path. sled itself may be touched by being opened.
fn commit_log(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory.join("data/sled/commit-log")).expect("listed");
    let paths = entries.map(|entry| entry.expect("listed").path());
    paths.map(|path| (path.clone(), fs::read(path).expect("read"))).collect()
}

#[track_caller]
fn check(case: &Case) {
    let mut random = Random::new(case.what);
    let directory = TestDirectory::new();
    Service::start(directory.path()).stop();
    let workload = Workload::new(1, 20, &mut random);
    let service = start(directory.path(), case);
    let key = make_key(&service);
    workload.write(service.address(), &key, 100);
    service.stop();
    let data = directory.path().join("data");
    let (backed_up, backup) = match case.is_whole_directory {
        true => (data.clone(), directory.path().join("backup")),
        false => (data.join("sled"), directory.path().join("backup-of-sled")),
    };
    run("cp", &["-r", &text(&backed_up), &text(&backup)]).expect("copied");

    let newer = directory.path().join("newer");
    let service = start(directory.path(), case);
    workload.write(service.address(), &key, 100);
    match case.is_killed {
        true => service.kill(),
        false => service.stop(),
    }
    run("cp", &["-r", &text(&data), &text(&newer)]).expect("copied");

    run("cp", &["-r", &format!("{}/.", backup.display()), &text(&backed_up)]).expect("copied");
    let before = commit_log(directory.path());
    for attempt in 1..=2 {
        let said = process::start(directory.path(), &[]).expect_refusal(2, &["older copy"]);
        let paths = said.matches(&text(&data)).count();
        assert!(paths >= 2, "{}, attempt {attempt}: both are named: {said}", case.what);
        assert!(commit_log(directory.path()) == before, "{}: something was changed", case.what);
    }

    // As the refusal says: what was there, put into an empty directory, is all there.
    fs::remove_dir_all(&data).expect("removed");
    fs::create_dir(&data).expect("created");
    for name in ["sled", "secret.key"] {
        run("cp", &["-r", &text(&newer.join(name)), &text(&data.join(name))]).expect("copied");
    }
    let process = process::start(directory.path(), &[]).expect_serving();
    workload.settle(&process.with_key(&key)).unwrap_or_else(|wrong| panic!("{}: {wrong}", case.what));
}

#[test]
fn an_older_copy_over_newer_data_is_refused() {
    for case in CASES {
        check(case);
    }
}

#[test]
fn an_older_copy_over_newer_generations_is_refused() {
    for case in CASES_WITH_NEWER_GENERATIONS {
        check(case);
    }
}
