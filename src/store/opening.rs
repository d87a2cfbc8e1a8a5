//! Opening a store: finds out what is there, mends what can be mended, and takes it up for writing.

mod error;
mod halves;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::AuditEvent;
use crate::domain::connector::Connector;
use crate::domain::job::Job;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::random::random_bytes;
use crate::store::commit_log::Header;
use crate::store::directory::{self, DataDirectory, Layout};
use crate::store::file_system;
use crate::store::generations;
use crate::store::index::Index;
use crate::store::reached::{self, ReachedMark};
use crate::store::records::{DecodeError, Record, decode_record, encode_record};
use crate::store::recovery::{self, LogState, Recovered};
use crate::store::sealing::{Sealer, SymmetricKey, UnlockError, Vault};
use crate::store::state::{Change, Key, Kind, Position, State};
use crate::store::writer::Writer;
use crate::store::{QUEUE_CAPACITY, Store, StoreOptions};
pub use error::{OpenError, OpenErrorKind};
use halves::{follow, take_up_log, take_up_sled};

/// Commits that sled may be behind the log before the writer waits for it.
const SLED_QUEUE_CAPACITY: usize = 16;
/// A key file is one short line.
const KEY_FILE_MAX_BYTES: u64 = 4096;
pub(super) const VAULT_KEY: Key = Key::new(Kind::Vault, 1);

pub(super) fn open(
    directory: DataDirectory,
    secret_key_file: Option<PathBuf>,
    options: StoreOptions,
) -> Result<Store, OpenError> {
    let log_directory = directory.commit_log();
    let log_error = |error: io::Error| OpenError::io(&log_directory, &error);
    directory::create_private_directory(&log_directory).map_err(log_error)?;
    if let Some(name) = file_system::network_file_system(directory.root()) {
        warn!(
            path = %directory.root().display(),
            "the data is on a network file system ({name}): after a failure of the network or the server, a sync or a lock may \
             not have been what it said. Put the data on a disk of this machine"
        );
    }
    let key_path = secret_key_file.unwrap_or_else(|| directory.default_secret_key_file());
    let is_new = generations::list(&log_directory).map_err(log_error)?.is_empty()
        && !directory.holds_sled_files().map_err(log_error)?;
    if is_new {
        create(&directory, &key_path)?;
    }
    let mut recovered = recovery::recover(&directory)?;
    let key = read_key(&key_path)?;
    let sealer = unlock(&recovered, &key, &key_path)?;
    let mut index = decode_index(&recovered.state, &sealer)?;
    index.time = Timestamp::from_unix_ms(recovered.position.time_ms);

    // From here on, files are changed.
    if let (true, LogState::Goes { file, .. }) = (directory.sync_failed().exists(), &recovered.log) {
        warn!("the disk failed to sync before; the commit log is written anew");
        recovered.log =
            LogState::Rewrite { generation: file.generation + 1, damaged: vec![file.path.clone()] };
    }
    let log = take_up_log(&directory, &recovered)?;
    directory::sync_names(&directory).map_err(|error| OpenError::io(directory.root(), &error))?;
    let sled = take_up_sled(&directory, &mut recovered);
    let position = recovered.position;
    let mark = |error: io::Error| OpenError::io(&directory.reached(), &error);
    reached::set_inside(&directory, position.sequence).map_err(mark)?;
    let reached = ReachedMark::open(&directory, recovered.store_id).map_err(mark)?;
    reached.note(position.sequence);
    directory::remove_if_present(&directory.sync_failed()).map_err(mark)?;
    info!(
        store_id = hex::encode(recovered.store_id),
        commits = position.sequence,
        connectors = index.connectors().len(),
        "the store is open"
    );

    let published = Arc::new(ArcSwap::from_pointee(index));
    let (requests_sender, requests) = mpsc::channel(QUEUE_CAPACITY);
    let (sled_sender, batches) = sync_channel(SLED_QUEUE_CAPACITY);
    let layout = Layout::clone(&directory);
    let writer = Writer {
        requests,
        published: Arc::clone(&published),
        sealer,
        state: recovered.state,
        position,
        log,
        sled: sled.is_some().then_some(sled_sender),
        layout: layout.clone(),
        store_id: recovered.store_id,
        reached,
        growth_bytes: options.log_growth_bytes,
        rewrite_from_bytes: 0,
    };
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
        thread.map_err(|error| OpenError::io(directory.root(), &error))
    };
    let mut threads = vec![spawn("store-writer", Box::new(move || writer.run()))?];
    if let Some(sled) = sled {
        threads.push(spawn("store-sled", Box::new(move || follow(sled, &batches, &layout.sled())))?);
    }
    Ok(Store { published, requests: requests_sender, threads: Mutex::new(threads), directory })
}

/// Makes both halves of a copy whole: nobody uses it, and its key is not needed.
pub(super) fn mend(layout: &Layout) -> Result<(State, Position), OpenError> {
    let mut recovered = recovery::recover(layout)?;
    take_up_log(layout, &recovered)?;
    let Some(sled) = take_up_sled(layout, &mut recovered) else {
        return Err(OpenError::damaged("sled could not be made whole".to_owned()));
    };
    sled.close(&layout.sled()).map_err(OpenError::damaged)?;
    reached::set_inside(layout, recovered.position.sequence)
        .map_err(|error| OpenError::io(layout.root(), &error))?;
    Ok((recovered.state, recovered.position))
}

