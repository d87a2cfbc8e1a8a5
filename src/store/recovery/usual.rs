//! The usual way: sled is proved against the newest generation of the log, or that generation speaks for itself.

use super::{Recovered, RecoveryError, SledState, at, open_sled, read_error, scan_file};
use crate::store::commit_log::{self, Entry, Header};
use crate::store::directory::Layout;
use crate::store::generations::GenerationFile;
use crate::store::reached;
use crate::store::sled_trees::{Loaded, SledBatch, SledTrees};
use crate::store::state::{Change, State};

/// The usual way; `None` where anything is not as it should be.
pub(super) fn read_newest(
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
