//! What has to hold for any bytes in the place of a file of the commit log; see [`crate::fuzzing`].
//!
//! The first byte says what the others are: a file as it is; frames whose checksums are made right, so that what is
//! behind them is reached; or changes, which are written as the program writes them, and cut somewhere.

use std::io::Cursor;

use super::scan::scan_reader;
use super::{
    Entry, FORMAT_VERSION, HEADER_BYTES, Header, MAGIC, ReadError, Scan, encode_generation, push_commit,
    push_frame,
};
use crate::store::state::{Change, Key, Kind, POSITION_BYTES, Position, State};

const GENERATION: u64 = 4;

/// An entry, to be compared: its position and its changes.
type Seen = (Option<Position>, Vec<(Key, Option<Box<[u8]>>)>);

/// A file of the commit log.
pub fn fuzz(data: &[u8]) {
    match data.split_first() {
        None => check(&[]),
        Some((kind, rest)) => match kind % 3 {
            0 => check(rest),
            1 => check(&framed(rest)),
            _ => check_written(rest),
        },
    }
}

/// Whatever a file holds: what is read ends within it, and what is taken for whole is whole when it is read alone.
fn check(file: &[u8]) {
    let Some((found, entries)) = read(file) else { return };
    let held = entries.iter().flat_map(|(_, changes)| changes).filter_map(|(_, value)| value.as_ref());
    assert!(held.map(|value| value.len()).sum::<usize>() <= file.len());
    assert!(found.end_offset <= file.len().max(HEADER_BYTES) as u64, "{found:?}");
    if found.is_whole() {
        assert_eq!(found.end_offset + found.torn_bytes, file.len() as u64, "{found:?}");
        let (again, entries_again) = read(&file[..found.end_offset as usize]).expect("the same header");
        assert!(again.is_whole() && again.torn_bytes == 0, "{again:?}");
        assert_eq!((again.position, entries_again), (found.position, entries));
    }
}

/// Reads a file; `None` where a newer version wrote it.
fn read(file: &[u8]) -> Option<(Scan, Vec<Seen>)> {
    let mut entries = Vec::new();
    let listed =
        |changes: Vec<Change>| changes.into_iter().map(|change| (change.key, change.value)).collect();
    let visit = |entry| {
        entries.push(match entry {
            Entry::State(changes) => (None, listed(changes)),
            Entry::StateEnd(position) => (Some(position), Vec::new()),
            Entry::Commit(position, changes) => (Some(position), listed(changes)),
        });
    };
    match scan_reader(Cursor::new(file), file.len() as u64, GENERATION, visit) {
        Ok(found) => Some((found, entries)),
        Err(ReadError::NewerFormat(format)) => {
            assert!(format > FORMAT_VERSION);
            None
        }
        Err(ReadError::Io(error)) => panic!("bytes in memory can always be read: {error}"),
    }
}

/// A header with a base of these bytes, then frames: kind, length, damage or none, body.
fn framed(data: &[u8]) -> Vec<u8> {
    let mut base = [0; POSITION_BYTES];
    let (given, mut rest) = data.split_at(data.len().min(POSITION_BYTES));
    base[..given.len()].copy_from_slice(given);
    let mut file = MAGIC.to_vec();
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&[0; 4 + 16]);
    file.extend_from_slice(&GENERATION.to_le_bytes());
    file.extend_from_slice(&base);
    let checksum = crc32c::crc32c(&file);
    file.extend_from_slice(&checksum.to_le_bytes());
    while let [kind, length, damage, after @ ..] = rest {
        let (body, after) = after.split_at(after.len().min(usize::from(*length)));
        let offset = file.len();
        push_frame(&mut file, GENERATION, offset as u64, *kind, body);
        // None at zero, so that a frame is good more often than not.
        if let (1.., Some(byte)) = (*damage, file.get_mut(offset + usize::from(*damage))) {
            *byte ^= 1;
        }
        rest = after;
    }
    file
}

/// Changes as the program writes them are read back, also where the last commits were cut.
fn check_written(data: &[u8]) {
    let (cut, data) = data.split_at(data.len().min(2));
    let cut = cut.iter().fold(0, |cut, byte| cut << 8 | usize::from(*byte));
    let mut state = State::default();
    let mut changes = changes(data);
    for change in changes.split_off(changes.len() / 2) {
        state.apply(change);
    }
    let header = Header { store_id: [7; 16], generation: GENERATION, base: state.position(10, 1000) };
    let mut file = encode_generation(&header, &state);
    let state_bytes = file.len();
    let mut commits: Vec<(usize, Seen)> = Vec::new();
    for (batch, sequence) in changes.chunks(3).zip(11..) {
        batch.iter().cloned().for_each(|change| drop(state.apply(change)));
        let position = state.position(sequence, 1000);
        let mut frame = Vec::new();
        push_commit(&mut frame, GENERATION, file.len() as u64, &position, batch);
        file.extend_from_slice(&frame);
        let listed = batch.iter().map(|change| (change.key, change.value.clone())).collect();
        commits.push((file.len(), (Some(position), listed)));
    }
    file.truncate(file.len() - cut % (file.len() - state_bytes + 1));
    check(&file);
    let (found, entries) = read(&file).expect("of this version");
    assert!(found.is_whole(), "{found:?}");
    let expected: Vec<Seen> =
        commits.into_iter().filter(|(end, _)| *end <= file.len()).map(|(_, commit)| commit).collect();
    assert!(entries.ends_with(&expected), "{found:?}");
    let read_commits = entries.iter().filter(|(position, _)| position.is_some()).count() - 1;
    assert_eq!(read_commits, expected.len());
}

/// Changes: a byte for kind and removal, one for the id, one for the length, the value.
fn changes(mut rest: &[u8]) -> Vec<Change> {
    const KINDS: [Kind; 3] = [Kind::Vault, Kind::User, Kind::Connector];
    let mut changes = Vec::new();
    while let [kind, id, length, after @ ..] = rest {
        let (value, after) = after.split_at(after.len().min(usize::from(*length)));
        let key = Key::new(KINDS[usize::from(*kind) % KINDS.len()], u64::from(*id));
        changes.push(Change { key, value: (*kind < 200).then(|| value.into()) });
        rest = after;
    }
    changes
}
