//! Looking at a copy, making one, and bringing what is left of a damaged store into a new one. None of it needs the key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::domain::timestamp::Timestamp;
use crate::random::random_bytes;
use crate::store::commit_log::Header;
use crate::store::directory::{self, Layout};
use crate::store::generations;
use crate::store::opening::{self, OpenError, OpenErrorKind, VAULT_KEY};
use crate::store::reached::{self, Evidence};
use crate::store::recovery;
use crate::store::sled_trees::SledTrees;
use crate::store::state::{Kind, Position, State};

/// Times that a copy of a running service is tried.
const COPY_ATTEMPTS: u32 = 3;
/// What the names of directories for looking into a copy begin with.
pub(super) const SCRATCH_PREFIX: &str = ".connectord-";
/// Size of the blocks in which files are copied.
const COPY_BLOCK_BYTES: usize = 4096;

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The last commit.
    pub commit: u64,
    /// When it was made.
    pub time: Timestamp,
    /// How many connectors there are.
    pub connectors: usize,
    /// How many API keys.
    pub api_keys: usize,
    /// How many users.
    pub users: usize,
    /// How many test jobs.
    pub jobs: usize,
}

/// What could be brought into a new store.
#[derive(Debug)]
pub struct Salvaged {
    /// What the new store holds.
    pub inventory: Inventory,
    /// Commits that are lost.
    pub missing: Vec<RangeInclusive<u64>>,
    /// A sentence for each damaged part.
    pub damage: Vec<String>,
    /// Whether the wrapped key is among what is left: without it no secret can be opened.
    pub has_vault: bool,
}

impl Inventory {
    fn of(state: &State, position: &Position) -> Self {
        let count = |kind: Kind| state.iter().filter(|(key, _)| key.kind == kind).count();
        Self {
            commit: position.sequence,
            time: Timestamp::from_unix_ms(position.time_ms),
            connectors: count(Kind::Connector),
            api_keys: count(Kind::ApiKey),
            users: count(Kind::User),
            jobs: count(Kind::Job),
        }
    }
}

/// A directory that goes when it is dropped.
struct Scratch(Layout);

impl Scratch {
    fn create(parent: &Path) -> Result<Self, OpenError> {
        // A name that nobody can have prepared, and not one that is there: what is in it will be removed.
        let root = parent.join(format!("{SCRATCH_PREFIX}{}", hex::encode(random_bytes::<8>())));
        DirBuilder::new().mode(0o700).create(&root).map_err(|error| cannot_write_in(parent, &error))?;
        Ok(Self(Layout::new(&root)))
    }

