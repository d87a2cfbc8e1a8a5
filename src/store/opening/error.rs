//! Why a store did not open, in words for its owner.

use std::io;
use std::path::Path;

use crate::domain::timestamp::Timestamp;
use crate::store::commit_log;
use crate::store::directory::DirectoryError;
use crate::store::recovery::RecoveryError;

/// Why a store did not open, in words for its owner.
#[derive(Debug)]
pub struct OpenError {
    /// What kind of trouble it is; decides the exit status.
    pub kind: OpenErrorKind,
    /// What is wrong, where, and what to do.
    pub message: String,
}

/// What kind of trouble keeps a store shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenErrorKind {
    /// Another process has the directory, files of different times lie together, or the key or a newer format is the
    /// matter: nothing is damaged.
    Refused,
    /// Data is damaged.
    Damaged,
    /// The file system refuses.
    Io,
}

impl OpenError {
    pub(crate) fn refused(message: String) -> Self {
        Self { kind: OpenErrorKind::Refused, message }
    }

    pub(crate) fn damaged(message: String) -> Self {
        Self { kind: OpenErrorKind::Damaged, message }
    }

    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        let advice = if error.kind() == io::ErrorKind::PermissionDenied {
            "; everything in the data directory has to belong to the user that the service runs as (chown -R USER DIR)"
        } else if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
            "; systemd lets the service write in /var/lib/connectord alone: keep the data there, or name its directory in \
             ReadWritePaths= of the unit"
        } else {
            ""
        };
        Self { kind: OpenErrorKind::Io, message: format!("{}: {error}{advice}", path.display()) }
    }
}

impl From<DirectoryError> for OpenError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::InUse(Some(process)) => Self::refused(format!(
                "another connectord (pid {process}) uses this directory; stop it first"
            )),
            DirectoryError::InUse(None) => {
                Self::refused("another connectord uses this directory; stop it first".to_owned())
            }
            DirectoryError::Io(path, error) => Self::io(&path, &error),
        }
    }
}

impl From<RecoveryError> for OpenError {
    fn from(error: RecoveryError) -> Self {
        match error {
            RecoveryError::Io(path, error) => Self::io(&path, &error),
            RecoveryError::NewerFormat(path, format) => Self::refused(format!(
                "{} has format {format}, this version knows up to {}. Start the newer connectord that wrote it",
                path.display(),
                commit_log::FORMAT_VERSION
            )),
            RecoveryError::Mixed(sentence) => Self::refused(format!(
                "{sentence}. Nothing was changed. Restore or copy into an empty directory; what is here can be brought into a new one with: \
                 connectord salvage DIR OUT"
            )),
            RecoveryError::Damaged(damage) => {
                let parts = damage.parts.join("; ");
                let proved = match damage.proved {
                    Some(position) => format!(
                        "Everything up to commit {} of {} ({}) can be proved",
                        position.sequence,
                        damage.last,
                        Timestamp::from_unix_ms(position.time_ms).to_rfc3339()
                    ),
                    None => "No whole state is left".to_owned(),
                };
                Self::damaged(format!(
                    "the data is damaged, in the commit log and in sled: {parts}. {proved}. Nothing was changed. Restore a \
                     backup into an empty directory, or bring what is readable into a new one with: connectord salvage DIR OUT"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_system_refuses_comes_with_what_to_do() {
        let cases = [
            (io::ErrorKind::PermissionDenied, "chown"),
            (io::ErrorKind::ReadOnlyFilesystem, "ReadWritePaths="),
        ];
        for (kind, part) in cases {
            let message = OpenError::io(Path::new("/data/lock"), &kind.into()).message;
            assert!(message.starts_with("/data/lock: ") && message.contains(part), "{message}");
        }
    }
}
