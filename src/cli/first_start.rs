//! The first start: makes the user `admin` with a password, and a recovery code, that their owner can find.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use tracing::{info, warn};

use crate::cli::{Failure, credential};
use crate::credentials::{generate_password, hash};
use crate::domain::recovery_code::RecoveryCode;
use crate::domain::secret::Secret;
use crate::domain::user::{self, User};
use crate::random::random_bytes;
use crate::store::{Layout, Store, Transaction, Unavailable, remove_if_present, write_private_file};

pub(super) const ADMIN: &str = "admin";
/// What the line with the recovery code begins with.
pub(super) const CODE_LABEL: &str = "recovery code: ";
/// A larger file holds no password.
const PASSWORD_FILE_MAX_BYTES: u64 = 4096;

/// The first password where somebody chose it: from the configured file, or the systemd credential `admin-password`.
pub(super) fn configured_password(password_file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let path = password_file.map(Path::to_owned).or_else(|| credential("admin-password"));
    path.map(|path| read_password_file(&path)).transpose()
}

/// Makes the user `admin` and a recovery code where there is no user yet. Both are shown once, a chosen password is not.
pub(super) fn ensure_admin(store: &Store, configured: Option<Secret>) -> Result<(), Failure> {
    if !store.snapshot().users().is_empty() {
        forget_dead_code(store);
        if configured.is_some() {
            info!(
                "the file with the first password is not used, there are users; change a password with: connectord user passwd"
            );
        }
        if !store.snapshot().has_recovery_code() {
            info!(
                "this store has no recovery code: if its key file is lost, so are its secrets. Make one while the service is \
                 stopped: connectord rotate-key"
            );
        }
        return Ok(());
    }
    let code = new_recovery_code();
    // Shown before they count: if the process ends in between, the next start makes up others.
    let password = match configured {
        Some(password) => {
            show_once(store, &code, None)?;
            password
        }
        None => {
            let password = generate_password();
            show_once(store, &code, Some(&password))?;
            password
        }
    };
    let password_hash = hash(&password);
    store.commit_blocking(move |transaction: &mut Transaction<'_>| {
        transaction.set_recovery_code(&code);
        put_user(transaction, ADMIN.to_owned(), password_hash);
        Ok::<(), Failure>(())
    })?;
    info!(user = ADMIN, "made the first user");
    Ok(())
}

/// A recovery code that no store has yet.
pub(super) fn new_recovery_code() -> RecoveryCode {
    RecoveryCode::from_random(random_bytes())
}

/// Adds a user; the name was checked.
pub(super) fn add_user(store: &Store, name: &str, password_hash: Secret) -> Result<(), Failure> {
    let name = name.to_owned();
    store.commit_blocking(move |transaction: &mut Transaction<'_>| {
        if transaction.index().users().find(&name).is_some() {
            return Err(Failure::usage(format!("there is a user {name} already")));
        }
        put_user(transaction, name, password_hash);
        Ok(())
    })
}

fn put_user(transaction: &mut Transaction<'_>, name: String, password_hash: Secret) {
    let created_at = transaction.now();
    let id = transaction.next_id::<User>();
    transaction.put(User { id, name, password_hash, revision: 1, created_at });
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

fn show_once(store: &Store, code: &RecoveryCode, password: Option<&Secret>) -> Result<(), Failure> {
    let password = password.map(|password| format!("user: {ADMIN}\npassword: {}\n", password.expose()));
    let password = Secret::new(password.unwrap_or_default());
    let text = Secret::new(format!(
        "{}{CODE_LABEL}{}\n\nKeep the recovery code apart from the backups: if the key file is lost, connectord recover makes a new\n\
         one with it.\n",
        password.expose(),
        code.to_text().expose()
    ));
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let shown = writeln!(
            terminal,
            "\nFirst start. Note these down, they are shown this once:\n\n{}",
            text.expose()
        );
        return shown
            .map_err(|error| Failure::machine(format!("the first password cannot be shown: {error}")));
    }
    let path = store.directory().first_start_file();
    write_private_file(&path, text.expose().as_bytes())
        .map_err(|error| Failure::machine(format!("{} cannot be written: {error}", path.display())))?;
    warn!(
        path = %path.display(),
        "first start: this file holds the recovery code, and the password of the user admin where none was chosen, until the \
         first sign-in; note them down"
    );
    Ok(())
}

/// A change of the code that was killed may have left the one before in the file: whoever noted it down would trust it.
fn forget_dead_code(store: &Store) {
    let Ok(text) = fs::read_to_string(store.directory().first_start_file()).map(Secret::new) else { return };
    let shown = text.expose().lines().find_map(|line| line.strip_prefix(CODE_LABEL));
    let Some(Ok(code)) = shown.map(RecoveryCode::parse) else { return };
    if store.is_recovery_code(&code) {
        return;
    }
    match forget_recovery_code(store.directory()) {
        Ok(()) => info!("the recovery code of the first start counts no more, and is taken out of its file"),
        Err(failure) => warn!("{}", failure.messages.join("; ")),
    }
}

/// Takes a recovery code that counts no more out of the file of the first start.
pub(super) fn forget_recovery_code(layout: &Layout) -> Result<(), Failure> {
    let path = layout.first_start_file();
    let forget = || {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => Secret::new(other?),
        };
        let is_password = |line: &&str| line.starts_with("user: ") || line.starts_with("password: ");
        let rest: String =
            text.expose().lines().filter(is_password).map(|line| format!("{line}\n")).collect();
        match rest.is_empty() {
            true => remove_if_present(&path),
            false => write_private_file(&path, Secret::new(rest).expose().as_bytes()),
        }
    };
    forget().map_err(|error: io::Error| {
        Failure::machine(format!(
            "{} holds the old recovery code and cannot be changed: {error}",
            path.display()
        ))
    })
}
