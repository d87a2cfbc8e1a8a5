//! The data directory: its layout, its lock, and files that only their owner may read.
//!
//! ```text
//! DATA/sled/               sled's files and commit-log/: this directory is the backup
//! DATA/secret.key          opens the secrets; never inside sled/
//! DATA/tls-*.pem           the service's own certificate and its key
//! DATA/secret.key.new      takes its place as soon as the store is wrapped for it
//! DATA/secret.key.other-N  what lay in its place and is not this store's key
//! DATA/first-start.txt     the recovery code, and the first password where none was chosen, until a password was used
//! DATA/lock                held while a process uses the directory; holds its process id
//! DATA/reached             the last commit, to notice an older copy put over newer data
//! DATA/resealing           everything is sealed anew: what was sealed before goes at the next start
//! DATA/sync-failed         the disk failed to sync: the next start writes everything anew
//! DATA/new-generation      a new file of the commit log, until it is whole
//! DATA/set-aside/          damaged files that were replaced
//! DATA/*.connectord-part   a file that is being written; an opening removes what a kill left
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::warn;

/// What a file's name ends with while it is being written: beside a key file that is elsewhere, nobody else's may be taken for it.
const UNFINISHED_SUFFIX: &str = ".connectord-part";

/// Where things are in a data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// A data directory that this process has to itself.
pub struct DataDirectory {
    layout: Layout,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// Another process has it; its id, where it can be read.
    InUse(Option<u32>),
    /// Something else, with the path that it is about.
    Io(PathBuf, io::Error),
}

impl Layout {
    /// The layout below a directory.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What to copy as a backup.
    pub fn sled(&self) -> PathBuf {
        self.root.join("sled")
    }

    /// The generations of the commit log.
    pub fn commit_log(&self) -> PathBuf {
        self.sled().join("commit-log")
    }

    /// Where the key file is unless configured elsewhere.
    pub fn default_secret_key_file(&self) -> PathBuf {
        self.root.join("secret.key")
    }

    /// The certificate of the service's own making.
    pub fn tls_certificate(&self) -> PathBuf {
        self.root.join("tls-certificate.pem")
    }

    /// Its private key.
    pub fn tls_key(&self) -> PathBuf {
        self.root.join("tls-key.pem")
    }

    /// Holds the recovery code and, where none was chosen, the password until one was used.
    pub fn first_start_file(&self) -> PathBuf {
        self.root.join("first-start.txt")
    }

    /// How far the store had come.
    pub fn reached(&self) -> PathBuf {
        self.root.join("reached")
    }

    /// Tells the next start that the page cache may lie.
    pub fn sync_failed(&self) -> PathBuf {
        self.root.join("sync-failed")
    }

    /// Tells the next start to remove what was sealed with the data key before.
    pub fn resealing(&self) -> PathBuf {
        self.root.join("resealing")
    }

    /// A generation of the commit log that is being written.
    pub(crate) fn new_generation(&self) -> PathBuf {
        self.root.join("new-generation")
    }

    /// Takes damaged files.
    pub fn set_aside(&self) -> PathBuf {
        self.root.join("set-aside")
    }

    /// Whether there is anything of a store, or a place that must not be looked into: whoever uses it says why.
    pub fn holds_store(&self) -> bool {
        let may_hold =
            |found: io::Result<bool>| found.unwrap_or_else(|error| error.kind() != io::ErrorKind::NotFound);
        may_hold(find_log(&self.commit_log())) || may_hold(self.holds_sled_files())
    }

    /// Whether any of sled's own files is in its directory. Others, such as `lost+found`, are nobody's business.
    ///
    /// # Errors
    /// What the file system says.
    pub fn holds_sled_files(&self) -> io::Result<bool> {
        Ok(!self.sled_files()?.is_empty())
    }

