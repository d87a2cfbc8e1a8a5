//! Opening a store: finds out what is there, mends what can be mended, and takes it up for writing.

mod error;
mod halves;
mod unlocking;

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tracing::{info, warn};

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
use crate::store::generations::{self, LogEnd};
use crate::store::index::Index;
use crate::store::key_file::{self, KeyFile, KeyPlace};
use crate::store::reached::{self, ReachedMark};
use crate::store::records::{DecodeError, Record, decode_record, encode_record};
use crate::store::recovery::{self, LogState, Recovered};
use crate::store::resealing;
use crate::store::sealing::{Sealer, SymmetricKey, Vault};
use crate::store::sled_trees::SledTrees;
use crate::store::state::{Change, Key, Kind, Position, State};
use crate::store::writer::Writer;
use crate::store::{QUEUE_CAPACITY, Store, StoreOptions};
pub use error::{OpenError, OpenErrorKind};
use halves::{follow, take_up_log, take_up_sled};
pub(crate) use unlocking::{NO_CODE, Way, read_vault};

/// Commits that sled may be behind the log before the writer waits for it.
const SLED_QUEUE_CAPACITY: usize = 16;
pub(super) const VAULT_KEY: Key = Key::new(Kind::Vault, 1);

pub(super) fn open(
    directory: DataDirectory,
    way: Way<'_>,
    options: StoreOptions,
) -> Result<Store, OpenError> {
    prepare(&directory, way)?;
    let mut recovered = recovery::recover(&directory)?;
    let vault = read_vault(&recovered.state)?;
    let (sealer, left_to_do) = unlocking::unlock(recovered.store_id, &vault, way)?;
    if let Way::KeyFile(place) = way {
        place.warn_if_open_to_others();
    }
    let mut index = decode_index(&recovered.state, &sealer)?;
    index.time = Timestamp::from_unix_ms(recovered.position.time_ms);

    // From here on, files are changed.
    remove_unfinished(&directory, way)?;
    distrust_page_cache(&directory, &mut recovered);
    let log = take_up_log(&directory, &recovered)?;
    directory::sync_names(&directory).map_err(|error| OpenError::io(directory.root(), &error))?;
    // Only now it is sure that the commit is on disk which the new key file belongs to.
    unlocking::finish(way, left_to_do)?;
    let sled = take_up_resealed_sled(&directory, &vault, &mut recovered, &log)?;
    let reached = mark_reached(&directory, &recovered)?;
    info!(
        store_id = hex::encode(recovered.store_id),
        commits = recovered.position.sequence,
        connectors = index.connectors().len(),
        "the store is open"
    );
    start(directory, options, Opened { recovered, index, sealer, log, sled, reached })
}

/// What an opening found out, from which the store works.
struct Opened {
    recovered: Recovered,
    index: Index,
    sealer: Sealer,
    log: LogEnd,
    sled: Option<SledTrees>,
    reached: ReachedMark,
}

/// Looks at where the store is or is to be, and makes a new one where there is none yet.
fn prepare(directory: &DataDirectory, way: Way<'_>) -> Result<(), OpenError> {
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
    let is_new = generations::list(&log_directory).map_err(log_error)?.is_empty()
        && !directory.holds_sled_files().map_err(log_error)?;
    match way {
        Way::KeyFile(place) => {
            place.check_outside(directory)?;
            if is_new { create(directory, place) } else { Ok(()) }
        }
        Way::RecoveryCode(_) if is_new => {
            Err(OpenError::refused(format!("{} holds no store", directory.sled().display())))
        }
        Way::RecoveryCode(_) => Ok(()),
    }
}

/// Removes what a write that was killed left.
fn remove_unfinished(directory: &Layout, way: Way<'_>) -> Result<(), OpenError> {
    directory::remove_all_unfinished(directory).map_err(|error| OpenError::io(directory.root(), &error))?;
    if let Way::KeyFile(place) = way {
        place.remove_unfinished();
    }
    Ok(())
}

/// After a sync that failed, what is read from the log may not be on disk: it is written anew.
fn distrust_page_cache(directory: &Layout, recovered: &mut Recovered) {
    if let (true, LogState::Goes { file, .. }) = (directory.sync_failed().exists(), &recovered.log) {
        warn!("the disk failed to sync before; the commit log is written anew");
        recovered.log =
            LogState::Rewrite { generation: file.generation + 1, damaged: vec![file.path.clone()] };
    }
}

