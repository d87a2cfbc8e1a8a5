//! Seals everything anew with another data key, and ends what the old ciphertext could tell.
//!
//! The new state is a generation of its own, complete at one moment: its name. Before that the store is the old one,
//! after that the new one, whatever is left of the old one beside it. A mark beside the data says that those leftovers
//! have to go: the opening that follows removes them, or a later one does.

use std::fs::{self, File};
use std::io;

use tracing::info;

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
pub(crate) fn is_unfinished(layout: &Layout, vault: &Vault) -> io::Result<bool> {
    let mark = match fs::read(layout.resealing()) {
        Ok(mark) => mark,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if mark == vault.needed_fingerprint().as_bytes() {
        return Ok(true);
    }
    directory::remove_if_present(&layout.resealing())?;
    Ok(false)
}

/// Removes sled, so that it is filled anew: it keeps old values in its file for long.
pub(crate) fn remove_old_sled(layout: &Layout, recovered: &mut Recovered) -> io::Result<()> {
    if let SledState::Current(sled) = std::mem::replace(&mut recovered.sled, SledState::Rebuild(None)) {
        sled.discard();
    }
    recovered.sled = SledState::Rebuild(None);
    for path in layout.sled_files()? {
        if path.is_dir() { fs::remove_dir_all(&path)? } else { directory::remove_if_present(&path)? }
    }
    directory::sync_parent(&layout.commit_log())
}

/// Removes everything else that was sealed with the old data key, and then the mark.
pub(crate) fn remove_old_files(layout: &Layout, live_generation: u64) -> io::Result<()> {
    for file in generations::list(&layout.commit_log())? {
        if file.generation < live_generation {
            directory::remove_if_present(&file.path)?;
        }
    }
    File::open(layout.commit_log())?.sync_all()?;
    if layout.set_aside().exists() {
        fs::remove_dir_all(layout.set_aside())?;
    }
    for entry in fs::read_dir(layout.root())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(SCRATCH_PREFIX) && path.is_dir() {
            fs::remove_dir_all(&path)?;
        }
    }
    directory::sync_parent(&layout.resealing())?;
    directory::remove_if_present(&layout.resealing())?;
    info!("what was sealed with the old data key is removed");
    Ok(())
}
