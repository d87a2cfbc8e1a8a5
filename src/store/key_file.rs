//! The key file: where it is, what it holds, and how a new one takes its place.
//!
//! A new key is first written beside the one in force, as `secret.key.new`. When the store has been wrapped for it, it is
//! renamed over the old one; an opening that finds the store wrapped for it finishes that.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;
use zeroize::Zeroizing;

use crate::store::directory::{self, Layout};
use crate::store::file_system::is_mount_point;
use crate::store::opening::{OpenError, OpenErrorKind};
use crate::store::sealing::SymmetricKey;

/// A key file is one short line.
const KEY_FILE_MAX_BYTES: u64 = 4096;
/// Key files of other stores that are kept beside the one in force.
const SET_ASIDE_MAX: u32 = 100;

/// The bit of a file's mode that lets everybody read it.
const OTHERS_MAY_READ: u32 = 0o004;

/// Where the key file in force is.
#[derive(Debug, Clone)]
pub struct KeyPlace {
    path: PathBuf,
    /// Where it is unless configured elsewhere.
    default: PathBuf,
    is_credential: bool,
    is_beside_data: bool,
}

/// What is at a place.
pub(crate) enum KeyFile {
    /// A key.
    Key(SymmetricKey),
    /// Nothing, or nothing that can be read.
    Unreadable(io::Error),
    /// Something else.
    Malformed,
}

