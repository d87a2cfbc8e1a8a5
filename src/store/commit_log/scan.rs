//! Reads the files of the commit log, finds what is damaged in them, and goes on behind it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::{
    FORMAT_VERSION, FRAME_BODY_MAX_BYTES, FRAME_HEADER_BYTES, HEADER_BYTES, Header, KIND_COMMIT, KIND_STATE,
    KIND_STATE_END, MAGIC, MARKER, REMOVED, frame_checksum,
};
use crate::store::state::{Change, KEY_BYTES, Key, POSITION_BYTES, Position};

/// Something good that a reader found.
pub(crate) enum Entry {
    /// A part of the full state at the base.
    State(Vec<Change>),
    /// The end of the full state, and the base that it is at.
    StateEnd(Position),
    /// A commit.
    Commit(Position, Vec<Change>),
}

/// A file that was read from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Scan {
    /// What the file says about itself; an error where that is damaged.
    pub(crate) header: Result<Header, String>,
    /// Where the good frames at the beginning end.
    pub(crate) end_offset: u64,
    /// The position after the last good commit, the base where there is none.
    pub(crate) position: Position,
    /// Bytes behind the last good frame that are none: an append that did not end.
    pub(crate) torn_bytes: u64,
    /// The first place that is damaged, with what is wrong there. Good frames behind it were visited all the same.
    pub(crate) damage: Option<String>,
}

impl Scan {
    /// Whether nothing is damaged; an append that did not end is no damage.
    pub(crate) fn is_whole(&self) -> bool {
        self.header.is_ok() && self.damage.is_none()
    }
}

/// A place without a good frame, of which it is not known yet what it is.
struct BadPlace {
    offset: u64,
    length: u64,
    /// Good frames behind it that belong to the batch that it lies in.
    of_its_batch: Vec<Entry>,
}

/// Why a file cannot be read at all.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    /// Written by a newer version of the program.
    NewerFormat(u32),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

/// Reads the file of a generation, calling `visit` for each good frame in order, also behind damaged places.
/// Memory: one frame at a time.
pub(crate) fn scan(path: &Path, generation: u64, visit: impl FnMut(Entry)) -> Result<Scan, ReadError> {
    let file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    scan_reader(BufReader::with_capacity(256 * 1024, file), file_bytes, generation, visit)
}

/// [`scan`] of whatever has that many bytes.
pub(crate) fn scan_reader(
    mut reader: impl Read + Seek,
    file_bytes: u64,
    generation: u64,
    visit: impl FnMut(Entry),
) -> Result<Scan, ReadError> {
    let header = read_header(&mut reader)?.and_then(|header| match header.generation == generation {
        true => Ok(header),
        false => Err(format!("its name says generation {generation}, its header {}", header.generation)),
    });
    let mut scanner = Scanner::new(header, visit);
    let mut offset = scanner.scan.end_offset.min(file_bytes);
    reader.seek(SeekFrom::Start(offset))?;
    while offset < file_bytes {
        let Some((kind, body)) = read_frame(&mut reader, generation, offset, file_bytes)? else {
            let next = find_frame(&mut reader, generation, offset + 1, file_bytes)?;
            scanner.find_bad_place(offset, next.unwrap_or(file_bytes));
            let Some(next) = next else { break };
            reader.seek(SeekFrom::Start(next))?;
            offset = next;
            continue;
        };
        let end_offset = offset + (FRAME_HEADER_BYTES + body.len()) as u64;
        scanner.find_frame(kind, &body, offset, end_offset);
        offset = end_offset;
    }
    Ok(scanner.finish(file_bytes))
}

/// What is known of a file so far.
struct Scanner<F> {
    scan: Scan,
    is_state_complete: bool,
    open_place: Option<BadPlace>,
    visit: F,
}

impl<F: FnMut(Entry)> Scanner<F> {
    fn new(header: Result<Header, String>, visit: F) -> Self {
        let base = header.as_ref().map_or_else(|_| Position::default(), |header| header.base);
        let end_offset = HEADER_BYTES as u64;
        let scan = Scan { header, end_offset, position: base, torn_bytes: 0, damage: None };
        Self { scan, is_state_complete: false, open_place: None, visit }
    }

    fn find_bad_place(&mut self, offset: u64, end_offset: u64) {
        let length = end_offset - offset;
        self.open_place.get_or_insert_with(|| BadPlace { offset, length, of_its_batch: Vec::new() });
    }

    /// Takes a good frame.
    fn find_frame(&mut self, kind: u8, body: &[u8], offset: u64, end_offset: u64) {
        let Some((entry, batch_offset)) = decode(kind, body) else {
            return self.note_damage(|| format!("the record at offset {offset} has no known form"));
        };
        if let Some(mut bad_place) = self.open_place.take() {
            if batch_offset <= bad_place.offset {
                bad_place.of_its_batch.push(entry);
                self.open_place = Some(bad_place);
                return;
            }
            let BadPlace { offset: bad_offset, length, of_its_batch } = bad_place;
            self.note_damage(|| format!("at offset {bad_offset}, {length} bytes are damaged"));
            of_its_batch.into_iter().for_each(&mut self.visit);
        }
        if !self.is_in_order(&entry) {
            self.note_damage(|| format!("before offset {offset}, records are missing"));
        }
        if self.scan.damage.is_none() {
            self.scan.end_offset = end_offset;
        }
        (self.visit)(entry);
    }

