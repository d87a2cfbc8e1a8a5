//! A copy of the sled directory, made while the service writes, is a backup.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::process;
use super::workload::{Random, SHORT_TRAIL, Until, Workload, count, figure, make_key};
use crate::harness::service::{Service, TestDirectory};

const CHUNK_BYTES: usize = 256 * 1024;

/// Copies a directory to a place that is not there yet; the number is that of the copy.
type Copier = fn(&Path, &Path, usize);

/// Copies again and again under four writers; each copy has to hold what was acknowledged before it began.
fn check(
    what: &str,
    copier: Copier,
    copies: usize,
    connectors_each: usize,
    variables: &[(&str, &str)],
) -> (usize, usize) {
    let mut random = Random::new(what);
    let directory = TestDirectory::new();
    let sled = directory.path().join("data/sled");
    Service::start(directory.path()).stop();
    let service = Service::start_command(directory.path(), &[], |command| {
        command.envs(variables.iter().copied());
    });
    let key = make_key(&service);
    let workload = Workload::new(4, connectors_each, &mut random);
    workload.seed(service.address(), &key);
    let mut generations = BTreeSet::new();
    let mut generations_during_copies = 0;
    for number in 0..copies {
        let restored = TestDirectory::new();
        let data = restored.path().join("data");
        fs::create_dir(&data).expect("created");
        let warm_up = Duration::from_millis(20 + random.below(200));
        let marks = workload.run(service.address(), &key, Until::Told, || {
            std::thread::sleep(warm_up);
            generations.extend(logs(&sled));
            let marks = workload.marks();
            copier(&sled, &data.join("sled"), number);
            marks
        });
        let before = generations.len();
        generations.extend(logs(&sled));
        generations_during_copies += generations.len() - before;
        fs::copy(directory.path().join("data/secret.key"), data.join("secret.key")).expect("copied");
        let process = process::start(restored.path(), &[]).expect_serving();
        let compared = workload.compare(&process.with_key(&key), &marks);
        compared.unwrap_or_else(|wrong| panic!("copy {number}: {wrong}\n{}", process.log()));
        drop(process);
        workload
            .settle(&service.with_key(&key))
            .unwrap_or_else(|wrong| panic!("the service itself: {wrong}"));
    }
    let acknowledged = workload.acknowledged_in_total();
    service.stop();
    (acknowledged, generations_during_copies)
}

fn logs(sled: &Path) -> Vec<String> {
    let names = fs::read_dir(sled.join("commit-log")).expect("listed");
    let names = names.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".log")).collect()
}

/// `cp -r`, which may say that one of sled's own files vanished.
fn copy_at_full_speed(from: &Path, to: &Path, _number: usize) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).env("LC_ALL", "C").output().expect("cp runs");
    let said = String::from_utf8_lossy(&copied.stderr).into_owned();
    for line in said.lines() {
        let is_known = line.ends_with("No such file or directory") && !line.contains("commit-log");
        assert!(is_known, "cp: {line}");
    }
}

/// A slow backup program: file by file, never faster than the bound.
fn copy_throttled(from: &Path, to: &Path, number: usize) {
    copy_slowly(from, to, number, 20_000_000);
}

/// Slow enough that the generation changes several times on the way.
fn copy_very_slowly(from: &Path, to: &Path, number: usize) {
    copy_slowly(from, to, number, 4_000_000);
}

/// Every second copy lists the whole tree first, as rsync does; the others list a directory when its turn comes, as cp does.
fn copy_slowly(from: &Path, to: &Path, number: usize, bytes_per_second: u64) {
    let started = Instant::now();
    let mut copied_bytes = 0;
    let mut wait = |length: usize| {
        copied_bytes += length as u64;
        let due = Duration::from_secs_f64(copied_bytes as f64 / bytes_per_second as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    };
    let mut waiting = VecDeque::from([from.to_owned()]);
    let mut files = Vec::new();
    while let Some(directory) = waiting.pop_front() {
        fs::create_dir(to.join(directory.strip_prefix(from).expect("below"))).expect("created");
        for entry in fs::read_dir(&directory).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() { waiting.push_back(path) } else { files.push(path) }
        }
        if number % 2 == 1 || waiting.is_empty() {
            for path in files.drain(..) {
                copy_file(&path, &to.join(path.strip_prefix(from).expect("below")), &mut wait);
            }
        }
    }
}

fn copy_file(from: &Path, to: &Path, wait: &mut dyn FnMut(usize)) {
    let is_ours = from.parent().is_some_and(|directory| directory.ends_with("commit-log"));
    let mut source = match File::open(from) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_ours => return,
        opened => opened.unwrap_or_else(|error| panic!("{}: {error}", from.display())),
    };
    let mut target = File::create(to).expect("created");
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = source.read(&mut chunk).expect("read");
        if length == 0 {
            break;
        }
        target.write_all(&chunk[..length]).expect("written");
        wait(length);
    }
}

#[test]
fn a_live_copy_at_full_speed_is_a_backup() {
    let copies = count(3, 60);
    let (acknowledged, _) = check("live copy", copy_at_full_speed, copies, 100, &SHORT_TRAIL);
    figure(&format!("live copy, cp -r: {copies} copies, {acknowledged} acknowledged writes, 0 lost"));
}

#[test]
fn a_slow_live_copy_is_a_backup() {
    let copies = count(3, 60);
    let (acknowledged, _) = check("slow live copy", copy_throttled, copies, 100, &SHORT_TRAIL);
    figure(&format!("live copy, 20 MB/s: {copies} copies, {acknowledged} acknowledged writes, 0 lost"));
}

#[test]
fn a_live_copy_over_changes_of_the_generation_is_a_backup() {
    // A new store for every few copies: no more than 256 generations are kept, however young.
    let (stores, copies) = (count(1, 10), count(3, 3));
    let variables = [("CONNECTORD_STORE_LOG_GROWTH_KIB", "64"), SHORT_TRAIL[0], SHORT_TRAIL[1]];
    let (mut acknowledged, mut generations) = (0, 0);
    for _ in 0..stores {
        let checked = check("changing generations", copy_very_slowly, copies, 15, &variables);
        acknowledged += checked.0;
        generations += checked.1;
    }
    let copies = stores * copies;
    assert!(generations > 0, "no generation changed during a copy");
    figure(&format!(
        "generation change during a copy: {copies} copies, {generations} changes, {acknowledged} acknowledged writes, 0 lost"
    ));
}
