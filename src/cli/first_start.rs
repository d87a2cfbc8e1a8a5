//! The first start: makes the user `admin` with a password that its owner can find.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::cli::Failure;
use crate::credentials::{generate_password, hash};
use crate::domain::secret::Secret;
use crate::domain::user::{self, User};
use crate::store::{Store, Transaction, Unavailable, write_private_file};

const ADMIN: &str = "admin";
/// A larger file holds no password.
const PASSWORD_FILE_MAX_BYTES: u64 = 4096;

/// Makes the user `admin` where there is no user yet. The password comes from the configured file, the systemd
/// credential `admin-password`, or is made up and shown once.
pub(super) fn ensure_admin(store: &Store, password_file: Option<&Path>) -> Result<(), Failure> {
    if !store.snapshot().users().is_empty() {
        return Ok(());
    }
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|directory| PathBuf::from(directory).join("admin-password"));
    let credential = credential.filter(|path| path.exists());
    let password = match password_file.map(Path::to_owned).or(credential) {
        Some(path) => read_password_file(&path)?,
        None => make_up_password(store)?,
    };
    let password_hash = hash(&password);
    add_user(store, ADMIN, password_hash)?;
    info!(user = ADMIN, "made the first user");
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
