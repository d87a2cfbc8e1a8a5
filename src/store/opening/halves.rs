//! Takes up the two halves of a store after it was proved: the log for appending, sled for following.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use tracing::{error, warn};

use super::OpenError;
use crate::store::commit_log::{self, Header};
use crate::store::directory::{self, Layout};
use crate::store::generations::{self, GenerationFile, LogEnd};
use crate::store::recovery::{LogState, Recovered, SledState};
use crate::store::sled_trees::{SledBatch, SledTrees};

/// Opens the log for appending: as it is, or written anew.
pub(super) fn take_up_log(layout: &Layout, recovered: &Recovered) -> Result<LogEnd, OpenError> {
    let log_directory = layout.commit_log();
    let result = match &recovered.log {
        LogState::Goes { file, end_offset, torn_bytes } => {
            continue_log(layout, file, *end_offset, *torn_bytes)
        }
        LogState::Rewrite { generation, damaged } => {
            let header =
                Header { store_id: recovered.store_id, generation: *generation, base: recovered.position };
            // Each step leaves one half whole, wherever a crash comes: the state is in sled, or in the new generation.
            match &recovered.sled {
                SledState::Current(_) => set_logs_aside(layout, damaged)
                    .and_then(|()| generations::create(layout, &header, &recovered.state)),
                SledState::Rebuild(_) => generations::create(layout, &header, &recovered.state)
                    .and_then(|log| set_logs_aside(layout, damaged).map(|()| log)),
            }
        }
    };
    result.map_err(|error| OpenError::io(&log_directory, &error))
}

fn set_logs_aside(layout: &Layout, damaged: &[PathBuf]) -> io::Result<()> {
    for path in damaged {
        directory::move_aside(path, &layout.set_aside().join(path.file_name().unwrap_or_default()))?;
        warn!(path = %path.display(), set_aside = %layout.set_aside().display(), "set a damaged file aside");
    }
    Ok(())
}

/// An append that did not end was never acknowledged. Its bytes are kept aside before they are cut.
fn continue_log(
    layout: &Layout,
    file: &GenerationFile,
    end_offset: u64,
    torn_bytes: u64,
) -> io::Result<LogEnd> {
    let log = OpenOptions::new().read(true).write(true).open(&file.path)?;
    if torn_bytes > 0 {
        let mut bytes = vec![0; usize::try_from(torn_bytes).map_err(io::Error::other)?];
        log.read_exact_at(&mut bytes, end_offset)?;
        let aside = layout
            .set_aside()
            .join(format!("{}.cut-at-{end_offset}", commit_log::file_name(file.generation)));
        directory::create_private_directory(&layout.set_aside())?;
        directory::write_private_file(&aside, &bytes)?;
        warn!(
            file = %file.path.display(),
            offset = end_offset,
            length = torn_bytes,
            set_aside = %aside.display(),
            "the last record of the commit log did not end; it was never acknowledged and is cut"
        );
        log.set_len(end_offset)?;
    }
    // What was read may be in the page cache alone, by a process that was killed between writing and syncing.
    log.sync_all()?;
    Ok(LogEnd { file: log, path: file.path.clone(), generation: file.generation, offset: end_offset })
}

/// Opens sled: as it is, or filled anew. Without it the log alone goes on, until the next opening.
pub(super) fn take_up_sled(layout: &Layout, recovered: &mut Recovered) -> Option<SledTrees> {
    let rebuild = SledState::Rebuild(None);
    let reason = match std::mem::replace(&mut recovered.sled, rebuild) {
        SledState::Current(sled) => return Some(sled),
        SledState::Rebuild(reason) => reason,
    };
    if let Some(reason) = reason {
        warn!(reason, "sled is set aside and rebuilt from the commit log");
    }
    let filled = set_sled_aside(layout).map_err(|error| error.to_string()).and_then(|()| {
        let mut sled = SledTrees::open(&layout.sled())?;
        sled.bind(recovered.store_id);
        match sled.fill(&recovered.state, &recovered.position) {
            Ok(()) => Ok(sled),
            Err(reason) => {
                sled.discard();
                Err(reason)
            }
        }
    });
    filled
        .inspect_err(|reason| {
            warn!(reason, "sled could not be rebuilt; nothing is lost, the log goes on alone")
        })
        .ok()
}

/// Moves sled's own files out of the way, as one `sled.bad`.
fn set_sled_aside(layout: &Layout) -> io::Result<()> {
    if !layout.holds_sled_files()? {
        return Ok(());
    }
    let aside = layout.set_aside().join("sled.bad");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    directory::create_private_directory(&aside)?;
    for entry in fs::read_dir(layout.sled())? {
        let entry = entry?;
        if entry.file_name() != "commit-log" && entry.file_name() != "lost+found" {
            fs::rename(entry.path(), aside.join(entry.file_name()))?;
        }
    }
    fs::File::open(&aside)?.sync_all()?;
    directory::sync_parent(&aside)?;
    directory::sync_parent(&layout.set_aside())?;
    directory::sync_parent(&layout.commit_log())
}

/// Lets sled follow the log. Its first failure ends that until the next start; the log goes on.
pub(super) fn follow(sled: SledTrees, batches: &Receiver<SledBatch>, directory: &Path) {
    while let Ok(batch) = batches.recv() {
        if let Err(reason) = sled.apply(&batch) {
            error!(
                reason,
                "sled does not follow any more; nothing is lost, the next start brings it up to the log"
            );
            sled.discard();
            return;
        }
    }
    if let Err(reason) = sled.close(directory) {
        warn!(reason, "sled was not closed cleanly; nothing is lost");
    }
}
