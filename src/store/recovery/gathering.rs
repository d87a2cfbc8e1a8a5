//! What the usual way does not prove: everything readable is gathered, and a state looked for that reaches the last commit
//! that anything knows of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::{Damage, LogState, Recovered, RecoveryError, SledState, at, is_unreadable, open_sled, scan_file};
use crate::store::commit_log::Entry;
use crate::store::directory::Layout;
use crate::store::generations::{self, GenerationFile};
use crate::store::reached::{self, Evidence};
use crate::store::sled_trees::SledTrees;
use crate::store::state::{Change, Position, State};

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
pub(super) fn prove(mut gathered: Gathered, sled: Option<SledTrees>) -> Result<Recovered, RecoveryError> {
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
