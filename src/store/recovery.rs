//! Finds the state that can be proved, from the commit log and sled, either of which may be behind, damaged or gone.
//!
//! The usual way reads the newest generation once: sled is proved against the log's record of its position, and what
//! the log has beyond that is replayed. Where anything is not as it should be, everything that is left is gathered:
//! whole states (of sled and of each generation) and single commits. A state counts if it can be brought to the
//! furthest commit that anything knows of, with every digest right on the way; else the store is damaged.

mod gathering;
mod usual;

use std::io;
use std::path::{Path, PathBuf};

use crate::store::commit_log::{self, Entry, Header, ReadError, Scan};
use crate::store::directory::Layout;
use crate::store::generations::{self, GenerationFile};
use crate::store::sled_trees::{Loaded, SledTrees};
use crate::store::state::{Position, State};
pub(crate) use gathering::gather;
use gathering::prove;
use usual::read_newest;

/// A state that is proved.
pub(crate) struct Recovered {
    pub(crate) store_id: [u8; 16],
    pub(crate) state: State,
    pub(crate) position: Position,
    pub(crate) log: LogState,
    pub(crate) sled: SledState,
}

impl Recovered {
    /// The state at the end of a generation that goes on.
    fn on_log(file: &GenerationFile, header: &Header, scan: &Scan, state: State, sled: SledState) -> Self {
        let log =
            LogState::Goes { file: file.clone(), end_offset: scan.end_offset, torn_bytes: scan.torn_bytes };
        Self { store_id: header.store_id, state, position: scan.position, log, sled }
    }
}

/// What the log needs.
pub(crate) enum LogState {
    /// The newest generation goes on at this offset; behind it are so many bytes of an append that did not end.
    Goes { file: GenerationFile, end_offset: u64, torn_bytes: u64 },
    /// A new generation has to be written, with this number or a higher one; these files are damaged.
    Rewrite { generation: u64, damaged: Vec<PathBuf> },
}

/// What sled needs.
pub(crate) enum SledState {
    /// It is at the position.
    Current(SledTrees),
    /// It has to be filled anew; the reason, where it is not just new.
    Rebuild(Option<String>),
}

/// Why nothing is proved.
#[derive(Debug)]
pub(crate) enum RecoveryError {
    Io(PathBuf, io::Error),
    /// A file was written by a newer version.
    NewerFormat(PathBuf, u32),
    /// Whole files of different times or stores lie together; the sentence names them.
    Mixed(String),
    /// Parts are damaged or missing.
    Damaged(Damage),
}

/// What is damaged, and how much can still be read.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// A sentence for each damaged part.
    pub(crate) parts: Vec<String>,
    /// The last commit up to which everything is proved; `None` where there is no whole state.
    pub(crate) proved: Option<Position>,
    /// The last commit that anything knows of.
    pub(crate) last: u64,
}

fn at(path: &Path) -> impl Fn(io::Error) -> RecoveryError + '_ {
    move |error| RecoveryError::Io(path.to_owned(), error)
}

/// Whether the disk could not read a file: that is damage like any other, and the other half may be whole.
fn is_unreadable(error: &RecoveryError) -> bool {
    let RecoveryError::Io(_, error) = error else { return false };
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

fn read_error(path: &Path) -> impl Fn(ReadError) -> RecoveryError + '_ {
    move |error| match error {
        ReadError::Io(error) => RecoveryError::Io(path.to_owned(), error),
        ReadError::NewerFormat(format) => RecoveryError::NewerFormat(path.to_owned(), format),
    }
}

/// Proves a state.
pub(crate) fn recover(layout: &Layout) -> Result<Recovered, RecoveryError> {
    let files = generations::list(&layout.commit_log()).map_err(at(&layout.commit_log()))?;
    if let Some(newest) = files.last() {
        match read_newest(layout, &files, newest) {
            Ok(Some(recovered)) => return Ok(recovered),
            Ok(None) => {}
            Err(error) if is_unreadable(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let (gathered, sled) = gather(layout)?;
    prove(gathered, sled)
}

fn scan_file(file: &GenerationFile, visit: impl FnMut(Entry)) -> Result<Scan, RecoveryError> {
    commit_log::scan(&file.path, file.generation, visit).map_err(read_error(&file.path))
}

/// Opens sled and reads it. The error has no reason where there is no sled yet.
fn open_sled(layout: &Layout) -> Result<(SledTrees, Loaded), Option<String>> {
    let has_files = layout.holds_sled_files().map_err(|error| Some(error.to_string()))?;
    if !has_files {
        return Err(None);
    }
    let sled = SledTrees::open(&layout.sled()).map_err(Some)?;
    match sled.load() {
        Ok(loaded) => Ok((sled, loaded)),
        Err(reason) => {
            sled.discard();
            Err(Some(reason))
        }
    }
}
