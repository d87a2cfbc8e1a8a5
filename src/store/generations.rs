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
/// However fast the log grows, no more files than this are kept: at the usual growth, about 2 GiB written in an hour.
const GENERATIONS_MAX: usize = 256;

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
    let temporary = layout.root().join("new-generation");
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
    let removable = files.len().saturating_sub(NEWER_NEEDED);
    for (position, file) in files.iter().take(removable).enumerate() {
        let superseded_at = fs::metadata(&file.path)?.modified()?;
        // A box without a clock battery begins in 1970: a time from then says nothing.
        let is_known = superseded_at > SystemTime::UNIX_EPOCH + CLOCK_KNOWN_AFTER;
        let is_old = is_known && superseded_at.elapsed().is_ok_and(|age| age >= KEPT_AFTER_SUPERSEDED);
        let is_too_many = files.len() - position > GENERATIONS_MAX;
        if !is_old && !is_too_many {
            break;
        }
        fs::remove_file(&file.path)?;
        info!(path = %file.path.display(), "removed a superseded generation of the commit log");
    }
    Ok(())
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