    /// Whether the entry follows those before it, and goes on from where it ends.
    fn is_in_order(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::State(_) => !self.is_state_complete,
            Entry::StateEnd(position) => {
                self.scan.position = *position;
                !std::mem::replace(&mut self.is_state_complete, true)
            }
            Entry::Commit(position, _) => {
                let before = std::mem::replace(&mut self.scan.position, *position);
                self.is_state_complete && before.sequence.checked_add(1) == Some(position.sequence)
            }
        }
    }

    fn note_damage(&mut self, sentence: impl FnOnce() -> String) {
        self.scan.damage.get_or_insert_with(sentence);
    }

    fn finish(mut self, file_bytes: u64) -> Scan {
        if let Some(bad_place) = &self.open_place {
            self.scan.torn_bytes = file_bytes - bad_place.offset;
        }
        if !self.is_state_complete {
            self.note_damage(|| "the full state at its beginning is not complete".to_owned());
        }
        self.scan
    }
}

/// Reads only what a file says about itself; the inner error says what is damaged.
pub(crate) fn read_file_header(path: &Path) -> Result<Result<Header, String>, ReadError> {
    read_header(&mut File::open(path)?)
}

fn read_header(reader: &mut impl Read) -> Result<Result<Header, String>, ReadError> {
    let mut bytes = [0; HEADER_BYTES];
    match reader.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Ok(Err("it is shorter than its header".to_owned()));
        }
        Err(error) => return Err(error.into()),
        Ok(()) => {}
    }
    let (content, checksum) = bytes.split_at(HEADER_BYTES - 4);
    if bytes[..8] != *MAGIC || crc32c::crc32c(content).to_le_bytes() != checksum {
        return Ok(Err("its header is damaged".to_owned()));
    }
    let format = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
    if format > FORMAT_VERSION {
        return Err(ReadError::NewerFormat(format));
    }
    Ok(Ok(Header {
        store_id: bytes[16..32].try_into().expect("16 bytes"),
        generation: u64::from_le_bytes(bytes[32..40].try_into().expect("eight bytes")),
        base: Position::from_bytes(bytes[40..40 + POSITION_BYTES].try_into().expect("a position")),
    }))
}

/// Reads the frame at the offset; `None` where there is no good one.
fn read_frame(
    reader: &mut impl Read,
    generation: u64,
    offset: u64,
    file_bytes: u64,
) -> io::Result<Option<(u8, Vec<u8>)>> {
    if file_bytes - offset < FRAME_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; FRAME_HEADER_BYTES];
    reader.read_exact(&mut header)?;
    let Some((kind, length, checksum)) = parse_frame_header(&header) else { return Ok(None) };
    if length as u64 > file_bytes - offset - FRAME_HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_good = frame_checksum(generation, offset, kind, &body) == checksum;
    Ok(is_good.then_some((kind, body)))
}

fn parse_frame_header(header: &[u8; FRAME_HEADER_BYTES]) -> Option<(u8, usize, u32)> {
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let length = word(8) as usize;
    let is_formed = header[..4] == MARKER && header[5..8] == [0; 3] && length <= FRAME_BODY_MAX_BYTES;
    is_formed.then_some((header[4], length, word(12)))
}

/// The offset of the next good frame from `from` on.
fn find_frame(
    reader: &mut (impl Read + Seek),
    generation: u64,
    from: u64,
    file_bytes: u64,
) -> io::Result<Option<u64>> {
    let mut window_offset = from;
    let mut window = vec![0; 1024 * 1024];
    while window_offset + FRAME_HEADER_BYTES as u64 <= file_bytes {
        reader.seek(SeekFrom::Start(window_offset))?;
        let length = window.len().min((file_bytes - window_offset) as usize);
        reader.read_exact(&mut window[..length])?;
        for at in 0..length - (MARKER.len() - 1) {
            if window[at..at + MARKER.len()] != MARKER {
                continue;
            }
            let offset = window_offset + at as u64;
            reader.seek(SeekFrom::Start(offset))?;
            if read_frame(reader, generation, offset, file_bytes)?.is_some() {
                return Ok(Some(offset));
            }
        }
        // A marker may lie across the end of the window.
        window_offset += (length - (MARKER.len() - 1)) as u64;
    }
    Ok(None)
}

/// The entry of a frame, and where its batch begins. The full state is never torn: it is complete before it has a name.
fn decode(kind: u8, body: &[u8]) -> Option<(Entry, u64)> {
    match kind {
        KIND_STATE => Some((Entry::State(decode_changes(body)?), u64::MAX)),
        KIND_STATE_END => Some((Entry::StateEnd(Position::from_bytes(body.try_into().ok()?)), u64::MAX)),
        KIND_COMMIT => {
            let (position, changes) = body.split_first_chunk::<POSITION_BYTES>()?;
            let (batch_offset, changes) = changes.split_first_chunk::<8>()?;
            let entry = Entry::Commit(Position::from_bytes(position), decode_changes(changes)?);
            Some((entry, u64::from_le_bytes(*batch_offset)))
        }
        _ => None,
    }
}

fn decode_changes(bytes: &[u8]) -> Option<Vec<Change>> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let mut changes = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (key, after_key) = rest.split_first_chunk::<KEY_BYTES>()?;
        let (length, after_length) = after_key.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let (value, after_value) = match length {
            REMOVED => (None, after_length),
            length => {
                let (value, rest) = after_length.split_at_checked(length as usize)?;
                (Some(value.into()), rest)
            }
        };
        changes.push(Change { key: Key::from_bytes(*key)?, value });
        rest = after_value;
    }
    rest.is_empty().then_some(changes)
}
