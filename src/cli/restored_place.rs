//! A backup that was put one folder off: refused before anything is made, since a new, empty store would look like success.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::store::{Layout, holds_log};

/// More entries of a directory are not looked at: a data directory has about ten.
const ENTRIES_MAX: usize = 1000;

/// Refuses a directory without a store in which a backup lies in the wrong place.
///
/// # Errors
/// Where the backup is, and where it belongs.
pub(super) fn check(layout: &Layout) -> Result<(), Failure> {
    let (root, sled) = (layout.root().display(), layout.sled());
    let shown = sled.display();
    if layout.root().join("commit-log").exists() {
        return Err(Failure::usage(format!(
            "{root} holds what belongs into {shown}: a backup is the whole folder sled; make that folder and move \
             commit-log and the files beside it there"
        )));
    }
    if layout.holds_store() {
        let inner = sled.join("sled");
        return match holds_log(&inner.join("commit-log")) {
            true => Err(Failure::usage(format!(
                "{shown} holds a store, and so does {}: one was copied into the other. Move the one that is not meant out of {root}",
                inner.display()
            ))),
            false => Ok(()),
        };
    }
    if let Some(found) = child_with(&sled, "commit-log") {
        let found = found.display();
        return Err(Failure::usage(format!(
            "the backup is in {found}, one folder too deep: the service reads {shown}. Move what is in it up: mv {found}/* {shown}/"
        )));
    }
    if let Some(found) = child_with(layout.root(), "commit-log") {
        let found = found.display();
        let first = if sled.exists() { format!("mv {shown} {shown}.empty; ") } else { String::new() };
        return Err(Failure::usage(format!(
            "the backup is in {found}, but the service reads {shown}; rename it: {first}mv {found} {shown}"
        )));
    }
    match child_with(layout.root(), "sled/commit-log") {
        Some(found) => Err(Failure::usage(format!(
            "{root} holds no store, but {} in it does; name that one with --data-dir, or another directory for a new store",
            found.display()
        ))),
        None => Ok(()),
    }
}

/// The first folder in a directory that has a log at this path below it.
fn child_with(directory: &Path, below: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten().take(ENTRIES_MAX).map(|entry| entry.path());
    entries.filter(|path| holds_log(&path.join(below))).min()
}
