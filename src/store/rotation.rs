//! New keys for a store: a key file made with the recovery code, a new key file and code, a new data key.
//!
//! Each can be killed at any point. The order is: the new key beside the old one, the store wrapped for it, the new key
//! in the old one's place; what was not finished, the next opening finishes.

use std::io;
use std::path::PathBuf;

use crate::domain::recovery_code::RecoveryCode;
use crate::store::directory::DataDirectory;
use crate::store::key_file::{self, KeyFile, KeyPlace};
use crate::store::opening::{self, NO_CODE, OpenError, OpenErrorKind, Way, read_vault};
use crate::store::recovery::{self, LogState, Recovered, SledState};
use crate::store::resealing;
use crate::store::sealing::{Sealer, SymmetricKey};
use crate::store::writer::{Transaction, Unavailable};
use crate::store::{Store, StoreOptions};

/// A key file that was made.
#[derive(Debug)]
pub struct NewKeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// Tells it apart from others.
    pub fingerprint: String,
    /// Where a file is that was in its place and was another store's.
    pub set_aside: Option<PathBuf>,
}

/// Says whether a new key file is needed and possible, before anybody types a code.
///
/// # Errors
/// The key file is not lost, there is no recovery code, or the place cannot be written.
pub fn check_recoverable(directory: &DataDirectory, place: &KeyPlace) -> Result<(), OpenError> {
    place.check_outside(directory)?;
    let recovered = recover_closed(directory)?;
    let vault = read_vault(&recovered.state)?;
    let needed = vault.needed_fingerprint();
    match place.read() {
        // It may be the right one: nobody knows.
        KeyFile::Unreadable(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(key_file::unreadable(place.path(), &error));
        }
        KeyFile::Unreadable(_) | KeyFile::Key(_) | KeyFile::Malformed => {}
    }
    for (path, key) in [(place.path().to_owned(), place.read()), (place.new_path(), place.read_new())] {
        if key.fitting(needed).is_ok() {
            return Err(OpenError::refused(format!(
                "the key file {} belongs to this store: there is nothing to recover, start the service",
                path.display()
            )));
        }
    }
    if !vault.has_recovery_code() {
        return Err(OpenError::refused(NO_CODE.to_owned()));
    }
    place.check_replaceable()?;
    place.check_new_is_free(needed)
}

/// Opens the store with its recovery code and makes a new key file for it. A file of another store in its place is kept
/// beside it.
///
/// # Errors
/// It is not this store's code, or as [`Store::open`].
pub fn recover(
    directory: DataDirectory,
    place: &KeyPlace,
    code: &RecoveryCode,
    options: StoreOptions,
) -> Result<NewKeyFile, OpenError> {
    let store = opening::open(directory, Way::RecoveryCode(code), options)?;
    let made = place.set_aside().and_then(|set_aside| {
        let made = install(&store, place, None)?;
        Ok(NewKeyFile { set_aside, ..made })
    });
    store.close();
    made
}

/// Says whether a new key file can be made and can take the place of the one in force, before a code is shown.
///
/// # Errors
/// Says what is in the way. The key is as before.
pub fn check_rotatable(store: &Store, place: &KeyPlace) -> Result<(), OpenError> {
    let needed = needed_fingerprint(store)?;
    let key = read_in_place(place, &needed)?;
    place.check_new_is_free(&needed)?;
    place.write_again(&key)
}

/// The key in force, from its place. One that could not take it is not there: another new one would be written over it, and
/// it opens the store alone until that one counts.
fn read_in_place(place: &KeyPlace, needed_fingerprint: &str) -> Result<SymmetricKey, OpenError> {
    place.read().fitting(needed_fingerprint).map_err(|_| match place.read_new().fitting(needed_fingerprint) {
        Ok(_) => place.not_in_place(OpenErrorKind::Refused, "something is in the way"),
        Err(_) => OpenError::refused(format!(
            "the key file {} was there a moment ago, and is not there any more or another one",
            place.path().display()
        )),
    })
}

fn needed_fingerprint(store: &Store) -> Result<String, OpenError> {
    let vault = store.snapshot().vault.clone();
    vault
        .map(|vault| vault.needed_fingerprint().to_owned())
        .ok_or_else(|| OpenError::damaged("the record with the wrapped data key is missing".to_owned()))
}

/// Makes a new key file and lets a new recovery code count; the ones before open the store no more.
///
/// # Errors
/// The change could not be stored; then nothing has changed.
pub fn rotate(store: &Store, place: &KeyPlace, code: RecoveryCode) -> Result<NewKeyFile, OpenError> {
    install(store, place, Some(code))
}

fn install(store: &Store, place: &KeyPlace, code: Option<RecoveryCode>) -> Result<NewKeyFile, OpenError> {
    let key = SymmetricKey::random();
    let made = NewKeyFile { path: place.path().to_owned(), fingerprint: key.fingerprint(), set_aside: None };
    place.write_new(&key, &needed_fingerprint(store)?)?;
    let wrapped = store.commit_blocking(move |transaction: &mut Transaction<'_>| {
        transaction.set_key(&key);
        if let Some(code) = &code {
            transaction.set_recovery_code(code);
        }
        Ok::<(), Unavailable>(())
    });
    if let Err(unavailable) = wrapped {
        place.remove_new()?;
        return Err(OpenError { kind: OpenErrorKind::Io, message: unavailable.reason });
    }
    place.finish()?;
    Ok(made)
}

/// Makes a new key file, recovery code and data key: everything is sealed anew, and all that the old key opened is
/// removed. Takes an open store, and closes it.
///
/// # Errors
/// As [`Store::open`]. The store is as before, or everything counts and the next opening removes what is left.
pub fn replace_data_key(
    store: Store,
    place: &KeyPlace,
    code: &RecoveryCode,
    options: StoreOptions,
) -> Result<NewKeyFile, OpenError> {
    store.close();
    let directory = store.into_directory();
    let recovered = recover_closed(&directory)?;
    let LogState::Goes { file, .. } = &recovered.log else {
        return Err(OpenError::damaged("the data was damaged meanwhile; start the service once".to_owned()));
    };
    let old_vault = read_vault(&recovered.state)?;
    let needed = old_vault.needed_fingerprint();
    read_in_place(place, needed)?;
    let old = opening::unlock(recovered.store_id, &old_vault, place)?;
    let key = SymmetricKey::random();
    let (new, vault) = Sealer::create(recovered.store_id, &key);
    let vault = new.rewrap_by_code(&vault, code);
    let state = resealing::reseal(&recovered.state, &old, &new, &vault)?;
    place.write_new(&key, needed)?;
    resealing::replace(&directory, &recovered, file.generation, &state, &vault)
        .map_err(|error| OpenError::io(directory.root(), &error))?;
    let mark = directory.resealing();
    // This finishes it, as it would after a kill. An opening goes on without what could not be finished.
    Store::open(directory, place, options)?.close();
    read_in_place(place, &key.fingerprint())?;
    if mark.exists() {
        let message =
            "the new key counts, but what was sealed before is not all removed; see above what cannot be"
                .to_owned();
        return Err(OpenError { kind: OpenErrorKind::Io, message });
    }
    Ok(NewKeyFile { path: place.path().to_owned(), fingerprint: key.fingerprint(), set_aside: None })
}

/// Reads a store that nobody has open.
fn recover_closed(directory: &DataDirectory) -> Result<Recovered, OpenError> {
    let mut recovered = recovery::recover(directory)?;
    if let SledState::Current(sled) = std::mem::replace(&mut recovered.sled, SledState::Rebuild(None)) {
        sled.discard();
    }
    Ok(recovered)
}