/// Makes a new store: the key file first, then the log with the vault in it. From then on the store exists.
fn create(directory: &DataDirectory, key_path: &Path) -> Result<(), OpenError> {
    let mark =
        reached::find(directory, None).map_err(|error| OpenError::io(&directory.commit_log(), &error))?;
    if let Some(mark) = mark {
        return Err(OpenError::refused(format!(
            "{} shows that this directory held a store, but the files of {} are missing. Put them back, or name another \
             data directory to start a new store",
            mark.path.display(),
            directory.sled().display()
        )));
    }
    let key = if key_path.exists() {
        read_key(key_path)?
    } else {
        let key = SymmetricKey::random();
        let text = Zeroizing::new(format!("{}\n", key.to_text().as_str()));
        directory::write_private_file(key_path, text.as_bytes())
            .map_err(|error| OpenError::io(key_path, &error))?;
        info!(
            path = %key_path.display(),
            "made a key file: without it the saved secrets cannot be read; keep a copy of it apart from the backups"
        );
        key
    };
    let store_id = random_bytes();
    let (_, vault) = Sealer::create(store_id, &key);
    let mut state = State::default();
    state.apply(Change { key: VAULT_KEY, value: Some(encode_record(&vault).into()) });
    let header = Header { store_id, generation: 1, base: state.position(0, Timestamp::now().unix_ms()) };
    generations::create(directory, &header, &state)
        .map_err(|error| OpenError::io(&directory.commit_log(), &error))?;
    info!(path = %directory.root().display(), "made a new store");
    Ok(())
}

fn read_key(path: &Path) -> Result<SymmetricKey, OpenError> {
    let read = || {
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_MAX_BYTES as usize));
        File::open(path)?.take(KEY_FILE_MAX_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: io::Error| {
        OpenError::refused(format!(
            "the key file {} cannot be read ({error}); without it the saved secrets stay shut. Put the key file of this \
             store there, or name its place in secret_key_file",
            path.display()
        ))
    })?;
    SymmetricKey::from_text(&text).ok_or_else(|| {
        OpenError::refused(format!(
            "{} is not a key file: it should hold one line that begins with cdk1_",
            path.display()
        ))
    })
}

fn unlock(recovered: &Recovered, key: &SymmetricKey, key_path: &Path) -> Result<Sealer, OpenError> {
    let vault: Vault = recovered
        .state
        .get(VAULT_KEY)
        .ok_or_else(|| DecodeError::Damaged("it is missing".to_owned()))
        .and_then(decode_record)
        .map_err(|error| undecodable("the record with the wrapped data key", &error))?;
    Sealer::unlock(recovered.store_id, &vault, key).map_err(|error| match error {
        UnlockError::OtherKey { needed } => OpenError::refused(format!(
            "the key file {} (fingerprint {}) does not belong to this store, which needs the key with fingerprint {needed}",
            key_path.display(),
            key.fingerprint()
        )),
        UnlockError::Damaged => {
            OpenError::damaged("the wrapped data key does not open with the right key file".to_owned())
        }
    })
}

fn undecodable(what: &str, error: &DecodeError) -> OpenError {
    match error {
        DecodeError::Newer(version) => OpenError::refused(format!(
            "{what} has format {version}, written by a newer version; start the newer connectord that wrote it"
        )),
        DecodeError::Damaged(reason) => OpenError::damaged(format!("{what} cannot be used: {reason}")),
    }
}

fn decode_index(state: &State, sealer: &Sealer) -> Result<Index, OpenError> {
    let mut index = Index::default();
    for (key, value) in state.iter() {
        let decoded = match key.kind {
            Kind::Vault => Ok(()),
            Kind::Counter => decode_counter(&mut index, key.id, value),
            Kind::User => decode_into::<User>(&mut index, key.id, value, sealer),
            Kind::ApiKey => decode_into::<ApiKey>(&mut index, key.id, value, sealer),
            Kind::Connector => decode_into::<Connector>(&mut index, key.id, value, sealer),
            Kind::Job => decode_into::<Job>(&mut index, key.id, value, sealer),
            Kind::AuditEvent => decode_into::<AuditEvent>(&mut index, key.id, value, sealer),
        };
        decoded.map_err(|error| undecodable(&format!("the {} {}", key.kind.name(), key.id), &error))?;
    }
    Ok(index)
}

fn decode_into<T: Record>(
    index: &mut Index,
    id: u64,
    value: &[u8],
    sealer: &Sealer,
) -> Result<(), DecodeError> {
    let record = T::decode(id, value, sealer)?;
    T::table_mut(index).put(Arc::new(record));
    Ok(())
}

fn decode_counter(index: &mut Index, kind: u64, value: &[u8]) -> Result<(), DecodeError> {
    let all = [Kind::User, Kind::ApiKey, Kind::Connector, Kind::Job, Kind::AuditEvent];
    let kind = all
        .into_iter()
        .find(|known| *known as u64 == kind)
        .ok_or_else(|| DecodeError::Damaged("it counts an unknown kind".to_owned()))?;
    index.counters.insert(kind, decode_record(value)?);
    Ok(())
}
