//! The commit log: files of checksummed frames. A commit counts from the moment that its frame is synced.
//!
//! ```text
//! file    header, frames
//! header  magic (8), format u32, reserved u32, store id (16), generation u64, base position (56), crc32c u32
//! frame   marker (4), kind u8, zero (3), body length u32, crc32c u32, body
//! kinds   1 state:     count u32, then changes: a part of the full state at the base
//!         2 state end: position; it equals the base
//!         3 commit:    position after it, offset u64 where its batch begins, count u32, then changes
//! change  key (9), value length u32 (0xffff_ffff: removed), value
//! ```
//!
//! Numbers are little-endian. A frame's checksum covers the generation and the frame's offset too, so that a frame
//! that strayed from another file or place is not taken for a good one. The marker lets a reader find frames behind a
//! bad place. Requests share a write and a sync, so a batch that was not synced may have lost its first page and kept
//! its second: a bad place is an append that did not end where only frames of its own batch follow, else damage.

#[cfg(any(test, fuzzing))]
mod fuzzing;
mod scan;

#[cfg(any(test, fuzzing))]
pub use fuzzing::fuzz;
pub(crate) use scan::{Entry, ReadError, Scan, read_file_header, scan};

use crate::store::state::{Change, Key, POSITION_BYTES, Position, State};

/// The format that this version writes.
pub(crate) const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"cnctrlog";
const MARKER: [u8; 4] = *b"\xc0CDf";
const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 8 + POSITION_BYTES + 4;
const FRAME_HEADER_BYTES: usize = 16;
const REMOVED: u32 = u32::MAX;
/// Bodies of state frames are closed at this size.
const STATE_FRAME_BYTES: usize = 256 * 1024;
/// No frame is longer: a larger length is damage, not a reason to allocate.
pub(crate) const FRAME_BODY_MAX_BYTES: usize = 64 * 1024 * 1024;

const KIND_STATE: u8 = 1;
const KIND_STATE_END: u8 = 2;
const KIND_COMMIT: u8 = 3;

/// What a log file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) store_id: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) base: Position,
}

/// The name of a generation's file.
pub(crate) fn file_name(generation: u64) -> String {
    format!("{generation:016}.log")
}

/// Encodes a whole new file: the header and the full state at its base.
pub(crate) fn encode_generation(header: &Header, state: &State) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&header.store_id);
    file.extend_from_slice(&header.generation.to_le_bytes());
    file.extend_from_slice(&header.base.to_bytes());
    let checksum = crc32c::crc32c(&file);
    file.extend_from_slice(&checksum.to_le_bytes());

    let mut body: Vec<u8> = vec![0; 4];
    let mut count: u32 = 0;
    for (key, value) in state.iter() {
        push_change(&mut body, key, Some(value));
        count += 1;
        if body.len() >= STATE_FRAME_BYTES {
            push_state_frame(&mut file, header.generation, &mut body, &mut count);
        }
    }
    if count > 0 {
        push_state_frame(&mut file, header.generation, &mut body, &mut count);
    }
    let offset = file.len() as u64;
    push_frame(&mut file, header.generation, offset, KIND_STATE_END, &header.base.to_bytes());
    file
}

fn push_state_frame(file: &mut Vec<u8>, generation: u64, body: &mut Vec<u8>, count: &mut u32) {
    body[..4].copy_from_slice(&count.to_le_bytes());
    let offset = file.len() as u64;
    push_frame(file, generation, offset, KIND_STATE, body);
    body.truncate(4);
    *count = 0;
}

/// Appends the frame of one commit to the buffer of its batch, which will be written at `offset` of the file.
pub(crate) fn push_commit(
    buffer: &mut Vec<u8>,
    generation: u64,
    offset: u64,
    position: &Position,
    changes: &[Change],
) {
    let mut body = Vec::with_capacity(POSITION_BYTES + 4 + changes.len() * 256);
    body.extend_from_slice(&position.to_bytes());
    body.extend_from_slice(&offset.to_le_bytes());
    body.extend_from_slice(&(changes.len() as u32).to_le_bytes());
    for change in changes {
        push_change(&mut body, change.key, change.value.as_deref());
    }
    push_frame(buffer, generation, offset + buffer.len() as u64, KIND_COMMIT, &body);
}

fn push_change(body: &mut Vec<u8>, key: Key, value: Option<&[u8]>) {
    body.extend_from_slice(&key.to_bytes());
    match value {
        Some(value) => {
            body.extend_from_slice(&(value.len() as u32).to_le_bytes());
            body.extend_from_slice(value);
        }
        None => body.extend_from_slice(&REMOVED.to_le_bytes()),
    }
}

fn push_frame(buffer: &mut Vec<u8>, generation: u64, offset: u64, kind: u8, body: &[u8]) {
    let length = (body.len() as u32).to_le_bytes();
    buffer.extend_from_slice(&MARKER);
    buffer.extend_from_slice(&[kind, 0, 0, 0]);
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&frame_checksum(generation, offset, kind, body).to_le_bytes());
    buffer.extend_from_slice(body);
}

