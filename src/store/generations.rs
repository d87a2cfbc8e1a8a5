//! The files of the commit log: made whole before they can be seen, superseded by newer ones, removed much later.
//!
//! A copy of the directory may take long. So an older generation stays for an hour after it was superseded: a copy
//! that listed it still finds it, and holds everything that was acknowledged before the copy began.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use crate::store::commit_log::{self, Header};
use crate::store::directory::{self, Layout};
use crate::store::state::State;

/// A superseded generation stays at least this long, for slow copies.
const KEPT_AFTER_SUPERSEDED: Duration = Duration::from_secs(3600);
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
pub(crate) fn create(layout: &Layout, header: &Header, state: &State) -> io::Result<LogEnd> {
    let path = layout.commit_log().join(commit_log::file_name(header.generation));
    let content = commit_log::encode_generation(header, state);
    directory::write_private_file_by_way_of(&layout.root().join("new-generation"), &path, &content)?;
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    Ok(LogEnd { file, path, generation: header.generation, offset: content.len() as u64 })
}

/// Notes the moment on a file that will not be appended to any more; its age is counted from then.
pub(crate) fn mark_superseded(log: &LogEnd) {
    if let Err(error) = log.file.set_modified(SystemTime::now()) {
        warn!(path = %log.path.display(), %error, "the time of a superseded log could not be set");
    }
}

/// Removes generations that no copy can need any more.
pub(crate) fn remove_old(layout: &Layout) -> io::Result<()> {
    let files = list(&layout.commit_log())?;
    let removable = files.len().saturating_sub(NEWER_NEEDED);
    for (position, file) in files.iter().take(removable).enumerate() {
        let superseded_at = fs::metadata(&file.path)?.modified()?;
        let is_old = superseded_at.elapsed().is_ok_and(|age| age >= KEPT_AFTER_SUPERSEDED);
        let is_too_many = files.len() - position > GENERATIONS_MAX;
        if !is_old && !is_too_many {
            break;
        }
        fs::remove_file(&file.path)?;
        info!(path = %file.path.display(), "removed a superseded generation of the commit log");
    }
    Ok(())
}

/// Makes room on a full disk: removes every generation but the newest. Says whether there was any.
pub(crate) fn make_room(layout: &Layout) -> bool {
    let Ok(files) = list(&layout.commit_log()) else { return false };
    let mut is_freed = false;
    for file in files.iter().rev().skip(1).rev() {
        if fs::remove_file(&file.path).is_ok() {
            warn!(path = %file.path.display(), "the disk is full: removed a superseded generation of the commit log");
            is_freed = true;
        }
    }
    is_freed
}