impl KeyPlace {
    /// The configured place, else the systemd credential, else the data directory.
    pub fn find(layout: &Layout, configured: Option<&Path>, credential: Option<PathBuf>) -> Self {
        let is_configured = configured.is_some();
        let is_credential = !is_configured && credential.is_some();
        let path = configured.map(Path::to_owned).or(credential);
        let is_beside_data = path.is_none();
        let default = layout.default_secret_key_file();
        let path = path.unwrap_or_else(|| default.clone());
        // A new key file goes to where the link points, not into the link's place.
        let path = if path.is_symlink() { fs::canonicalize(&path).unwrap_or(path) } else { path };
        Self { path, default, is_credential, is_beside_data }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it lies with the data, so that a thief of the disk has both.
    pub(crate) fn is_beside_data(&self) -> bool {
        self.is_beside_data
    }

    /// Refuses a place in the directory that is copied as the backup: a copy would hold its own key.
    pub(crate) fn check_outside(&self, layout: &Layout) -> Result<(), OpenError> {
        let sled = layout.sled();
        let io_error = |error: io::Error| OpenError::io(&sled, &error);
        let inside = fs::canonicalize(&sled).map_err(io_error)?;
        let path = std::path::absolute(&self.path).map_err(|error| OpenError::io(&self.path, &error))?;
        let existing = path.ancestors().find_map(|ancestor| fs::canonicalize(ancestor).ok());
        if existing.is_some_and(|existing| existing.starts_with(&inside)) {
            return Err(OpenError::refused(format!(
                "the key file {} lies inside {}, which is what gets copied as the backup: whoever has the copy could read the \
                 secrets. Name a place outside in secret_key_file, and move the file there if it exists",
                self.path.display(),
                sled.display()
            )));
        }
        Ok(())
    }

    /// Refuses a place where a new key file cannot be put.
    ///
    /// # Errors
    /// Says what to do instead.
    pub fn check_replaceable(&self) -> Result<(), OpenError> {
        let path = self.path.display();
        if self.is_credential {
            return Err(OpenError::refused(format!(
                "the key comes from the systemd credential {path}, which cannot be written. Put the key into a file that only you \
                 can read (a lost key: name a file that is not there yet), give that file as CONNECTORD_SECRET_KEY_FILE to this \
                 command, and then make the credential of the new file"
            )));
        }
        if is_mount_point(&self.path) {
            return Err(OpenError::refused(format!(
                "{path} is mounted as a single file, as containers do it: no other file can take its place, and nothing was \
                 changed. Mount the directory that it is in instead; or put a copy of it into a directory that can be written, \
                 give that as CONNECTORD_SECRET_KEY_FILE to this command, and then mount the new file"
            )));
        }
        self.check_link()
    }

    pub(crate) fn read(&self) -> KeyFile {
        KeyFile::read(&self.path)
    }

    /// The data directory's own key file, where another place is configured and this file is the right one.
    pub(crate) fn fitting_default(&self, needed_fingerprint: &str) -> Option<&Path> {
        let is_right =
            !self.is_beside_data && KeyFile::read(&self.default).fitting(needed_fingerprint).is_ok();
        is_right.then_some(self.default.as_path())
    }

    /// The key that is to take the place of the one in force.
    pub(crate) fn read_new(&self) -> KeyFile {
        KeyFile::read(&self.new_path())
    }

    /// Whether there is one. A credential has none: its place is not ours.
    pub(crate) fn has_new(&self) -> bool {
        !self.is_credential && self.new_path().exists()
    }

    /// Warns where everybody on the machine may read the key.
    pub(crate) fn warn_if_open_to_others(&self) {
        let mode = fs::metadata(&self.path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & OTHERS_MAY_READ != 0 {
            let path = self.path.display();
            warn!(%path, "everybody on this machine may read the key file: chmod 600 {path}");
        }
    }

    /// Removes what a write of a key that was killed left.
    pub(crate) fn remove_unfinished(&self) {
        if !self.is_credential {
            directory::remove_unfinished(&self.path);
            directory::remove_unfinished(&self.new_path());
        }
    }

    /// Refuses to make a store beside a key that waits for its place: it may be the only key of another one.
    pub(crate) fn check_nothing_waits(&self) -> Result<(), OpenError> {
        if !self.has_new() {
            return Ok(());
        }
        Err(OpenError::refused(format!(
            "there is no store yet, but {} is there: it may be the key of another one, or it is yours. Move it away; nothing was made",
            self.new_path().display()
        )))
    }

    /// Makes the first key file.
    pub(crate) fn create(&self, key: &SymmetricKey) -> Result<(), OpenError> {
        self.check_link()?;
        write(&self.path, key)
    }

    /// Writes the key in force into its place anew. That shows that a file can take it, before anything depends on that.
    pub(crate) fn write_again(&self, key: &SymmetricKey) -> Result<(), OpenError> {
        write(&self.path, key)
    }

    /// Writes a key beside the one in force.
    pub(crate) fn write_new(&self, key: &SymmetricKey, needed_fingerprint: &str) -> Result<(), OpenError> {
        self.check_new_is_free(needed_fingerprint)?;
        write(&self.new_path(), key)
    }

    /// Refuses to write over the store's key, over what may be it, and over a file that may be somebody's: only the data
    /// directory is ours alone.
    pub(crate) fn check_new_is_free(&self, needed_fingerprint: &str) -> Result<(), OpenError> {
        let new = self.new_path();
        match self.read_new().fitting(needed_fingerprint) {
            Ok(_) => {
                return Err(OpenError::refused(format!(
                    "{} is there already, and is this store's key: put it in the place of {}; nothing was changed",
                    new.display(),
                    self.path.display()
                )));
            }
            Err(KeyFile::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(KeyFile::Unreadable(error)) => return Err(OpenError::io(&new, &error)),
            Err(KeyFile::Key(_) | KeyFile::Malformed) if self.is_beside_data => return Ok(()),
            Err(KeyFile::Key(_) | KeyFile::Malformed) => {}
        }
        Err(OpenError::refused(format!(
            "{} is there already, and is not this store's key: a change of the key that was interrupted left it, or it is yours. \
             Move it away; nothing was changed",
            new.display()
        )))
    }

    /// Puts the key that was written last into its place.
    pub(crate) fn finish(&self) -> Result<(), OpenError> {
        let renamed =
            fs::rename(self.new_path(), &self.path).and_then(|()| directory::sync_parent(&self.path));
        renamed.map_err(|error| self.not_in_place(OpenErrorKind::Io, &error.to_string()))
    }

    /// Says what to do with a key that counts and is not in its place.
    pub(crate) fn not_in_place(&self, kind: OpenErrorKind, reason: &str) -> OpenError {
        let (new, path) = (self.new_path(), self.path.display());
        let message = format!(
            "the key file {} is the one that opens this store, and could not take the place of {path} ({reason}); put what \
             is there aside, and move it there by hand",
            new.display()
        );
        OpenError { kind, message }
    }

    /// Removes a key that nothing was wrapped for.
    pub(crate) fn remove_new(&self) -> Result<(), OpenError> {
        let path = self.new_path();
        directory::remove_if_present(&path).map_err(|error| OpenError::io(&path, &error))
    }

    /// Keeps a file that is in the place, and is not this store's key, under another name. Returns that.
    pub(crate) fn set_aside(&self) -> Result<Option<PathBuf>, OpenError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let free = (1..=SET_ASIDE_MAX).map(|number| self.with_suffix(&format!(".other-{number}")));
        let Some(aside) = free.into_iter().find(|path| !path.exists()) else {
            return Err(OpenError::refused(format!(
                "{} is not this store's key file, and {SET_ASIDE_MAX} such files are beside it already; move it away",
                self.path.display()
            )));
        };
        let moved = fs::rename(&self.path, &aside).and_then(|()| directory::sync_parent(&self.path));
        moved.map_err(|error| OpenError::io(&self.path, &error))?;
        Ok(Some(aside))
    }

    pub(crate) fn new_path(&self) -> PathBuf {
        self.with_suffix(".new")
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    }

    /// A link to a place that is not there is a medium that is not mounted, not a place for a new file.
    fn check_link(&self) -> Result<(), OpenError> {
        if !self.path.is_symlink() {
            return Ok(());
        }
        Err(OpenError::refused(format!(
            "{} is a link to a place that is not there; mount the medium that it points to, or remove the link",
            self.path.display()
        )))
    }
}

impl KeyFile {
    fn read(path: &Path) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_MAX_BYTES as usize));
        let read = File::open(path).and_then(|file| file.take(KEY_FILE_MAX_BYTES).read_to_string(&mut text));
        match read.map(|_| SymmetricKey::from_text(&text)) {
            Ok(Some(key)) => KeyFile::Key(key),
            Ok(None) => KeyFile::Malformed,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => KeyFile::Malformed,
            Err(error) => KeyFile::Unreadable(error),
        }
    }

    /// The key, if it is the one with this fingerprint; else what it is instead.
    pub(crate) fn fitting(self, needed_fingerprint: &str) -> Result<SymmetricKey, Self> {
        match self {
            KeyFile::Key(key) if key.fingerprint() == needed_fingerprint => Ok(key),
            other @ (KeyFile::Key(_) | KeyFile::Unreadable(_) | KeyFile::Malformed) => Err(other),
        }
    }
}

