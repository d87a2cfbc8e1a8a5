//! Opening a store trusts nothing: the log is checked frame by frame, sled is proved against the log, and the state
//! is proved against the digest of the last commit. What does not fit together is refused, never started over.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::domain::api_key::ApiKey;
use crate::domain::connector::Connector;
use crate::domain::job::Job;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::random::random_bytes;
use crate::store::commit_log::{self, Entry, Header, ReadError, Scan, Tail};
use crate::store::directory::{self, DataDirectory, DirectoryError};
use crate::store::index::Index;
use crate::store::records::{Record, decode_record, encode_record};
use crate::store::sealing::{Sealer, SymmetricKey, UnlockError, Vault};
use crate::store::sled_trees::{Loaded, SledBatch, SledTrees};
use crate::store::state::{Change, Key, Kind, Position, State};
use crate::store::writer::{LogEnd, Writer};
use crate::store::{QUEUE_CAPACITY, Store};

/// Commits that sled may be behind the log before the writer waits for it.
const SLED_QUEUE_CAPACITY: usize = 16;
const VAULT_KEY: Key = Key::new(Kind::Vault, 1);

/// Why a store did not open, in words for its owner.
#[derive(Debug)]
pub struct OpenError {
    /// What kind of trouble it is; decides the exit status.
    pub kind: OpenErrorKind,
    /// What is wrong, where, and what to do.
    pub message: String,
}

/// What kind of trouble keeps a store shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenErrorKind {
    /// Another process has the directory, or the key or a newer format is the matter: nothing is damaged.
    Refused,
    /// Data is damaged.
    Damaged,
    /// The file system refuses.
    Io,
}

impl OpenError {
    fn refused(message: String) -> Self {
        Self { kind: OpenErrorKind::Refused, message }
    }

    fn damaged(message: String) -> Self {
        Self { kind: OpenErrorKind::Damaged, message }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        Self { kind: OpenErrorKind::Io, message: format!("{}: {error}", path.display()) }
    }
}

impl From<DirectoryError> for OpenError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::InUse(Some(process)) => Self::refused(format!(
                "another connectord (pid {process}) uses this directory; stop it first"
            )),
            DirectoryError::InUse(None) => {
                Self::refused("another connectord uses this directory; stop it first".to_owned())
            }
            DirectoryError::Io(path, error) => Self::io(&path, &error),
        }
    }
}

/// A state that is proved, and where to go on.
struct Recovered {
    state: State,
    header: Header,
    scan: Scan,
    log_path: PathBuf,
    sled: SledTrees,
    /// Whether sled could be brought up to the log; else it stays behind until the next opening.
    is_sled_current: bool,
}

pub(super) fn open(directory: DataDirectory, secret_key_file: Option<PathBuf>) -> Result<Store, OpenError> {
    let log_directory = directory.commit_log();
    directory::create_private_directory(&log_directory)
        .map_err(|error| OpenError::io(&log_directory, &error))?;
    let generations = commit_log::list_generations(&log_directory);
    let generations = generations.map_err(|error| OpenError::io(&log_directory, &error))?;
    let key_path = secret_key_file.unwrap_or_else(|| directory.default_secret_key_file());

    let log_path = match generations.last() {
        Some((_, path)) => path.clone(),
        None => create(&directory, &key_path)?,
    };
    let key = read_key(&key_path)?;
    let recovered = recover(&directory, log_path)?;
    let sealer = unlock(&recovered, &key, &key_path)?;
    let index = decode_index(&recovered.state, &sealer)?;
    start(directory, recovered, sealer, index)
}

/// Makes a new store: the key file first, then the log with the vault in it. From then on the store exists.
fn create(directory: &DataDirectory, key_path: &Path) -> Result<PathBuf, OpenError> {
    let sled = directory.sled();
    if holds_sled_files(&sled).map_err(|error| OpenError::io(&sled, &error))? {
        return Err(OpenError::damaged(format!(
            "{} holds data, but its commit-log directory is empty: files are missing. Restore the whole directory from \
             a backup, or name another data directory to start a new store",
            sled.display()
        )));
    }
    let key = match read_key(key_path) {
        Ok(key) => key,
        Err(_) if !key_path.exists() => {
            let key = SymmetricKey::random();
            let text = format!("{}\n", key.to_text().as_str());
            directory::write_private_file(key_path, text.as_bytes())
                .map_err(|error| OpenError::io(key_path, &error))?;
            info!(
                path = %key_path.display(),
                "made a key file: without it the saved secrets cannot be read; keep a copy of it apart from the backups"
            );
            key
        }
        Err(error) => return Err(error),
    };
    let store_id = random_bytes();
    let (_, vault) = Sealer::create(store_id, &key);
    let mut state = State::default();
    state.apply(Change { key: VAULT_KEY, value: Some(encode_record(&vault).into()) });
    let header = Header { store_id, generation: 1, base: state.position(0, Timestamp::now().unix_ms()) };
    let path = directory.commit_log().join(commit_log::file_name(header.generation));
    let written = directory::write_private_file(&path, &commit_log::encode_generation(&header, &state))
        .and_then(|()| directory::sync_parent(&directory.commit_log()))
        .and_then(|()| directory::sync_parent(&directory.sled()))
        .and_then(|()| directory::sync_parent(directory.root()));
    written.map_err(|error| OpenError::io(&path, &error))?;
    info!(path = %directory.root().display(), "made a new store");
    Ok(path)
}