/// Takes up sled. Where everything was sealed anew, what was sealed before goes first.
fn take_up_resealed_sled(
    directory: &Layout,
    vault: &Vault,
    recovered: &mut Recovered,
    log: &LogEnd,
) -> Result<Option<SledTrees>, OpenError> {
    let is_resealed = resealing::is_unfinished(directory, vault)?;
    let is_sled_gone = is_resealed && resealing::remove_old_sled(directory, recovered);
    let sled = take_up_sled(directory, recovered);
    if is_resealed && resealing::remove_old_files(directory, log.generation) && is_sled_gone {
        resealing::remove_mark(directory);
    }
    Ok(sled)
}

/// Notes how far the store has come, and that it was written anew after a sync that failed.
fn mark_reached(directory: &Layout, recovered: &Recovered) -> Result<ReachedMark, OpenError> {
    let mark = |error: io::Error| OpenError::io(&directory.reached(), &error);
    let sequence = recovered.position.sequence;
    reached::set_inside(directory, sequence).map_err(mark)?;
    let reached = ReachedMark::open(directory, recovered.store_id).map_err(mark)?;
    reached.note(sequence);
    directory::remove_if_present(&directory.sync_failed()).map_err(mark)?;
    Ok(reached)
}

/// Starts the threads that change the store.
fn start(directory: DataDirectory, options: StoreOptions, opened: Opened) -> Result<Store, OpenError> {
    let Opened { recovered, index, sealer, log, sled, reached } = opened;
    let published = Arc::new(ArcSwap::from_pointee(index));
    let (requests_sender, requests) = mpsc::channel(QUEUE_CAPACITY);
    let (sled_sender, batches) = sync_channel(SLED_QUEUE_CAPACITY);
    let layout = Layout::clone(&directory);
    let writer = Writer {
        requests,
        published: Arc::clone(&published),
        sealer,
        state: recovered.state,
        position: recovered.position,
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
    let (requests, threads) = (requests_sender, Mutex::new(threads));
    Ok(Store { published, requests, threads, directory, store_id: recovered.store_id })
}

/// Opens the secrets with the key file alone; nothing is changed.
pub(super) fn unlock(store_id: [u8; 16], vault: &Vault, place: &KeyPlace) -> Result<Sealer, OpenError> {
    unlocking::unlock(store_id, vault, Way::KeyFile(place)).map(|(sealer, _)| sealer)
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
fn create(directory: &DataDirectory, place: &KeyPlace) -> Result<(), OpenError> {
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
    place.check_nothing_waits()?;
    let key = match place.read() {
        KeyFile::Key(key) => {
            if place.is_beside_data() {
                warn!(
                    path = %directory.sled().display(),
                    "there is a key file but no store: a new one is made. A backup would belong there"
                );
            }
            key
        }
        KeyFile::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => make_key_file(place)?,
        KeyFile::Unreadable(error) => return Err(key_file::unreadable(place.path(), &error)),
        KeyFile::Malformed => {
            return Err(OpenError::refused(format!(
                "{} is not a key file: it should hold one line that begins with cdk1_. Nothing was made",
                place.path().display()
            )));
        }
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

fn make_key_file(place: &KeyPlace) -> Result<SymmetricKey, OpenError> {
    let key = SymmetricKey::random();
    place.create(&key)?;
    let path = place.path().display();
    info!(
        %path,
        "made a key file: without it the saved secrets cannot be read; keep a copy of it apart from the backups"
    );
    if place.is_beside_data() {
        info!(
            %path,
            "the key file lies on the same disk as the data: better move it to another one and name its place in \
             secret_key_file, or give it as the systemd credential secret-key"
        );
    }
    Ok(key)
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
            Kind::Vault => decode_record(value).map(|vault| index.vault = Some(Arc::new(vault))),
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
    let kind = Kind::ALL
        .into_iter()
        .find(|known| known.is_counted() && *known as u64 == kind)
        .ok_or_else(|| DecodeError::Damaged("it counts an unknown kind".to_owned()))?;
    index.counters.insert(kind, decode_record(value)?);
    Ok(())
}
