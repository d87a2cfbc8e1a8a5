//! Opening the secrets: which key the store wants, whether it is there, and what to say where it is not.

use std::io;

use tracing::{error, info, warn};

use super::{OpenError, VAULT_KEY, undecodable};
use crate::domain::recovery_code::RecoveryCode;
use crate::store::key_file::{self, KeyFile, KeyPlace};
use crate::store::records::{DecodeError, decode_record};
use crate::store::sealing::{Sealer, UnlockError, Vault};
use crate::store::state::State;

/// How the data key is to be unwrapped.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    KeyFile(&'a KeyPlace),
    RecoveryCode(&'a RecoveryCode),
}

/// What a rotation that was interrupted left to do with the key files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftToDo {
    Nothing,
    /// The store is wrapped for the new key: it takes its place.
    TakeNew,
    /// The store is not wrapped for the new key: it goes.
    RemoveNew,
}

pub(crate) fn read_vault(state: &State) -> Result<Vault, OpenError> {
    let vault = state.get(VAULT_KEY).ok_or_else(|| DecodeError::Damaged("it is missing".to_owned()));
    vault.and_then(decode_record).map_err(|error| undecodable("the record with the wrapped data key", &error))
}

/// Unwraps the data key. Changes nothing yet.
pub(super) fn unlock(
    store_id: [u8; 16],
    vault: &Vault,
    way: Way<'_>,
) -> Result<(Sealer, LeftToDo), OpenError> {
    match way {
        Way::KeyFile(place) => unlock_by_key_file(store_id, vault, place),
        Way::RecoveryCode(code) => {
            let unlocked = Sealer::unlock_by_code(store_id, vault, code).map_err(|error| match error {
                UnlockError::OtherKey => OpenError::refused(
                    "the recovery code is typed as it was made, but it is not the one of this store: it belongs to another store, \
                     a newer one took its place, or this is a backup from before the code was made and needs the code of its time"
                        .to_owned(),
                ),
                UnlockError::NoCode => OpenError::refused(NO_CODE.to_owned()),
                UnlockError::Damaged => damaged("recovery code"),
            });
            unlocked.map(|sealer| (sealer, LeftToDo::Nothing))
        }
    }
}

/// What to say where there is no recovery code.
pub(crate) const NO_CODE: &str =
    "this store was made without a recovery code, and none was made since: only its key file opens it";

fn unlock_by_key_file(
    store_id: [u8; 16],
    vault: &Vault,
    place: &KeyPlace,
) -> Result<(Sealer, LeftToDo), OpenError> {
    let needed = vault.needed_fingerprint();
    let (key, left) = match place.read().fitting(needed) {
        Ok(key) if place.has_new() => (key, LeftToDo::RemoveNew),
        Ok(key) => (key, LeftToDo::Nothing),
        Err(found) => {
            let new = place.has_new().then(|| place.read_new().fitting(needed));
            let Some(Ok(key)) = new else { return Err(refusal(vault, place, &found)) };
            (key, LeftToDo::TakeNew)
        }
    };
    let sealer = Sealer::unlock(store_id, vault, &key).map_err(|_| damaged("key file"))?;
    Ok((sealer, left))
}

/// Finishes what a rotation left to do.
pub(super) fn finish(way: Way<'_>, left: LeftToDo) -> Result<(), OpenError> {
    let Way::KeyFile(place) = way else { return Ok(()) };
    match left {
        LeftToDo::Nothing => Ok(()),
        LeftToDo::TakeNew => {
            // The right key is in hand: a place that cannot be written does not keep the store shut.
            match place.finish() {
                Ok(()) => info!(path = %place.path().display(), "the new key file took its place"),
                Err(error) => error!("{}; it is used from where it is", error.message),
            }
            Ok(())
        }
        LeftToDo::RemoveNew if place.is_beside_data() => {
            info!(
                path = %place.new_path().display(),
                "a change of the key file was interrupted before it counted; the new file is removed"
            );
            place.remove_new()
        }
        // Only the data directory is ours alone: a key of somebody else is not ours to remove.
        LeftToDo::RemoveNew => {
            warn!(
                path = %place.new_path().display(),
                "this file is not the key file in force; if a change of the key that was interrupted left it, remove it"
            );
            Ok(())
        }
    }
}

fn damaged(way: &str) -> OpenError {
    OpenError::damaged(format!("the wrapped data key does not open with the right {way}"))
}

fn refusal(vault: &Vault, place: &KeyPlace, found: &KeyFile) -> OpenError {
    let path = place.path().display();
    let what = match found {
        KeyFile::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return key_file::unreadable(place.path(), error);
        }
        KeyFile::Key(key) => {
            format!("the key file {path} (fingerprint {}) does not belong to this store", key.fingerprint())
        }
        KeyFile::Unreadable(error) => format!("the key file {path} cannot be read ({error})"),
        KeyFile::Malformed => {
            format!("{path} is not a key file: it should hold one line that begins with cdk1_")
        }
    };
    let needed = vault.needed_fingerprint();
    if let Some(right) = place.fitting_default(needed) {
        return OpenError::refused(format!(
            "{what}; the right key is in {}: put that file into the configured place, or make the credential of it",
            right.display()
        ));
    }
    let recover = match vault.has_recovery_code() {
        true => "make a new key file with the recovery code: connectord recover".to_owned(),
        false => format!("there is no other way: {NO_CODE}"),
    };
    OpenError::refused(format!(
        "{what}; the secrets of this store open with the key of fingerprint {needed}. Put that key file there, or say where it is: \
         secret_key_file in the configuration (give that to a command with --config), CONNECTORD_SECRET_KEY_FILE, or the systemd \
         credential secret-key, which only the unit has. Only where it is lost, {recover}"
    ))
}