fn read_key(path: &Path) -> Result<SymmetricKey, OpenError> {
    let text = fs::read_to_string(path).map(zeroize::Zeroizing::new).map_err(|error| {
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

/// Proves a state: sled with the log's tail where sled can be proved, else the log alone.
fn recover(directory: &DataDirectory, log_path: PathBuf) -> Result<Recovered, OpenError> {
    let sled_directory = directory.sled();
    let header = commit_log::read_file_header(&log_path).map_err(|error| describe(&log_path, error))?;
    let (sled, loaded) = open_sled(directory, header.store_id)?;

    let sled_position = loaded.as_ref().map(|loaded| loaded.position);
    let is_behind_sled =
        |position: &Position| sled_position.is_some_and(|sled| position.sequence <= sled.sequence);
    let mut is_proved = sled_position.is_none_or(|position| position == header.base);
    let mut state = loaded.map(|loaded| loaded.state).unwrap_or_default();
    let mut followed = Ok(());
    // One pass: up to sled's position the log only has to agree with it, from there on it is replayed.
    let scan = commit_log::scan(&log_path, |entry| match entry {
        Entry::State(changes) if sled_position.is_none() => {
            changes.into_iter().for_each(|change| drop(state.apply(change)));
        }
        Entry::State(_) | Entry::StateEnd => {}
        Entry::Commit(position, _) if is_behind_sled(&position) => {
            is_proved |= sled_position == Some(position)
        }
        Entry::Commit(position, changes) => {
            let replay = |change: Change| {
                let length_before = state.apply(change.clone()).map_or(0, |before| before.len());
                (change, length_before)
            };
            let changes = changes.into_iter().map(replay).collect();
            if sled_position.is_some() && is_proved && followed.is_ok() {
                followed = sled.apply(&SledBatch { position, changes });
            }
        }
    })
    .map_err(|error| describe(&log_path, error))?;
    if scan.tail == Tail::Damaged {
        return Err(OpenError::damaged(format!(
            "{} is damaged at offset {}, and good records follow behind it. Restore the whole directory from a backup",
            log_path.display(),
            scan.end_offset
        )));
    }
    if !is_proved || !state.is_at(&scan.position) {
        return Err(OpenError::damaged(format!(
            "{} and {} do not fit together. If a backup was copied over existing data, restore it into an empty directory",
            sled_directory.display(),
            log_path.display()
        )));
    }
    if sled_position.is_none() {
        followed = sled.fill(&state, &scan.position);
    }
    if let Err(reason) = &followed {
        warn!(reason, "sled could not be brought up to the commit log; nothing is lost");
    }
    Ok(Recovered { state, header, scan, log_path, sled, is_sled_current: followed.is_ok() })
}

/// Opens sled and reads what it holds; a new one, or one that cannot be used and was set aside, holds nothing.
fn open_sled(
    directory: &DataDirectory,
    store_id: [u8; 16],
) -> Result<(SledTrees, Option<Loaded>), OpenError> {
    let path = directory.sled();
    if !holds_sled_files(&path).map_err(|error| OpenError::io(&path, &error))? {
        return Ok((SledTrees::open(&path, store_id).map_err(OpenError::damaged)?, None));
    }
    let opened = SledTrees::open(&path, store_id).and_then(|sled| {
        let loaded = sled.load()?;
        Ok((sled, Some(loaded)))
    });
    match opened {
        Ok(opened) => Ok(opened),
        Err(reason) => {
            warn!(reason, "sled cannot be used; it is set aside and rebuilt from the commit log");
            set_sled_aside(directory).map_err(|error| OpenError::io(&path, &error))?;
            Ok((SledTrees::open(&path, store_id).map_err(OpenError::damaged)?, None))
        }
    }
}

fn holds_sled_files(path: &Path) -> io::Result<bool> {
    let mut entries = fs::read_dir(path)?;
    Ok(entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "commit-log")))
}

/// Moves sled's own files out of the way, as one `sled.bad` beside the sled directory.
fn set_sled_aside(directory: &DataDirectory) -> io::Result<()> {
    let aside = directory.root().join("sled.bad");
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    directory::create_private_directory(&aside)?;
    for entry in fs::read_dir(directory.sled())? {
        let entry = entry?;
        if entry.file_name() != "commit-log" {
            fs::rename(entry.path(), aside.join(entry.file_name()))?;
        }
    }
    directory::sync_parent(&directory.commit_log())
}

fn describe(path: &Path, error: ReadError) -> OpenError {
    let path = path.display();
    match error {
        ReadError::Io(error) => OpenError { kind: OpenErrorKind::Io, message: format!("{path}: {error}") },
        ReadError::NewerFormat(format) => OpenError::refused(format!(
            "{path} has format {format}, this version knows up to {}. Start the newer connectord that wrote it",
            commit_log::FORMAT_VERSION
        )),
        ReadError::Damaged(reason) => OpenError::damaged(format!(
            "{path} is damaged: {reason}. Restore the whole directory from a backup"
        )),
    }
}

fn unlock(recovered: &Recovered, key: &SymmetricKey, key_path: &Path) -> Result<Sealer, OpenError> {
    let vault: Vault = recovered
        .state
        .get(VAULT_KEY)
        .ok_or_else(|| "it is missing".to_owned())
        .and_then(decode_record)
        .map_err(|reason| {
            OpenError::damaged(format!("the record with the wrapped data key cannot be used: {reason}"))
        })?;
    Sealer::unlock(recovered.header.store_id, &vault, key).map_err(|error| match error {
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
        };
        decoded.map_err(|reason| {
            OpenError::damaged(format!("record {} of kind {:?} cannot be used: {reason}", key.id, key.kind))
        })?;
    }
    Ok(index)
}

fn decode_into<T: Record>(index: &mut Index, id: u64, value: &[u8], sealer: &Sealer) -> Result<(), String> {
    let record = T::decode(id, value, sealer)?;
    T::table_mut(index).put(Arc::new(record));
    Ok(())
}

fn decode_counter(index: &mut Index, kind: u64, value: &[u8]) -> Result<(), String> {
    let all = [Kind::User, Kind::ApiKey, Kind::Connector, Kind::Job];
    let kind = all.into_iter().find(|known| *known as u64 == kind).ok_or("it counts an unknown kind")?;
    index.counters.insert(kind, decode_record(value)?);
    Ok(())
}

/// Takes the log up for appending and starts the threads.
fn start(
    directory: DataDirectory,
    recovered: Recovered,
    sealer: Sealer,
    index: Index,
) -> Result<Store, OpenError> {
    let Recovered { state, header, scan, log_path, sled, is_sled_current } = recovered;
    let file = OpenOptions::new().read(true).write(true).open(&log_path);
    let file = file.map_err(|error| OpenError::io(&log_path, &error))?;
    if let Tail::Torn { length } = scan.tail {
        cut_torn_tail(&directory, &log_path, &file, scan.end_offset, length)
            .map_err(|error| OpenError::io(&log_path, &error))?;
    }
    info!(
        store_id = hex::encode(header.store_id),
        commits = scan.position.sequence,
        connectors = index.connectors().len(),
        "the store is open"
    );
    let published = Arc::new(ArcSwap::from_pointee(index));
    let (requests_sender, requests) = mpsc::channel(QUEUE_CAPACITY);
    let (sled_sender, batches) = sync_channel(SLED_QUEUE_CAPACITY);
    let log = LogEnd { file, generation: header.generation, offset: scan.end_offset };
    let writer = Writer {
        requests,
        published: Arc::clone(&published),
        sealer,
        state,
        position: scan.position,
        log,
        sled: sled_sender,
    };
    let sled_thread = {
        let sled_directory = directory.sled();
        spawn("store-sled", move || follow(sled, &batches, is_sled_current, &sled_directory))
    };
    let writer_thread = spawn("store-writer", move || writer.run());
    let threads = vec![
        writer_thread.map_err(|error| OpenError::io(directory.root(), &error))?,
        sled_thread.map_err(|error| OpenError::io(directory.root(), &error))?,
    ];
    Ok(Store { published, requests: requests_sender, threads: Mutex::new(threads), directory })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// An append that did not end was never acknowledged. Its bytes are kept aside before they are cut.
fn cut_torn_tail(
    directory: &DataDirectory,
    path: &Path,
    file: &File,
    offset: u64,
    length: u64,
) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, offset)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = directory.root().join(format!("{name}.cut-at-{offset}"));
    directory::write_private_file(&aside, &bytes)?;
    warn!(
        file = %path.display(),
        offset,
        length,
        set_aside = %aside.display(),
        "the last record of the commit log did not end; it was never acknowledged and is cut"
    );
    file.set_len(offset)?;
    file.sync_all()
}

/// Lets sled follow the log. Its first failure ends that until the next start; the log goes on.
fn follow(sled: SledTrees, batches: &Receiver<SledBatch>, mut is_current: bool, directory: &Path) {
    while let Ok(batch) = batches.recv() {
        if !is_current {
            continue;
        }
        if let Err(reason) = sled.apply(&batch) {
            error!(reason, "sled does not follow any more; nothing is lost, it is rebuilt at the next start");
            is_current = false;
        }
    }
    if let Err(reason) = sled.close(directory) {
        warn!(reason, "sled was not closed cleanly; nothing is lost");
    }
}
