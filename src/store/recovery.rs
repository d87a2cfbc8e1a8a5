//! Finds the state that can be proved, from the commit log and sled, either of which may be behind, damaged or gone.
//!
//! The usual way reads the newest generation once: sled is proved against the log's record of its position, and what
//! the log has beyond that is replayed. Where anything is not as it should be, everything that is left is gathered:
//! whole states (of sled and of each generation) and single commits. A state counts if it can be brought to the
//! furthest commit that anything knows of, with every digest right on the way; else the store is damaged.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::store::commit_log::{self, Entry, Header, ReadError, Scan};
use crate::store::directory::Layout;
use crate::store::generations::{self, GenerationFile};
use crate::store::reached::{self, Evidence};
use crate::store::sled_trees::{Loaded, SledBatch, SledTrees};
use crate::store::state::{Change, Position, State};

/// A state that is proved.
pub(crate) struct Recovered {
    pub(crate) store_id: [u8; 16],
    pub(crate) state: State,
    pub(crate) position: Position,
    pub(crate) log: LogState,
    pub(crate) sled: SledState,
}

impl Recovered {
    /// The state at the end of a generation that goes on.
    fn on_log(file: &GenerationFile, header: &Header, scan: &Scan, state: State, sled: SledState) -> Self {
        let log =
            LogState::Goes { file: file.clone(), end_offset: scan.end_offset, torn_bytes: scan.torn_bytes };
        Self { store_id: header.store_id, state, position: scan.position, log, sled }
    }
}

/// What the log needs.
pub(crate) enum LogState {
    /// The newest generation goes on at this offset; behind it are so many bytes of an append that did not end.
    Goes { file: GenerationFile, end_offset: u64, torn_bytes: u64 },
    /// A new generation has to be written, with this number or a higher one; these files are damaged.
    Rewrite { generation: u64, damaged: Vec<PathBuf> },
}

/// What sled needs.
pub(crate) enum SledState {
    /// It is at the position.
    Current(SledTrees),
    /// It has to be filled anew; the reason, where it is not just new.
    Rebuild(Option<String>),
}

/// Why nothing is proved.
#[derive(Debug)]
pub(crate) enum RecoveryError {
    Io(PathBuf, io::Error),
    /// A file was written by a newer version.
    NewerFormat(PathBuf, u32),
    /// Whole files of different times or stores lie together; the sentence names them.
    Mixed(String),
    /// Parts are damaged or missing.
    Damaged(Damage),
}

/// What is damaged, and how much can still be read.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// A sentence for each damaged part.
    pub(crate) parts: Vec<String>,
    /// The last commit up to which everything is proved; `None` where there is no whole state.
    pub(crate) proved: Option<Position>,
    /// The last commit that anything knows of.
    pub(crate) last: u64,
}

/// Everything readable of a store, for proving and for salvage.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) store_id: Option<([u8; 16], PathBuf)>,
    /// Whole states, each right in itself, with the file or directory that they come from.
    pub(crate) states: Vec<(State, Position, PathBuf)>,
    /// Parts of states whose rest is damaged, with the base that they belong to where that is known.
    pub(crate) partial_states: Vec<(State, Position)>,
    /// Single commits by sequence.
    pub(crate) commits: BTreeMap<u64, (Position, Vec<Change>, PathBuf)>,
    pub(crate) damaged: Vec<(PathBuf, String)>,
    /// Files that end with bytes that are no record: an append that did not end, or damage.
    torn: Vec<(PathBuf, String)>,
    /// The files without damage, oldest first.
    whole: Vec<WholeFile>,
    newest_generation: u64,
    /// The furthest that a mark beside the files speaks of.
    pub(crate) evidence: Option<Evidence>,
}

/// A file of the log without damage: from where to where it goes.
struct WholeFile {
    file: GenerationFile,
    base: Position,
    end: Position,
}

fn at(path: &Path) -> impl Fn(io::Error) -> RecoveryError + '_ {
    move |error| RecoveryError::Io(path.to_owned(), error)
}

/// Whether the disk could not read a file: that is damage like any other, and the other half may be whole.
fn is_unreadable(error: &RecoveryError) -> bool {
    let RecoveryError::Io(_, error) = error else { return false };
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

fn read_error(path: &Path) -> impl Fn(ReadError) -> RecoveryError + '_ {
    move |error| match error {
        ReadError::Io(error) => RecoveryError::Io(path.to_owned(), error),
        ReadError::NewerFormat(format) => RecoveryError::NewerFormat(path.to_owned(), format),
    }
}

