//! How far a directory had come: what notices that an older copy was put over newer data.
//!
//! Two marks. `DATA/reached`, beside the backup, holds the last synced sequence and is rewritten with every batch, so
//! it also speaks after a crash; it holds its own inode number and time of birth, so that a copy of it says nothing. And
//! inside the backup, an empty file `commit-log/reached-SEQUENCE`, set when the store is opened and closed: its name is
//! never overwritten by an older copy. Neither is synced by itself: a mark may lag behind the log, never be ahead.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use tracing::warn;

use crate::store::directory::{self, Layout};

const NAME_PREFIX: &str = "reached-";

/// The mark beside the backup, open for rewriting.
pub(crate) struct ReachedMark {
    file: File,
    store_id: String,
    identity: String,
}

/// Proof that the directory held a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) sequence: u64,
    /// The file that says so.
    pub(crate) path: PathBuf,
}

impl ReachedMark {
    /// Opens the mark, or makes it.
    pub(crate) fn open(layout: &Layout, store_id: [u8; 16]) -> io::Result<Self> {
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(layout.reached())?;
        let identity = identity_of(&file.metadata()?);
        Ok(Self { file, store_id: hex::encode(store_id), identity })
    }

    /// Notes a sequence; it is in the log and synced.
    pub(crate) fn note(&self, sequence: u64) {
        let line = format!("{} {sequence:020} {}\n", self.store_id, self.identity);
        if let Err(error) = self.file.write_all_at(line.as_bytes(), 0) {
            warn!(%error, "the mark of the last commit could not be written; nothing is lost");
        }
    }
}

/// The furthest that the marks prove: of this store, or of whatever store is there.
pub(crate) fn find(layout: &Layout, store_id: Option<[u8; 16]>) -> io::Result<Option<Evidence>> {
    let beside = read_beside(layout, store_id);
    let inside = names(layout)?.into_iter().max_by_key(|evidence| evidence.sequence);
    Ok([beside, inside].into_iter().flatten().max_by_key(|evidence| evidence.sequence))
}

/// Sets the mark inside the backup to a sequence, and removes older ones.
pub(crate) fn set_inside(layout: &Layout, sequence: u64) -> io::Result<()> {
    let path = layout.commit_log().join(format!("{NAME_PREFIX}{sequence:020}"));
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    for other in names(layout)?.into_iter().filter(|other| other.sequence < sequence) {
        directory::remove_if_present(&other.path)?;
    }
    Ok(())
}

fn read_beside(layout: &Layout, store_id: Option<[u8; 16]>) -> Option<Evidence> {
    let path = layout.reached();
    let text = fs::read_to_string(&path).ok()?;
    let identity = identity_of(&fs::metadata(&path).ok()?);
    let mut parts = text.split_whitespace();
    let owner = parts.next()?;
    let is_ours = store_id.is_none_or(|store_id| owner == hex::encode(store_id));
    let sequence = parts.next()?.parse().ok()?;
    let is_in_place = parts.next()? == identity;
    (is_ours && is_in_place).then_some(Evidence { sequence, path })
}

/// What a copy of a file cannot have too: inode numbers are used again, but not with the same time of birth.
fn identity_of(metadata: &fs::Metadata) -> String {
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    format!("{:020}-{:020}", metadata.ino(), born.unwrap_or_default().as_nanos())
}

fn names(layout: &Layout) -> io::Result<Vec<Evidence>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(layout.commit_log())? {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(NAME_PREFIX));
        if let Some(sequence) = number.and_then(|number| number.parse().ok()) {
            found.push(Evidence { sequence, path });
        }
    }
    Ok(found)
}
