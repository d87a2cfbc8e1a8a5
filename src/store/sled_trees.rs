//! sled, held at arm's length: it follows the commit log, is never waited for, and may panic.
//!
//! sled 0.34 does not call fsync in `flush`, can panic while opening, and can come back empty after a bad copy. So
//! nothing here is believed without the digest in `meta`, and every call runs under `catch_unwind`.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::store::state::{Change, KEY_BYTES, Key, POSITION_BYTES, Position, State};

/// Values are cut into pieces of this size: sled keeps larger ones as files that it never syncs.
const PIECE_BYTES: usize = 24 * 1024;
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
const TREE: &str = "state";
/// Shorter than any record key, so that it is none.
const META_KEY: &[u8] = b"meta";
const META_VERSION: u8 = 1;

/// A commit, or several, to bring sled up to a position.
pub(crate) struct SledBatch {
    pub(crate) position: Position,
    /// Each change, with the length of the value that it replaces.
    pub(crate) changes: Vec<(Change, usize)>,
}

/// An open sled.
pub(crate) struct SledTrees {
    database: sled::Db,
    tree: sled::Tree,
    store_id: [u8; 16],
}

/// What sled holds, proved against its own `meta`.
pub(crate) struct Loaded {
    pub(crate) store_id: [u8; 16],
    pub(crate) state: State,
    pub(crate) position: Position,
}

impl SledTrees {
    /// Opens or creates sled in the directory. The error says why it cannot be used.
    pub(crate) fn open(directory: &Path) -> Result<Self, String> {
        guarded("opening", || {
            let database = sled::Config::new().path(directory).cache_capacity(CACHE_BYTES).open()?;
            let tree = database.open_tree(TREE)?;
            Ok(Self { database, tree, store_id: [0; 16] })
        })
    }

    /// Says whose data is written from now on.
    pub(crate) fn bind(&mut self, store_id: [u8; 16]) {
        self.store_id = store_id;
    }

    /// Reads everything. The error says what does not fit together.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        let meta = guarded("reading", || self.tree.get(META_KEY))?.ok_or("it has no meta record")?;
        let (store_id, position) = parse_meta(&meta)?;
        let mut state = State::default();
        let mut open_record: Option<(Key, Vec<u8>)> = None;
        let scan = guarded("scanning", || {
            let mut problem = None;
            for item in self.tree.iter() {
                let (key, value) = item?;
                if key == META_KEY {
                    continue;
                }
                if let Err(reason) = push_piece(&mut state, &mut open_record, &key, &value) {
                    problem = Some(reason);
                    break;
                }
            }
            Ok(problem)
        })?;
        if let Some(reason) = scan {
            return Err(reason);
        }
        if let Some((key, value)) = open_record {
            state.apply(Change { key, value: Some(value.into()) });
        }
        if !state.is_at(&position) {
            return Err("its records do not agree with its own digest".to_owned());
        }
        Ok(Loaded { store_id, state, position })
    }

    /// Applies a batch and the position after it, in one atomic step of sled.
    pub(crate) fn apply(&self, batch: &SledBatch) -> Result<(), String> {
        let mut sled_batch = sled::Batch::default();
        for (change, length_before) in &batch.changes {
            let pieces = change.value.as_deref().map_or(0, piece_count);
            for (number, piece) in change.value.iter().flat_map(|value| pieces_of(value)).enumerate() {
                sled_batch.insert(piece_key(change.key, number).as_slice(), piece);
            }
            for number in pieces..length_before.div_ceil(PIECE_BYTES) {
                sled_batch.remove(piece_key(change.key, number).as_slice());
            }
        }
        sled_batch.insert(META_KEY, self.encode_meta(&batch.position));
        guarded("writing", || self.tree.apply_batch(sled_batch))
    }

    /// Fills an empty sled with a whole state; `meta` comes last, so that a half-filled one is seen as such.
    pub(crate) fn fill(&self, state: &State, position: &Position) -> Result<(), String> {
        for (key, value) in state.iter() {
            let pieces = pieces_of(value).enumerate().collect::<Vec<_>>();
            guarded("filling", || {
                for (number, piece) in &pieces {
                    self.tree.insert(piece_key(key, *number), *piece)?;
                }
                Ok(())
            })?;
        }
        self.apply(&SledBatch { position: *position, changes: Vec::new() })
    }

    /// Drops sled without a word: dropping it may panic too.
    pub(crate) fn discard(self) {
        let _ = guarded("closing", || {
            drop(self);
            Ok(())
        });
    }

    /// Flushes and syncs: sled's own flush does not call fsync.
    pub(crate) fn close(self, directory: &Path) -> Result<(), String> {
        let flushed = guarded("flushing", || self.database.flush().map(|_| ()));
        self.discard();
        flushed?;
        File::open(directory.join("db"))
            .and_then(|file| file.sync_data())
            .map_err(|error| format!("syncing sled's file failed: {error}"))
    }

    fn encode_meta(&self, position: &Position) -> Vec<u8> {
        [&[META_VERSION], self.store_id.as_slice(), &position.to_bytes()].concat()
    }
}

fn parse_meta(meta: &[u8]) -> Result<([u8; 16], Position), String> {
    let (version, rest) = meta.split_first().ok_or("its meta record is empty")?;
    if *version != META_VERSION {
        return Err(format!("its meta record has format {version}"));
    }
    let (store_id, position) = rest.split_first_chunk::<16>().ok_or("its meta record is too short")?;
    let position: &[u8; POSITION_BYTES] =
        position.try_into().map_err(|_| "its meta record has a wrong length".to_owned())?;
    Ok((*store_id, Position::from_bytes(position)))
}

/// Puts the pieces of values together again: they come in order.
fn push_piece(
    state: &mut State,
    open_record: &mut Option<(Key, Vec<u8>)>,
    sled_key: &[u8],
    piece: &[u8],
) -> Result<(), String> {
    let (key, number) = sled_key.split_first_chunk::<KEY_BYTES>().ok_or("it has a key of unknown form")?;
    let key = Key::from_bytes(*key).ok_or("it has a record of unknown kind")?;
    let number: [u8; 2] = number.try_into().map_err(|_| "it has a key of unknown form".to_owned())?;
    match open_record {
        Some((open_key, value)) if *open_key == key => {
            if usize::from(u16::from_be_bytes(number)) * PIECE_BYTES != value.len() {
                return Err("a piece of a record is missing".to_owned());
            }
            value.extend_from_slice(piece);
        }
        Some(_) | None => {
            if number != [0, 0] {
                return Err("the first piece of a record is missing".to_owned());
            }
            if let Some((key, value)) = open_record.replace((key, piece.to_vec())) {
                state.apply(Change { key, value: Some(value.into()) });
            }
        }
    }
    Ok(())
}

fn piece_count(value: &[u8]) -> usize {
    value.len().div_ceil(PIECE_BYTES)
}

fn pieces_of(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.chunks(PIECE_BYTES)
}

fn piece_key(key: Key, number: usize) -> [u8; KEY_BYTES + 2] {
    let mut bytes = [0; KEY_BYTES + 2];
    bytes[..KEY_BYTES].copy_from_slice(&key.to_bytes());
    let number = u16::try_from(number).expect("a record of at most 64 MiB has fewer than 65,536 pieces");
    bytes[KEY_BYTES..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Runs a call of sled; a panic in it is an error like any other.
fn guarded<T>(doing: &str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{doing} sled failed: {error}")),
        Err(_) => Err(format!("{doing} sled failed: it panicked")),
    }
}