/// Proves a state.
pub(crate) fn recover(layout: &Layout) -> Result<Recovered, RecoveryError> {
    let files = generations::list(&layout.commit_log()).map_err(at(&layout.commit_log()))?;
    if let Some(newest) = files.last() {
        match read_newest(layout, &files, newest) {
            Ok(Some(recovered)) => return Ok(recovered),
            Ok(None) => {}
            Err(error) if is_unreadable(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let (gathered, sled) = gather(layout)?;
    prove(gathered, sled)
}

/// The usual way; `None` where anything is not as it should be.
fn read_newest(
    layout: &Layout,
    files: &[GenerationFile],
    newest: &GenerationFile,
) -> Result<Option<Recovered>, RecoveryError> {
    let path = &newest.path;
    let Ok(header) = commit_log::read_file_header(path).map_err(read_error(path))? else { return Ok(None) };
    let is_behind_mark = |sequence: u64| {
        let evidence = reached::find(layout, Some(header.store_id)).map_err(at(&layout.commit_log()))?;
        Ok(evidence.is_some_and(|evidence| evidence.sequence > sequence))
    };
    let reason = match open_sled(layout) {
        Ok((mut sled, loaded)) if loaded.store_id == header.store_id => {
            sled.bind(header.store_id);
            let sled_sequence = loaded.position.sequence;
            match replay_onto_sled(newest, &header, sled, loaded)? {
                Some(recovered) if is_behind_mark(recovered.position.sequence)? => return Ok(None),
                Some(recovered) => return Ok(Some(recovered)),
                // Killed while sled was still behind a log that was just rewritten: no damage, the log has it all.
                None if sled_sequence < header.base.sequence => None,
                None => Some(format!(
                    "its commit {sled_sequence} does not agree with the newest generation of the log"
                )),
            }
        }
        Ok(_) => return Ok(None),
        Err(reason) => reason,
    };
    // sled says nothing: the log has to speak for itself, and has to chain.
    if !do_generations_chain(files)? {
        return Ok(None);
    }
    let mut state = State::default();
    let scan = scan_file(newest, |entry| match entry {
        Entry::State(changes) | Entry::Commit(_, changes) => {
            changes.into_iter().for_each(|change| drop(state.apply(change)));
        }
        Entry::StateEnd(_) => {}
    })?;
    if !scan.is_whole() || !state.is_at(&scan.position) || is_behind_mark(scan.position.sequence)? {
        return Ok(None);
    }
    Ok(Some(Recovered::on_log(newest, &header, &scan, state, SledState::Rebuild(reason))))
}

/// Proves sled against the newest generation and replays what follows; `None` where that does not work out.
fn replay_onto_sled(
    newest: &GenerationFile,
    header: &Header,
    sled: SledTrees,
    loaded: Loaded,
) -> Result<Option<Recovered>, RecoveryError> {
    let Loaded { mut state, position: sled_position, .. } = loaded;
    let mut is_proved = sled_position == header.base;
    let mut followed = Ok(());
    let scan = scan_file(newest, |entry| match entry {
        Entry::Commit(position, changes) if position.sequence > sled_position.sequence => {
            let replay = |change: Change| {
                let length_before = state.apply(change.clone()).map_or(0, |before| before.len());
                (change, length_before)
            };
            let changes = changes.into_iter().map(replay).collect();
            if is_proved && followed.is_ok() {
                followed = sled.apply(&SledBatch { position, changes });
            }
        }
        Entry::Commit(position, _) => is_proved |= position == sled_position,
        Entry::State(_) | Entry::StateEnd(_) => {}
    })?;
    if !is_proved || !scan.is_whole() || !state.is_at(&scan.position) {
        return Ok(None);
    }
    let sled = match followed {
        Ok(()) => SledState::Current(sled),
        Err(reason) => {
            sled.discard();
            SledState::Rebuild(Some(reason))
        }
    };
    Ok(Some(Recovered::on_log(newest, header, &scan, state, sled)))
}

fn scan_file(file: &GenerationFile, visit: impl FnMut(Entry)) -> Result<Scan, RecoveryError> {
    commit_log::scan(&file.path, file.generation, visit).map_err(read_error(&file.path))
}

/// Whether each generation ends where the next one begins. An older copy put over newer files breaks that.
fn do_generations_chain(files: &[GenerationFile]) -> Result<bool, RecoveryError> {
    for pair in files.windows(2) {
        let [older, newer] = pair else { continue };
        if newer.generation != older.generation + 1 {
            continue;
        }
        let Ok(header) = commit_log::read_file_header(&newer.path).map_err(read_error(&newer.path))? else {
            return Ok(false);
        };
        let scan = scan_file(older, |_| {})?;
        let is_same_store = scan.header.as_ref().is_ok_and(|older| older.store_id == header.store_id);
        if !is_same_store || !scan.is_whole() || scan.position != header.base {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens sled and reads it. The error has no reason where there is no sled yet.
fn open_sled(layout: &Layout) -> Result<(SledTrees, Loaded), Option<String>> {
    let has_files = layout.holds_sled_files().map_err(|error| Some(error.to_string()))?;
    if !has_files {
        return Err(None);
    }
    let sled = SledTrees::open(&layout.sled()).map_err(Some)?;
    match sled.load() {
        Ok(loaded) => Ok((sled, loaded)),
        Err(reason) => {
            sled.discard();
            Err(Some(reason))
        }
    }
}

/// Reads everything that is readable.
pub(crate) fn gather(layout: &Layout) -> Result<(Gathered, Option<SledTrees>), RecoveryError> {
    let mut gathered = Gathered::default();
    for file in generations::list(&layout.commit_log()).map_err(at(&layout.commit_log()))? {
        gathered.newest_generation = gathered.newest_generation.max(file.generation);
        match gather_file(&mut gathered, &file) {
            Err(error) if is_unreadable(&error) => {
                gathered.damaged.push((file.path.clone(), "the disk cannot read it".to_owned()));
            }
            other => other?,
        }
    }
    let sled = match open_sled(layout) {
        Ok((mut sled, loaded)) => {
            gathered.note_store(loaded.store_id, &layout.sled())?;
            sled.bind(loaded.store_id);
            gathered.states.push((loaded.state, loaded.position, layout.sled()));
            Some(sled)
        }
        Err(Some(reason)) => {
            gathered.damaged.push((layout.sled(), reason));
            None
        }
        Err(None) => None,
    };
    if let Some((store_id, _)) = gathered.store_id {
        gathered.evidence = reached::find(layout, Some(store_id)).map_err(at(&layout.commit_log()))?;
    }
    Ok((gathered, sled))
}

fn gather_file(gathered: &mut Gathered, file: &GenerationFile) -> Result<(), RecoveryError> {
    let mut state = State::default();
    let mut base = None;
    let mut commits = Vec::new();
    let scan = scan_file(file, |entry| match entry {
        Entry::State(changes) => changes.into_iter().for_each(|change| drop(state.apply(change))),
        Entry::StateEnd(position) => base = Some(position),
        Entry::Commit(position, changes) => commits.push((position, changes)),
    })?;
    match &scan.header {
        Ok(header) => gathered.note_store(header.store_id, &file.path)?,
        Err(reason) => gathered.damaged.push((file.path.clone(), reason.clone())),
    }
    match (&scan.damage, &scan.header) {
        (Some(reason), Ok(_)) => gathered.damaged.push((file.path.clone(), reason.clone())),
        (None, Ok(header)) => {
            gathered.whole.push(WholeFile { file: file.clone(), base: header.base, end: scan.position });
        }
        (_, Err(_)) => {}
    }
    if scan.torn_bytes > 0 {
        let sentence =
            format!("at offset {}, its last {} bytes are no record", scan.end_offset, scan.torn_bytes);
        gathered.torn.push((file.path.clone(), sentence));
    }
    match base.or_else(|| scan.header.as_ref().ok().map(|header| header.base)) {
        Some(base) if state.is_at(&base) => gathered.states.push((state, base, file.path.clone())),
        base => gathered.partial_states.push((state, base.unwrap_or_default())),
    }
    for (position, changes) in commits {
        match gathered.commits.get(&position.sequence) {
            Some((other, _, other_path)) if *other != position => {
                return Err(RecoveryError::Mixed(mixed(&file.path, other_path)));
            }
            Some(_) => {}
            None => {
                gathered.commits.insert(position.sequence, (position, changes, file.path.clone()));
            }
        }
    }
    Ok(())
}

fn mixed(one: &Path, other: &Path) -> String {
    format!(
        "{} and {} do not belong together: an older copy or another store was put over this one",
        one.display(),
        other.display()
    )
}

impl Gathered {
    fn note_store(&mut self, store_id: [u8; 16], path: &Path) -> Result<(), RecoveryError> {
        match &self.store_id {
            Some((known, known_path)) if *known != store_id => {
                Err(RecoveryError::Mixed(mixed(known_path, path)))
            }
            Some(_) => Ok(()),
            None => {
                self.store_id = Some((store_id, path.to_owned()));
                Ok(())
            }
        }
    }

    /// Each generation goes on where the one before ended. One that is whole but ends earlier is an older copy: the file
    /// was synced to its end before the next one was made.
    fn check_chain(&self) -> Result<(), RecoveryError> {
        for pair in self.whole.windows(2) {
            let [older, newer] = pair else { continue };
            let is_next = newer.file.generation == older.file.generation + 1;
            let is_torn = self.torn.iter().any(|(path, _)| *path == older.file.path);
            if is_next && !is_torn && older.end != newer.base {
                return Err(RecoveryError::Mixed(format!(
                    "{} ends with commit {}, but {} goes on after commit {}: an older copy was put over newer data, or a copy over an \
                     earlier copy",
                    older.file.path.display(),
                    older.end.sequence,
                    newer.file.path.display(),
                    newer.base.sequence
                )));
            }
        }
        Ok(())
    }

    /// The last commit that anything knows of, with the file that knows it.
    pub(crate) fn last(&self) -> (u64, Option<&Path>) {
        let states = self.states.iter().map(|(_, position, path)| (position.sequence, Some(path.as_path())));
        let commits = self.commits.iter().map(|(sequence, (_, _, path))| (*sequence, Some(path.as_path())));
        let marks = self.evidence.iter().map(|evidence| (evidence.sequence, Some(evidence.path.as_path())));
        states.chain(commits).chain(marks).max_by_key(|(sequence, _)| *sequence).unwrap_or((0, None))
    }

    /// Where no state is whole: the part with the most in it.
    pub(crate) fn most_of_a_state(&mut self) -> Option<(State, Position)> {
        std::mem::take(&mut self.partial_states).into_iter().max_by_key(|(state, _)| state.live_bytes())
    }

    /// Brings the state that gets furthest as far as it gets, every digest being right.
    pub(crate) fn furthest(&mut self) -> Option<(State, Position, PathBuf)> {
        let mut best: Option<(State, Position, PathBuf)> = None;
        for (mut state, mut position, path) in std::mem::take(&mut self.states) {
            while let Some((next, changes, _)) = self.commits.get(&(position.sequence + 1)) {
                let apply = |change: &Change| Change { key: change.key, value: state.apply(change.clone()) };
                let undo: Vec<Change> = changes.iter().map(apply).collect();
                if !state.is_at(next) {
                    undo.into_iter().rev().for_each(|change| drop(state.apply(change)));
                    break;
                }
                position = *next;
            }
            if best.as_ref().is_none_or(|(_, best, _)| position.sequence > best.sequence) {
                best = Some((state, position, path));
            }
        }
        best
    }
}

/// Looks for a state that reaches the last commit that anything knows of.
fn prove(mut gathered: Gathered, sled: Option<SledTrees>) -> Result<Recovered, RecoveryError> {
    let (last, last_path) = gathered.last();
    let last_path = last_path.map(Path::to_owned);
    let sled_position = sled.as_ref().and_then(|_| gathered.states.last()).map(|(_, position, _)| *position);
    gathered.check_chain()?;
    let best = gathered.furthest();
    let Some((state, position, path)) = best else {
        return Err(RecoveryError::Damaged(Damage {
            parts: gathered.damage_sentences(),
            proved: None,
            last,
        }));
    };
    if position.sequence < last {
        // With commits missing, a bad end is no append that did not end.
        gathered.count_torn_as_damaged();
        if gathered.damaged.is_empty()
            && let Some(last_path) = last_path
        {
            return Err(RecoveryError::Mixed(format!(
                "{} ends with commit {}, but {} shows that this directory had come to commit {last}: an older copy was \
                 put over newer data, or files were cut or removed",
                path.display(),
                position.sequence,
                last_path.display(),
            )));
        }
        let parts = gathered.damage_sentences();
        return Err(RecoveryError::Damaged(Damage { parts, proved: Some(position), last }));
    }
    for sentence in gathered.damage_sentences() {
        warn!(damage = sentence, "a damaged part of the store is replaced; nothing is lost");
    }
    let store_id = gathered.store_id.expect("a state was read, so its store is known").0;
    let sled = match (sled, sled_position) {
        (Some(sled), Some(sled_position)) if sled_position == position => SledState::Current(sled),
        (Some(_), _) => SledState::Rebuild(Some("it is behind the commit log".to_owned())),
        (None, _) => SledState::Rebuild(None),
    };
    // A newest file that was cut between two records would not chain with the next one.
    let cut = gathered
        .whole
        .iter()
        .filter(|whole| whole.file.generation == gathered.newest_generation && whole.end != position);
    let damaged = gathered.damaged.iter().map(|(path, _)| path.clone()).filter(|path| path.is_file());
    let damaged = damaged.chain(cut.map(|whole| whole.file.path.clone())).collect();
    let generation = gathered.newest_generation + 1;
    Ok(Recovered { store_id, state, position, log: LogState::Rewrite { generation, damaged }, sled })
}

impl Gathered {
    /// Takes every bad end for damage.
    pub(crate) fn count_torn_as_damaged(&mut self) {
        self.damaged.append(&mut self.torn);
    }

    /// A sentence for each damaged part.
    pub(crate) fn damage_sentences(&self) -> Vec<String> {
        self.damaged.iter().map(|(path, reason)| format!("{}: {reason}", path.display())).collect()
    }
}