    /// Takes a copy of a `sled` folder in, in place of an earlier one.
    fn take_in(&self, source: &Path) -> Result<(), OpenError> {
        let target = self.0.sled();
        let fresh = if target.exists() { fs::remove_dir_all(&target) } else { Ok(()) };
        fresh.and_then(|()| copy(source, &target)).map_err(|error| {
            let (from, to, advice) = (source.display(), target.display(), reading_advice(&error));
            let message = format!("copying {from} to {to} failed: {error}{advice}");
            OpenError { kind: OpenErrorKind::Io, message }
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover is only untidy: its name begins with a dot and says whose it is.
        let _ = fs::remove_dir_all(self.0.root());
    }
}

/// The `sled` folder of a backup or a data directory.
///
/// # Errors
/// The directory holds neither, or both, or must not be looked into.
pub fn find_sled_folder(path: &Path) -> Result<PathBuf, OpenError> {
    let below = path.join("sled");
    let (shown, shown_below) = (path.display(), below.display());
    match (has_commit_log(path)?, has_commit_log(&below)?) {
        (true, false) => Ok(path.to_owned()),
        (false, true) => Ok(below),
        (true, true) => Err(OpenError::refused(format!(
            "{shown} and {shown_below} are two copies, one was put into the other (cp -r does that where its target is there). \
             Move {shown_below} to a place of its own, and name the one that is meant"
        ))),
        (false, false) => Err(OpenError::refused(format!(
            "{shown} is no backup and no data directory: it has no commit-log folder"
        ))),
    }
}

fn has_commit_log(folder: &Path) -> Result<bool, OpenError> {
    let path = folder.join("commit-log");
    match fs::metadata(&path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> OpenError {
    let message = format!("{} cannot be read: {error}{}", path.display(), reading_advice(error));
    OpenError { kind: OpenErrorKind::Io, message }
}

/// A copy may be anybody's: only its owner and root may read it.
fn reading_advice(error: &io::Error) -> &'static str {
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    if is_denied { "; run this as the directory's owner or as root" } else { "" }
}

/// What is to be written has a name that nobody knows: its directory is what can be mended.
fn cannot_write_in(directory: &Path, error: &io::Error) -> OpenError {
    let shown = directory.display();
    let message = if error.kind() == io::ErrorKind::NotFound {
        format!("{shown} is not there; make it first")
    } else {
        format!("nothing can be written in {shown}: {error}; make room there, or name another directory")
    };
    OpenError { kind: OpenErrorKind::Io, message }
}

/// Proves a copy, on a copy of it; the original is only read.
///
/// # Errors
/// What is damaged or missing.
pub fn verify(path: &Path, scratch: &Path) -> Result<Inventory, OpenError> {
    let source = find_sled_folder(path)?;
    // Before the copy: a running service goes on meanwhile.
    let mark = mark_of(path, &source)?;
    let scratch = Scratch::create(scratch)?;
    scratch.take_in(&source)?;
    let recovered = recovery::recover(&scratch.0).map_err(|error| {
        let mut error = OpenError::from(error);
        error.message =
            error.message.replace(&scratch.0.sled().display().to_string(), &source.display().to_string());
        error
    })?;
    if let Some(mark) = mark.filter(|mark| mark.sequence > recovered.position.sequence) {
        return Err(OpenError::damaged(format!(
            "{} ends with commit {}, but {} shows that it had come to commit {}",
            source.display(),
            recovered.position.sequence,
            mark.path.display(),
            mark.sequence
        )));
    }
    Ok(Inventory::of(&recovered.state, &recovered.position))
}

/// Copies a running service's data to a new directory, mends both halves of the copy, and proves it.
///
/// # Errors
/// The destination exists, or no copy could be proved to hold everything that was acknowledged before it began.
pub fn backup(source: &Layout, destination: &Path) -> Result<Inventory, OpenError> {
    if destination.exists() {
        return Err(OpenError::refused(format!("{} exists; name a new directory", destination.display())));
    }
    let source_sled = find_sled_folder(source.root())?;
    let is_inside = |parent: &Path| match (parent.canonicalize(), source_sled.canonicalize()) {
        (Ok(parent), Ok(source)) => parent.starts_with(source),
        _ => false,
    };
    if destination.parent().is_some_and(is_inside) {
        return Err(OpenError::refused(format!(
            "{} lies in what is to be copied; name a directory elsewhere",
            destination.display()
        )));
    }
    let parent =
        destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = Scratch::create(parent)?;
    let mut last_error = None;
    for _ in 0..COPY_ATTEMPTS {
        let marks = reached::find(source, None).map_err(|error| OpenError::io(source.root(), &error))?;
        let needed = marks.map_or(0, |evidence| evidence.sequence);
        scratch.take_in(&source_sled)?;
        match opening::mend(&scratch.0) {
            Ok((state, position)) if position.sequence >= needed => {
                let moved = directory::sync_tree(&scratch.0.sled())
                    .and_then(|()| fs::rename(scratch.0.sled(), destination))
                    .and_then(|()| directory::sync_parent(destination));
                moved.map_err(|error| OpenError::io(destination, &error))?;
                return Ok(Inventory::of(&state, &position));
            }
            Ok((_, position)) => {
                let message =
                    format!("the copy ends with commit {}, but {needed} had been made", position.sequence);
                last_error = Some(OpenError::damaged(message));
            }
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.unwrap_or_else(|| OpenError::damaged("no copy was made".to_owned())))
}

/// Brings what can be read of a damaged store into a new data directory.
///
/// # Errors
/// The destination exists, or nothing at all can be read.
pub fn salvage(path: &Path, destination: &Path) -> Result<Salvaged, OpenError> {
    if destination.exists() {
        return Err(OpenError::refused(format!("{} exists; name a new directory", destination.display())));
    }
    let source = find_sled_folder(path)?;
    let parent =
        destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = Scratch::create(parent)?;
    scratch.take_in(&source)?;
    let (mut gathered, sled) = recovery::gather(&scratch.0)?;
    if let Some(sled) = sled {
        sled.discard();
    }
    let mark = mark_of(path, &source)?.map_or(0, |mark| mark.sequence);
    let last = gathered.last().0.max(mark);
    gathered.count_torn_as_damaged();
    let damage = gathered.damage_sentences();
    let Some((store_id, _)) = gathered.store_id else {
        return Err(OpenError::damaged(format!("nothing of {} can be read", source.display())));
    };
    let (mut state, mut position) = match gathered.furthest() {
        Some((state, position, _)) => (state, position),
        None => gathered.most_of_a_state().unwrap_or_default(),
    };
    let mut missing = Vec::new();
    let first_later = position.sequence + 1;
    for (sequence, (commit, changes, _)) in gathered.commits.range(first_later..) {
        if *sequence > position.sequence + 1 {
            missing.push(position.sequence + 1..=*sequence - 1);
        }
        changes.iter().cloned().for_each(|change| drop(state.apply(change)));
        position = *commit;
    }
    if last > position.sequence {
        missing.push(position.sequence + 1..=last);
    }
    let position = state.position(last.max(position.sequence), position.time_ms);
    let target = Layout::new(destination);
    let header = Header { store_id, generation: 1, base: position };
    let written = directory::create_private_directory(&target.commit_log())
        .and_then(|()| generations::create(&target, &header, &state))
        .and_then(|_| directory::sync_names(&target));
    written.map_err(|error| OpenError::io(destination, &error))?;
    let filled = SledTrees::open(&target.sled()).and_then(|mut sled| {
        sled.bind(store_id);
        sled.fill(&state, &position)?;
        sled.close(&target.sled())
    });
    filled.map_err(OpenError::damaged)?;
    let scratch_path = scratch.0.sled().display().to_string();
    let damage =
        damage.iter().map(|part| part.replace(&scratch_path, &source.display().to_string())).collect();
    let has_vault = state.get(VAULT_KEY).is_some();
    Ok(Salvaged { inventory: Inventory::of(&state, &position), missing, damage, has_vault })
}

/// Copies a directory of a running service: a file that vanishes meanwhile was one of sled's own, and is left out.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    directory::create_private_directory(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let copied = match entry.file_type()? {
            kind if kind.is_dir() => copy(&from, &to),
            kind if kind.is_file() => copy_file(&from, &to),
            _ => Ok(()),
        };
        match copied {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Copies a file, whatever its rights were. A block that the disk cannot read becomes zeros: its checksum will tell.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut block = vec![0; COPY_BLOCK_BYTES];
    let mut offset = 0;
    loop {
        let length = match source.read_at(&mut block, offset) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                let left = source.metadata()?.len().saturating_sub(offset);
                if left == 0 {
                    return Ok(());
                }
                let length = left.min(COPY_BLOCK_BYTES as u64) as usize;
                block[..length].fill(0);
                length
            }
            Err(error) => return Err(error),
        };
        target.write_all_at(&block[..length], offset)?;
        offset += length as u64;
    }
}

/// The mark beside a `sled` folder, where the path is a data directory.
fn mark_of(path: &Path, source: &Path) -> Result<Option<Evidence>, OpenError> {
    if source == path {
        return Ok(None);
    }
    reached::find(&Layout::new(path), None).map_err(|error| OpenError::io(path, &error))
}