fn frame_checksum(generation: u64, offset: u64, kind: u8, body: &[u8]) -> u32 {
    let mut place = [kind; 21];
    place[..8].copy_from_slice(&generation.to_le_bytes());
    place[8..16].copy_from_slice(&offset.to_le_bytes());
    place[16..20].copy_from_slice(&(body.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::state::Kind;

    fn change(id: u64, value: &[u8]) -> Change {
        Change { key: Key::new(Kind::Connector, id), value: Some(value.into()) }
    }

    /// A file with three records in its state and five commits; returns it with the offset of each commit.
    fn sample() -> (Vec<u8>, Vec<usize>) {
        let mut state = State::default();
        for id in 1..=3 {
            state.apply(change(id, b"state"));
        }
        let header = Header { store_id: [7; 16], generation: 4, base: state.position(10, 1000) };
        let mut file = encode_generation(&header, &state);
        let mut offsets = Vec::new();
        for sequence in 11..=15 {
            let changes =
                [change(sequence, &[sequence as u8; 100]), Change { value: None, ..change(1, b"") }];
            for change in changes.iter().cloned() {
                state.apply(change);
            }
            offsets.push(file.len());
            let position = state.position(sequence, 1000);
            let mut frame = Vec::new();
            push_commit(&mut frame, 4, file.len() as u64, &position, &changes);
            file.extend_from_slice(&frame);
        }
        (file, offsets)
    }

    fn read(bytes: &[u8]) -> (Scan, usize) {
        let thread = std::thread::current().id();
        let directory =
            std::env::temp_dir().join(format!("connectord-log-{}-{thread:?}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("created");
        let path = directory.join(file_name(4));
        std::fs::write(&path, bytes).expect("written");
        let mut commits = 0;
        let scan = scan(&path, 4, |entry| commits += usize::from(matches!(entry, Entry::Commit(..))));
        std::fs::remove_dir_all(&directory).expect("removed");
        (scan.unwrap_or_else(|error| panic!("{error:?}")), commits)
    }

    #[test]
    fn a_whole_file_is_read_back() {
        let (file, _) = sample();
        let (scan, commits) = read(&file);
        assert_eq!((scan.is_whole(), scan.torn_bytes, commits, scan.position.sequence), (true, 0, 5, 15));
        assert_eq!(scan.end_offset, file.len() as u64);
    }

    #[test]
    fn every_truncation_leaves_a_prefix_or_is_damage() {
        let (file, offsets) = sample();
        for length in 0..file.len() {
            let (scan, commits) = read(&file[..length]);
            if length < offsets[0] {
                assert!(!scan.is_whole(), "{length} bytes without the full state were accepted");
                continue;
            }
            let boundaries = offsets.iter().copied().filter(|offset| *offset <= length);
            let last = boundaries.clone().max().expect("the first is");
            assert!(scan.is_whole(), "{length}: {scan:?}");
            assert_eq!(
                (commits, scan.torn_bytes),
                (boundaries.count() - 1, (length - last) as u64),
                "{length}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_what_follows_is_still_read() {
        let (file, offsets) = sample();
        for position in 0..file.len() {
            let mut bytes = file.clone();
            bytes[position] ^= 1 << (position % 8);
            let (scan, commits) = read(&bytes);
            if position < offsets[0] {
                assert!(!scan.is_whole() && commits == 5, "{position}");
            } else if position < offsets[4] {
                assert!(scan.damage.is_some() && commits == 4, "{position}");
            } else {
                assert!(scan.is_whole() && scan.torn_bytes > 0 && commits == 4, "{position}");
            }
        }
    }

    #[test]
    fn a_batch_that_lost_its_first_page_is_torn_and_one_before_another_is_damage() {
        let (mut file, _) = sample();
        let batch_offset = file.len();
        let mut batch = Vec::new();
        for sequence in 16..=18 {
            let position = Position { sequence, ..Position::default() };
            push_commit(&mut batch, 4, batch_offset as u64, &position, &[change(sequence, &[7; 100])]);
        }
        batch[..40].fill(0);
        file.extend_from_slice(&batch);
        let (scan, commits) = read(&file);
        assert!(scan.is_whole(), "{scan:?}");
        assert_eq!((commits, scan.end_offset, scan.torn_bytes), (5, batch_offset as u64, batch.len() as u64));

        let position = Position { sequence: 19, ..Position::default() };
        let mut next = Vec::new();
        push_commit(&mut next, 4, file.len() as u64, &position, &[change(19, b"x")]);
        file.extend_from_slice(&next);
        let (scan, commits) = read(&file);
        assert!(scan.damage.is_some() && commits == 8, "{scan:?}");
    }

    #[test]
    fn no_commit_follows_the_last_sequence() {
        let state = State::default();
        let header = Header { store_id: [7; 16], generation: 4, base: state.position(u64::MAX, 1000) };
        let mut file = encode_generation(&header, &state);
        let mut frame = Vec::new();
        push_commit(&mut frame, 4, file.len() as u64, &state.position(0, 1000), &[change(1, b"x")]);
        file.extend_from_slice(&frame);
        let (scan, commits) = read(&file);
        assert!(scan.damage.is_some() && commits == 1, "{scan:?}");
    }
}
