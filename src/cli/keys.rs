//! `connectord recover` and `connectord rotate-key`: new keys, while the service is stopped.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use crate::cli::first_start::{self, CODE_LABEL, new_recovery_code};
use crate::cli::serve::start_log;
use crate::cli::{Failure, key_place, lock_data, open_store, print};
use crate::config::{Config, LogConfig};
use crate::domain::recovery_code::RecoveryCode;
use crate::domain::secret::Secret;
use crate::store::rotation;
use crate::store::{Layout, OpenError};
use tracing::{Level, warn};
use zeroize::Zeroizing;

/// A larger file holds no recovery code.
const CODE_FILE_MAX_BYTES: u64 = 4096;

/// Makes a new key file with the recovery code.
pub(super) fn recover(config: &Config, code_file: Option<&Path>) -> Result<(), Failure> {
    start_log(LogConfig { level: Level::WARN, ..config.log });
    let directory = lock_data(config)?;
    let place = key_place(config);
    rotation::check_recoverable(&directory, &place)?;
    if place.is_beside_data() {
        // Made in the wrong place, it would keep the service out that is configured for another.
        print(&format!(
            "The new key file will be {}, and the one before opens this store no more. If the service has a configuration, \
             stop here and give it to this command with --config.\n",
            place.path().display()
        ));
    }
    let code = ask_code(code_file)?;
    let made = rotation::recover(directory, &place, &code, config.store)?;
    if let Some(path) = &made.set_aside {
        print(&format!("the file that was there is not this store's key: it is now {}\n", path.display()));
    }
    print(&format!(
        "made the key file {} (fingerprint {}); the recovery code stays as it is\n",
        made.path.display(),
        made.fingerprint
    ));
    Ok(())
}

/// Makes a new key file and a new recovery code, and a new data key where asked for.
pub(super) fn rotate(config: &Config, is_with_data: bool) -> Result<(), Failure> {
    start_log(LogConfig { level: Level::WARN, ..config.log });
    let place = key_place(config);
    place.check_replaceable()?;
    let store = open_store(config)?;
    rotation::check_rotatable(&store, &place)?;
    let code = new_recovery_code();
    // Before anything counts: a code that nobody saw would be worth nothing.
    show_code(&code)?;
    let undone = |mut error: OpenError| {
        error
            .message
            .push_str(". Start the service or run the command again; until it says that it is done, keep the old key file and code too");
        Failure::from(error)
    };
    let (made, rest) = if is_with_data {
        let made = rotation::replace_data_key(store, &place, &code, config.store).map_err(undone)?;
        (made, "Every secret is sealed anew, and what was sealed before is removed from this directory.")
    } else {
        let made = rotation::rotate(&store, &place, code);
        store.close();
        let rest = "The old ones open older records in this directory until those have aged out; --data removes them at once.";
        (made.map_err(undone)?, rest)
    };
    print(&format!(
        "Done: the key file {} is new (fingerprint {}), and the recovery code above counts.\n{rest}\n\
         Backups that were made before still open with the old ones.\n",
        made.path.display(),
        made.fingerprint
    ));
    // It counts, whatever becomes of this: the next start tries it again.
    if let Err(failure) = first_start::forget_recovery_code(&Layout::new(&config.data_dir)) {
        warn!("{}", failure.messages.join("; "));
    }
    Ok(())
}

fn show_code(code: &RecoveryCode) -> Result<(), Failure> {
    let text = Secret::new(format!(
        "New recovery code, shown this once. Note it down; it counts when this command says that it is done:\n\n{CODE_LABEL}{}\n\n",
        code.to_text().expose()
    ));
    let mut output = io::stdout().lock();
    output.write_all(text.expose().as_bytes()).and_then(|()| output.flush()).map_err(|error| {
        Failure::machine(format!("the new recovery code cannot be shown, nothing was changed: {error}"))
    })
}

/// From the file, else asked for on a terminal, else the first line of standard input. Never an argument: those are seen by
/// everybody on the machine.
fn ask_code(file: Option<&Path>) -> Result<RecoveryCode, Failure> {
    let text = match file {
        Some(path) => read_code_file(path)?,
        None => {
            let cannot =
                |error: io::Error| Failure::machine(format!("the recovery code cannot be read: {error}"));
            if io::stdin().is_terminal() {
                Secret::new(rpassword::prompt_password("Recovery code: ").map_err(cannot)?)
            } else {
                let mut line = Zeroizing::new(String::with_capacity(CODE_FILE_MAX_BYTES as usize));
                io::stdin().lock().take(CODE_FILE_MAX_BYTES).read_line(&mut line).map_err(cannot)?;
                Secret::new(line.trim().to_owned())
            }
        }
    };
    // As it stands in first-start.txt.
    let code = text.expose().trim_start();
    RecoveryCode::parse(code.strip_prefix(CODE_LABEL).unwrap_or(code))
        .map_err(|error| Failure::usage(format!("{}; nothing was changed", error.advice())))
}

/// The line that says what it is, as in first-start.txt and in what rotate-key says, else the first line that is a code. Where
/// there is none, the first line, for what is wrong with it.
fn read_code_file(path: &Path) -> Result<Secret, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(CODE_FILE_MAX_BYTES as usize));
    let read = File::open(path).and_then(|file| file.take(CODE_FILE_MAX_BYTES).read_to_string(&mut text));
    read.map_err(|error| {
        Failure::usage(format!("the file {} with the recovery code cannot be read: {error}", path.display()))
    })?;
    let mut lines = text.lines().map(str::trim);
    let labelled = lines.clone().find_map(|line| line.strip_prefix(CODE_LABEL));
    let code = labelled.or_else(|| lines.clone().find(|line| RecoveryCode::parse(line).is_ok()));
    Ok(Secret::new(code.or_else(|| lines.next()).unwrap_or_default().to_owned()))
}