fn write(path: &Path, key: &SymmetricKey) -> Result<(), OpenError> {
    let text = Zeroizing::new(format!("{}\n", key.to_text().as_str()));
    directory::write_private_file(path, text.as_bytes()).map_err(|error| {
        let message = format!(
            "a key file cannot be written there: {}: {error}. Its directory has to be writable for the user that the service \
             runs as. Where it is to stay read-only, give a writable place as CONNECTORD_SECRET_KEY_FILE to this command (with \
             a copy of the key in it, if there is one), and put the new file into its place yourself",
            path.display()
        );
        OpenError { kind: OpenErrorKind::Io, message }
    })
}

/// What to say of a key file that is there and cannot be read. It is not lost: never an advice to make another one.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> OpenError {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return OpenError::io(path, error);
    }
    let shown = path.display();
    OpenError::refused(format!(
        "the key file {shown} cannot be read ({error}): give it to the user that the service runs as, who has to be let into \
         its directory too: chown connectord: {shown}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_place_comes_first_then_the_credential() {
        let layout = Layout::new(Path::new("/data"));
        let (configured, credential) = (Path::new("/k/key"), PathBuf::from("/run/c/secret-key"));
        let find = |configured, credential| KeyPlace::find(&layout, configured, credential);
        let place = find(Some(configured), Some(credential.clone()));
        assert!(place.path() == configured && !place.is_credential && !place.is_beside_data());
        let place = find(None, Some(credential.clone()));
        assert!(place.path() == credential && place.is_credential && place.check_replaceable().is_err());
        let place = find(None, None);
        assert!(place.path() == Path::new("/data/secret.key") && place.is_beside_data());
        assert_eq!(place.new_path(), Path::new("/data/secret.key.new"));
    }

    #[test]
    fn a_new_key_is_never_written_over_the_store_s_own() {
        let directory = std::env::temp_dir().join(format!("connectord-new-key-{}", std::process::id()));
        directory::create_private_directory(&directory).expect("created");
        let layout = Layout::new(&directory);
        let (in_force, other) = (SymmetricKey::random(), SymmetricKey::random());
        let needed = in_force.fingerprint();
        for configured in [None, Some(directory.join("elsewhere.key"))] {
            let place = KeyPlace::find(&layout, configured.as_deref(), None);
            place.write_new(&in_force, &needed).expect("free");
            let refusal = place.write_new(&other, &needed).expect_err("it is the store's key").message;
            assert!(refusal.contains("is this store's key"), "{refusal}");
            assert!(place.read_new().fitting(&needed).is_ok());
            place.remove_new().expect("removed");
            place.write_new(&other, &needed).expect("free");
            assert_eq!(place.write_new(&in_force, &needed).is_ok(), configured.is_none(), "ours alone");
        }
        fs::remove_dir_all(&directory).expect("removed");
    }
}
