//! Damaged files: everything comes back, or the start is refused with the file's name; never less than there was.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use super::process::{self, Start};
use super::workload::{Random, SHORT_TRAIL, Workload, count, figure, make_key};
use crate::harness::service::{Service, TestDirectory};

const PAGE_BYTES: u64 = 4096;
const WRITES: usize = 300;

/// How the service ended before the damage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Clean,
    /// Clean, and then sled's own data was lost: the commit log is all there is.
    CleanWithoutSled,
    Killed,
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Truncated,
    ZeroedPage,
    FlippedBit,
}

const DAMAGES: [Damage; 3] = [Damage::Truncated, Damage::ZeroedPage, Damage::FlippedBit];

/// A data directory with several generations, and how it was before the damage.
struct Prepared {
    directory: TestDirectory,
    key: String,
    workload: Workload,
    files: Vec<(PathBuf, Vec<u8>)>,
}

fn prepare(random: &mut Random, ending: Ending) -> Prepared {
    let directory = TestDirectory::new();
    Service::start(directory.path()).stop();
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_STORE_LOG_GROWTH_KIB", "64").envs(SHORT_TRAIL);
    });
    let key = make_key(&service);
    let workload = Workload::new(1, 40, random);
    workload.write(service.address(), &key, WRITES);
    match ending {
        Ending::Clean | Ending::CleanWithoutSled => service.stop(),
        Ending::Killed => service.kill(),
    }
    let files = read_tree(&directory.path().join("data"));
    Prepared { directory, key, workload, files }
}

/// Every file below a directory, with its content.
fn read_tree(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let content = fs::read(&path).expect("read");
                files.push((path, content));
            }
        }
    }
    files.sort();
    files
}

impl Prepared {
    /// Puts every file back. Those beside the backup are written in place: the mark of the last commit knows its inode.
    fn restore(&self) {
        let data = self.directory.path().join("data");
        for directory in ["sled", "set-aside"] {
            let _ = fs::remove_dir_all(data.join(directory));
        }
        for (path, content) in &self.files {
            fs::create_dir_all(path.parent().expect("a directory")).expect("created");
            fs::write(path, content).expect("written");
        }
    }

    /// The files of the backup that hold something; without sled, those of the commit log.
    fn targets(&self, ending: Ending) -> Vec<&(PathBuf, Vec<u8>)> {
        let sled = self.directory.path().join("data/sled");
        let below = if ending == Ending::CleanWithoutSled { sled.join("commit-log") } else { sled };
        self.files.iter().filter(|(path, content)| path.starts_with(&below) && !content.is_empty()).collect()
    }
}

fn damaged(content: &[u8], damage: Damage, random: &mut Random) -> (Vec<u8>, String) {
    let mut bytes = content.to_vec();
    let length = bytes.len() as u64;
    match damage {
        Damage::Truncated => {
            let end = random.below(length);
            bytes.truncate(end as usize);
            (bytes, format!("cut to {end} of {length} bytes"))
        }
        Damage::ZeroedPage => {
            let start = random.below(length.div_ceil(PAGE_BYTES)) * PAGE_BYTES;
            let end = (start + PAGE_BYTES).min(length);
            bytes[start as usize..end as usize].fill(0);
            (bytes, format!("zeroed from {start} to {end} of {length} bytes"))
        }
        Damage::FlippedBit => {
            let (at, bit) = (random.below(length), random.below(8));
            bytes[at as usize] ^= 1 << bit;
            (bytes, format!("bit {bit} of byte {at} of {length} flipped"))
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    refused: usize,
    cut: usize,
}

fn check_all(what: &str, ending: Ending, cases: usize) -> Tally {
    let mut random = Random::new(what);
    let prepared = prepare(&mut random, ending);
    let targets = prepared.targets(ending);
    assert!(targets.len() >= 2, "several generations");
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for case in 0..cases {
        prepared.restore();
        if ending == Ending::CleanWithoutSled {
            fs::remove_file(prepared.directory.path().join("data/sled/db")).expect("removed");
        }
        let (path, content) = targets[case % targets.len()];
        let damage = DAMAGES[case / targets.len() % DAMAGES.len()];
        let (bytes, place) = damaged(content, damage, &mut random);
        fs::write(path, bytes).expect("written");
        if let Err(reason) = judge(&prepared, path, ending, &mut tally) {
            wrong.push(format!("case {case}, {}, {place}: {reason}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} cases; {tally:?}; {}", wrong.len(), wrong.join("\n"));
    tally
}

/// Starts on damaged data and judges what comes of it.
fn judge(prepared: &Prepared, damaged: &Path, ending: Ending, tally: &mut Tally) -> Result<(), String> {
    let (directory, workload) = (prepared.directory.path(), &prepared.workload);
    let process = match process::start(directory, &[]) {
        Start::Serving(process) => process,
        Start::Refused(status, said) => {
            let sled = directory.join("data/sled");
            let named = if damaged.starts_with(sled.join("commit-log")) { damaged } else { &sled };
            if status.signal().is_some() || !matches!(status.code(), Some(2 | 3)) {
                return Err(format!("ended with {status}: {said}"));
            }
            if !said.contains(&named.display().to_string()) {
                return Err(format!("the refusal does not name the file: {said}"));
            }
            tally.refused += 1;
            return Ok(());
        }
    };
    let client = process.with_key(&prepared.key);
    let Err(wrong) = workload.compare(&client, &workload.marks()) else {
        tally.whole += 1;
        return Ok(());
    };
    let log = process.log();
    if ending != Ending::Killed || !log.contains("is cut") || !has_set_aside(directory) {
        return Err(format!("a silent loss: {wrong}\n{log}"));
    }
    workload
        .compare(&client, &workload.marks_before_last())
        .map_err(|wrong| format!("more than the last record: {wrong}\n{log}"))?;
    tally.cut += 1;
    Ok(())
}

fn has_set_aside(directory: &Path) -> bool {
    let aside = directory.join("data/set-aside");
    aside.is_dir() && read_tree(&aside).iter().any(|(_, content)| !content.is_empty())
}

#[test]
fn damage_after_a_clean_stop_is_mended_or_refused() {
    let cases = count(18, 200);
    let tally = check_all("damage after a clean stop", Ending::Clean, cases);
    figure(&format!(
        "damage after a clean stop: {cases} cases, {} whole again, {} refused, 0 panics, 0 silent losses",
        tally.whole, tally.refused
    ));
}

#[test]
fn damage_to_the_log_alone_is_mended_or_refused() {
    let cases = count(9, 100);
    let tally = check_all("damage without sled", Ending::CleanWithoutSled, cases);
    figure(&format!(
        "damage to the commit log with sled lost: {cases} cases, {} whole again, {} refused, 0 panics, 0 silent losses",
        tally.whole, tally.refused
    ));
}

#[test]
fn damage_after_kill_9_is_mended_cut_or_refused() {
    let cases = count(18, 200);
    let tally = check_all("damage after kill -9", Ending::Killed, cases);
    figure(&format!(
        "damage after kill -9: {cases} cases, {} whole again, {} refused, {} with the last record cut and set aside, \
         0 panics, 0 silent losses",
        tally.whole, tally.refused, tally.cut
    ));
}