    /// sled's own files and folders.
    pub(crate) fn sled_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.sled())? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if matches!(name.as_ref(), "db" | "conf" | "blobs") || name.starts_with("snap.") {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// Whether a folder is a commit log: an empty one, as a first start that was interrupted leaves it, is none.
pub fn holds_log(commit_log: &Path) -> bool {
    find_log(commit_log).unwrap_or_default()
}

fn find_log(commit_log: &Path) -> io::Result<bool> {
    let is_log = |entry: fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "log");
    Ok(fs::read_dir(commit_log)?.flatten().any(is_log))
}

impl DataDirectory {
    /// Creates the directory where it is missing, and locks it.
    ///
    /// # Errors
    /// Another process has it, or the file system refuses.
    pub fn lock(root: &Path) -> Result<Self, DirectoryError> {
        create_private_directory(root).map_err(|error| DirectoryError::Io(root.to_owned(), error))?;
        let path = root.join("lock");
        let with_path = |error: io::Error| DirectoryError::Io(path.clone(), error);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut lock = options.open(&path).map_err(with_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder =
                    lock.take(32).read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(DirectoryError::InUse(holder));
            }
            Err(TryLockError::Error(error)) => return Err(with_path(error)),
        }
        let write_id = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        if let Err(error) = write_id(&mut lock) {
            // The lock holds all the same: on a full disk only its message to others is poorer.
            warn!(path = %path.display(), %error, "the process id could not be noted in the lock file");
        }
        Ok(Self { layout: Layout::new(root), _lock: lock })
    }
}

impl Deref for DataDirectory {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        &self.layout
    }
}

/// Creates a directory, and those above it, for its owner alone. One that is there is left as it is.
///
/// # Errors
/// What the file system says.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that only its owner may read, whole or not at all, and syncs it with its directory.
///
/// # Errors
/// What the file system says.
pub fn write_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = unfinished(path);
    let write = || {
        // A leftover of a start that was killed may have other rights: it is not reused.
        remove_if_present(&temporary)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_parent(path)
    };
    write().inspect_err(|_| {
        let _ = remove_if_present(&temporary);
    })
}

/// What a file is called while it is being written.
fn unfinished(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(UNFINISHED_SUFFIX);
    PathBuf::from(temporary)
}

/// Removes what a write that was killed left of a file: it may hold a key, a password or a code.
pub(crate) fn remove_unfinished(path: &Path) {
    remove_leftover(&unfinished(path));
}

/// Removes what writes that were killed left in a data directory.
pub(crate) fn remove_all_unfinished(layout: &Layout) -> io::Result<()> {
    remove_leftover(&layout.new_generation());
    for entry in fs::read_dir(layout.root())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(UNFINISHED_SUFFIX)) {
            remove_leftover(&path);
        }
    }
    Ok(())
}

fn remove_leftover(path: &Path) {
    if let Err(error) = remove_if_present(path) {
        warn!(path = %path.display(), %error, "what a write that was interrupted left cannot be removed; remove it, it may hold a secret");
    }
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// What the file system says.
pub fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Moves a file or directory to another place on the same file system, in place of what is there.
///
/// # Errors
/// What the file system says.
pub fn move_aside(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_dir() {
        fs::remove_dir_all(to)?;
    }
    if let Some(parent) = to.parent() {
        create_private_directory(parent)?;
    }
    fs::rename(from, to)?;
    sync_parent(to)?;
    sync_parent(from)
}

/// Syncs every file and directory below a path, and the path itself.
///
/// # Errors
/// What the file system says.
pub fn sync_tree(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

/// Syncs the directories from the log up to the one that holds the data directory: a crash may have come between
/// making a name and syncing it.
///
/// # Errors
/// What the file system says.
pub fn sync_names(layout: &Layout) -> io::Result<()> {
    File::open(layout.commit_log())?.sync_all()?;
    sync_parent(&layout.commit_log())?;
    sync_parent(&layout.sled())?;
    sync_parent(&fs::canonicalize(layout.root())?)
}

/// Syncs the directory that holds the path, so that its name is on disk.
///
/// # Errors
/// What the file system says.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
