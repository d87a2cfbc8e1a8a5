//! Seals everything anew with another data key, and ends what the old ciphertext could tell.
//!
//! The new state is a generation of its own, complete at one moment: its name. Before that the store is the old one,
//! after that the new one, whatever is left of the old one beside it. A mark beside the data says that those leftovers
//! have to go: the opening that follows removes them, or a later one does.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tracing::{error, info};

use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::AuditEvent;
use crate::domain::connector::Connector;
use crate::domain::job::Job;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::store::commit_log::Header;
use crate::store::directory::{self, Layout};
use crate::store::generations;
use crate::store::opening::OpenError;
use crate::store::records::{Record, encode_record};
use crate::store::recovery::{Recovered, SledState};
use crate::store::rescue::SCRATCH_PREFIX;
use crate::store::sealing::{Sealer, Vault};
use crate::store::state::{Change, Key, Kind, State};

/// Generations left out before the new one: it does not go on where the one before ended, its digest is another.
const GENERATIONS_SKIPPED: u64 = 1;

/// Every record as the new sealer seals it.
pub(crate) fn reseal(state: &State, old: &Sealer, new: &Sealer, vault: &Vault) -> Result<State, OpenError> {
    let mut resealed = State::default();
    for (key, value) in state.iter() {
        let value = match key.kind {
            Kind::Vault => encode_record(vault),
            Kind::Counter => value.to_vec(),
            Kind::User => reseal_record::<User>(key, value, old, new)?,
            Kind::ApiKey => reseal_record::<ApiKey>(key, value, old, new)?,
            Kind::Connector => reseal_record::<Connector>(key, value, old, new)?,
            Kind::Job => reseal_record::<Job>(key, value, old, new)?,
            Kind::AuditEvent => reseal_record::<AuditEvent>(key, value, old, new)?,
        };
        resealed.apply(Change { key, value: Some(value.into()) });
    }
    Ok(resealed)
}

fn reseal_record<T: Record>(
    key: Key,
    value: &[u8],
    old: &Sealer,
    new: &Sealer,
) -> Result<Vec<u8>, OpenError> {
    let record = T::decode(key.id, value, old);
    record
        .map(|record| record.encode(new))
        .map_err(|_| OpenError::damaged(format!("the {} {} cannot be sealed anew", key.kind.name(), key.id)))
}

/// Makes a resealed state the store's state. It counts when this returns.
pub(crate) fn replace(
    layout: &Layout,
    recovered: &Recovered,
    newest_generation: u64,
    state: &State,
    vault: &Vault,
) -> io::Result<()> {
    directory::write_private_file(&layout.resealing(), vault.needed_fingerprint().as_bytes())?;
    let time_ms = Timestamp::now().unix_ms().max(recovered.position.time_ms);
    let header = Header {
        store_id: recovered.store_id,
        generation: newest_generation + GENERATIONS_SKIPPED + 1,
        base: state.position(recovered.position.sequence + 1, time_ms),
    };
    generations::create(layout, &header, state).map(|_| ())
}

/// Whether leftovers of the old data key have to go. A mark of a resealing that never came to count is removed.
pub(crate) fn is_unfinished(layout: &Layout, vault: &Vault) -> Result<bool, OpenError> {
    let path = layout.resealing();
    let mark = match fs::read(&path) {
        Ok(mark) => mark,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(OpenError::io(&path, &error)),
    };
    if mark == vault.needed_fingerprint().as_bytes() {
        return Ok(true);
    }
    directory::remove_if_present(&path).map_err(|error| OpenError::io(&path, &error))?;
    Ok(false)
}

/// Removes sled, so that it is filled anew: it keeps old values in its file for long. Says whether all of it is gone.
pub(crate) fn remove_old_sled(layout: &Layout, recovered: &mut Recovered) -> bool {
    if let SledState::Current(sled) = std::mem::replace(&mut recovered.sled, SledState::Rebuild(None)) {
        sled.discard();
    }
    let Some(files) = done(&layout.sled(), layout.sled_files()) else { return false };
    remove_all(&files) & done(&layout.sled(), directory::sync_parent(&layout.commit_log())).is_some()
}

/// Removes everything else that was sealed with the old data key. Says whether all of it is gone.
pub(crate) fn remove_old_files(layout: &Layout, live_generation: u64) -> bool {
    let (log, root) = (layout.commit_log(), layout.root());
    let Some(mut generations) = done(&log, generations::list(&log)) else { return false };
    generations.retain(|file| file.generation < live_generation);
    let old: Vec<PathBuf> = generations.into_iter().map(|file| file.path).collect();
    let is_log_done =
        remove_all(&old) & done(&log, File::open(&log).and_then(|log| log.sync_all())).is_some();
    let Some(mut others) = done(root, scratch_directories(root)) else { return false };
    others.push(layout.set_aside());
    remove_all(&others) & is_log_done & done(root, directory::sync_parent(&layout.resealing())).is_some()
}

/// Ends it: nothing is left that the old data key opens.
pub(crate) fn remove_mark(layout: &Layout) {
    if done(&layout.resealing(), directory::remove_if_present(&layout.resealing())).is_some() {
        info!("what was sealed with the old data key is removed");
    }
}

fn scratch_directories(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(SCRATCH_PREFIX) && path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

fn remove_all(paths: &[PathBuf]) -> bool {
    let remove = |path: &PathBuf| match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => directory::remove_if_present(path),
    };
    // Also what comes after one that stays.
    paths.iter().map(|path| done(path, remove(path))).filter(Option::is_none).count() == 0
}

/// The data is whole without this: what cannot be removed keeps nobody from it, but its owner has to know.
fn done<T>(path: &Path, result: io::Result<T>) -> Option<T> {
    let told = |error: &io::Error| {
        let reason = OpenError::io(path, error).message;
        error!(
            "what was sealed with the old data key is not all removed, the next start tries it again: {reason}"
        );
    };
    result.inspect_err(told).ok()
}
