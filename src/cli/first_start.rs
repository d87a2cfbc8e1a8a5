//! The first start: makes the user `admin` with a password that its owner can find.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::cli::Failure;
use crate::credentials::{generate_password, hash};
use crate::domain::secret::Secret;
use crate::domain::user::{self, User};
use crate::store::{Layout, Store, Transaction, Unavailable, write_private_file};

pub(super) const ADMIN: &str = "admin";
/// A larger file holds no password.
const PASSWORD_FILE_MAX_BYTES: u64 = 4096;

/// The first password where somebody chose it: from the configured file, or the systemd credential `admin-password`.
pub(super) fn configured_password(password_file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let credential = directory.map(|directory| directory.join("admin-password")).filter(|path| path.exists());
    let path = password_file.map(Path::to_owned).or(credential);
    path.map(|path| read_password_file(&path)).transpose()
}

/// Makes the user `admin` where there is no user yet. Without a chosen password, one is made up and shown once.
pub(super) fn ensure_admin(store: &Store, configured: Option<Secret>) -> Result<(), Failure> {
    if !store.snapshot().users().is_empty() {
        if configured.is_some() {
            info!(
                "the file with the first password is not used, there are users; change a password with: connectord user passwd"
            );
        }
        return Ok(());
    }
    let password = match configured {
        Some(password) => password,
        None => make_up_password(store)?,
    };
    add_user(store, ADMIN, hash(&password))?;
    info!(user = ADMIN, "made the first user");
    Ok(())
}

/// Refuses to make a new store where a backup was put into the wrong place.
pub(super) fn check_restored_place(layout: &Layout) -> Result<(), Failure> {
    let root = layout.root().display();
    if layout.root().join("commit-log").exists() {
        return Err(Failure::usage(format!(
            "{root} holds what belongs into {root}/sled: a backup is the whole folder sled; make that folder and move \
             commit-log and the files beside it there"
        )));
    }
    if layout.default_secret_key_file().exists() && !layout.sled().exists() {
        warn!(path = %layout.sled().display(), "there is a key file but no store: a new one is made. A backup would belong there");
    }
    Ok(())
}

/// Adds a user; the name was checked.
pub(super) fn add_user(store: &Store, name: &str, password_hash: Secret) -> Result<(), Failure> {
    let name = name.to_owned();
    store.commit_blocking(move |transaction: &mut Transaction<'_>| {
        if transaction.index().users().find(&name).is_some() {
            return Err(Failure::usage(format!("there is a user {name} already")));
        }
        let created_at = transaction.now();
        let id = transaction.next_id::<User>();
        transaction.put(User { id, name, password_hash, revision: 1, created_at });
        Ok(())
    })
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Failure::machine(unavailable.reason)
    }
}

/// Reads a password from a file: its first line.
pub(super) fn read_password_file(path: &Path) -> Result<Secret, Failure> {
    let shown = path.display();
    let cannot =
        |error: io::Error| Failure::usage(format!("the password file {shown} cannot be read: {error}"));
    if fs::metadata(path).map_err(cannot)?.len() > PASSWORD_FILE_MAX_BYTES {
        return Err(Failure::usage(format!("the password file {shown} is too large")));
    }
    let text = Secret::new(fs::read_to_string(path).map_err(cannot)?);
    let line = text.expose().lines().next().unwrap_or_default();
    let password = Secret::new(line.to_owned());
    user::parse_password(&password)
        .map_err(|advice| Failure::usage(format!("the password file {shown}: {advice}")))?;
    Ok(password)
}

/// Shown before the user is made: if the process ends in between, the next start makes up another one.
fn make_up_password(store: &Store) -> Result<Secret, Failure> {
    let password = generate_password();
    let text = Secret::new(format!("user: {ADMIN}\npassword: {}\n", password.expose()));
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let shown = writeln!(
            terminal,
            "\nFirst start. Note these down, they are shown this once:\n\n{}",
            text.expose()
        );
        shown.map_err(|error| Failure::machine(format!("the first password cannot be shown: {error}")))?;
        return Ok(password);
    }
    let path = store.directory().first_start_file();
    write_private_file(&path, text.expose().as_bytes())
        .map_err(|error| Failure::machine(format!("{} cannot be written: {error}", path.display())))?;
    warn!(path = %path.display(), "first start: this file holds the password of the user admin until the first sign-in");
    Ok(password)
}
