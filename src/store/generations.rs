//! The files of the commit log: made whole before they can be seen, superseded by newer ones, removed much later.
//!
//! A copy of the directory may take long. So an older generation stays for an hour after it was superseded: a copy
//! that listed it still finds it, and holds everything that was acknowledged before the copy began.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use crate::store::commit_log::{self, Header};
use crate::store::directory::{self, Layout};
use crate::store::state::State;

/// A superseded generation stays at least this long, for slow copies.
const KEPT_AFTER_SUPERSEDED: Duration = Duration::from_secs(3600);
/// Times in the first years after 1970 come from a clock that was not set.
const CLOCK_KNOWN_AFTER: Duration = Duration::from_secs(30 * 365 * 86_400);
/// Newer generations that have to exist before one goes.
const NEWER_NEEDED: usize = 2;
/// However fast the log grows, no more files and bytes than these are kept beside the newest.
const GENERATIONS_MAX: usize = 256;
const KEPT_MAX_BYTES: u64 = 2 << 30;

/// A file of the commit log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GenerationFile {
    pub(crate) generation: u64,
    pub(crate) path: PathBuf,
}

/// The open end of the newest generation.
pub(crate) struct LogEnd {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) generation: u64,
    pub(crate) offset: u64,
}

/// The generations in a directory, oldest first.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<GenerationFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".log"));
        if let Some(generation) = name.and_then(|number| number.parse().ok()) {
            files.push(GenerationFile { generation, path });
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Writes a new generation: whole and synced before its name appears in the log's directory, so that no copy and no
/// crash ever sees a part of it.
///
/// # Errors
/// What the file system says. The caller has to look whether the name appeared all the same: then the old generation must
/// not be appended to any more.
pub(crate) fn create(layout: &Layout, header: &Header, state: &State) -> io::Result<LogEnd> {
    let path = layout.commit_log().join(commit_log::file_name(header.generation));
    let content = commit_log::encode_generation(header, state);
    if path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let temporary = layout.new_generation();
    directory::remove_if_present(&temporary)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all_at(&content, 0).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| {
        let _ = directory::remove_if_present(&temporary);
    })?;
    directory::sync_parent(&path).inspect_err(|_| {
        let _ = directory::remove_if_present(&path);
    })?;
    Ok(LogEnd { file, path, generation: header.generation, offset: content.len() as u64 })
}

/// Notes the moment on a file that will not be appended to any more; its age is counted from then.
pub(crate) fn mark_superseded(log: &LogEnd) {
    if let Err(error) = log.file.set_modified(SystemTime::now()) {
        warn!(path = %log.path.display(), %error, "the time of a superseded log could not be set");
    }
}

/// Removes generations older than the live one that no copy can need any more.
pub(crate) fn remove_old(layout: &Layout, live_generation: u64) -> io::Result<()> {
    let mut files = list(&layout.commit_log())?;
    files.retain(|file| file.generation <= live_generation);
    let kept = files.iter().map(|file| Kept::read(&file.path)).collect::<io::Result<Vec<Kept>>>()?;
    for file in files.iter().take(count_removable(&kept)) {
        fs::remove_file(&file.path)?;
        info!(path = %file.path.display(), "removed a superseded generation of the commit log");
    }
    Ok(())
}

/// What decides whether a generation stays.
#[derive(Debug, Clone, Copy)]
struct Kept {
    length_bytes: u64,
    /// Whether it was superseded so long ago that no copy reads it any more.
    is_old: bool,
}

impl Kept {
    fn read(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let superseded_at = metadata.modified()?;
        // A box without a clock battery begins in 1970: a time from then says nothing.
        let is_known = superseded_at > SystemTime::UNIX_EPOCH + CLOCK_KNOWN_AFTER;
        let is_old = is_known && superseded_at.elapsed().is_ok_and(|age| age >= KEPT_AFTER_SUPERSEDED);
        Ok(Self { length_bytes: metadata.len(), is_old })
    }
}

/// How many of these go, the oldest first: those that are old, and those beyond the limits. The newest stay in any case.
fn count_removable(kept: &[Kept]) -> usize {
    let mut left_bytes: u64 = kept.iter().map(|file| file.length_bytes).sum();
    let candidates = kept.iter().take(kept.len().saturating_sub(NEWER_NEEDED)).enumerate();
    candidates
        .take_while(|(position, file)| {
            let is_too_much = kept.len() - position > GENERATIONS_MAX || left_bytes > KEPT_MAX_BYTES;
            left_bytes -= file.length_bytes;
            file.is_old || is_too_much
        })
        .count()
}

/// Makes room on a full disk: removes every generation older than the live one. Says whether there was any.
pub(crate) fn make_room(layout: &Layout, live_generation: u64) -> bool {
    let Ok(files) = list(&layout.commit_log()) else { return false };
    let mut is_freed = false;
    for file in files.iter().filter(|file| file.generation < live_generation) {
        if fs::remove_file(&file.path).is_ok() {
            warn!(path = %file.path.display(), "the disk is full: removed a superseded generation of the commit log");
            is_freed = true;
        }
    }
    is_freed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(u64, bool)], expected: usize) {
        let kept: Vec<Kept> =
            files.iter().map(|&(length_bytes, is_old)| Kept { length_bytes, is_old }).collect();
        assert_eq!(count_removable(&kept), expected);
    }

    #[test]
    fn old_generations_go_and_young_ones_beyond_the_limits() {
        const GIB: u64 = 1 << 30;
        check(&[], 0);
        check(&[(1, true), (1, true)], 0);
        check(&[(1, true), (1, false), (1, false)], 1);
        check(&[(1, false), (1, true), (1, false), (1, false)], 0);
        check(&[(1, true), (1, true), (1, true), (1, true)], 2);
        check(&[(1, false); GENERATIONS_MAX], 0);
        check(&[(1, false); GENERATIONS_MAX + 3], 3);
        check(&[(GIB, false), (GIB, false), (GIB, false), (1, false)], 2);
        check(&[(2 * GIB, false), (1, false), (1, false), (1, false)], 1);
        // However large, the newest two stay.
        check(&[(9 * GIB, false), (9 * GIB, false), (9 * GIB, false)], 1);
    }
}
