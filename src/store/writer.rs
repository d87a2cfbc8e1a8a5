//! The one writer: a thread that checks, logs, syncs, publishes and acknowledges, many requests at a time.
//!
//! A request counts from the moment that its frame is synced (`fdatasync`). Whatever is told to a caller, also
//! a refusal that rests on another request of the same batch, is told after that.

mod transaction;

use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::domain::timestamp::Timestamp;
use crate::store::commit_log::{self, FRAME_BODY_MAX_BYTES, Header};
use crate::store::directory::Layout;
use crate::store::generations::{self, LogEnd};
use crate::store::index::Index;
use crate::store::reached::{self, ReachedMark};
use crate::store::sealing::Sealer;
use crate::store::sled_trees::SledBatch;
use crate::store::state::{Change, Position, State};
pub(crate) use transaction::{FunctionRequest, Request};
pub use transaction::{Transaction, Unavailable};

/// Most requests that share one sync.
const BATCH_MAX: usize = 1024;
/// A batch is closed at this size, whatever its number of requests.
const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Longest wait for a sled that is behind.
const SLED_WAIT: Duration = Duration::from_secs(5);
const SLED_PAUSE: Duration = Duration::from_millis(1);
/// Exit status after a failure that only a restart can mend; the service manager restarts the process.
const EXIT_STORE_FAILED: i32 = 74;

/// What the writer's queue holds.
pub(crate) enum Message {
    /// A change.
    Request(Box<dyn Request>),
    /// Time to look for files that can go.
    KeepHouse,
    /// Nothing follows: end after what came before.
    Stop,
}

/// Everything that the writer thread owns.
pub(crate) struct Writer {
    pub(crate) requests: mpsc::Receiver<Message>,
    pub(crate) published: Arc<ArcSwap<Index>>,
    pub(crate) sealer: Sealer,
    pub(crate) state: State,
    pub(crate) position: Position,
    pub(crate) log: LogEnd,
    /// None where sled does not follow any more.
    pub(crate) sled: Option<SyncSender<SledBatch>>,
    pub(crate) layout: Layout,
    pub(crate) store_id: [u8; 16],
    pub(crate) reached: ReachedMark,
    /// The log is rewritten when it is larger than twice the live state and this.
    pub(crate) growth_bytes: u64,
    /// After a rewriting that failed, the next is tried when the log is this long.
    pub(crate) rewrite_from_bytes: u64,
}

/// A batch being prepared: what it would change, and how to take it back.
struct Batch {
    index: Index,
    position: Position,
    frames: Vec<u8>,
    /// Each change with the value before it, in order.
    undo: Vec<(Change, Option<Box<[u8]>>)>,
    outcomes: Vec<(Box<dyn Request>, Result<(), Unavailable>)>,
}

impl Writer {
    /// Works until it is told to stop, or every sender is gone. A panic ends the process: a service that refuses every
    /// change should not look alive.
    pub(crate) fn run(mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            self.fail("the writer panicked");
        }
    }

    fn work(&mut self) {
        let mut is_stopping = false;
        while !is_stopping {
            let first = match self.requests.blocking_recv() {
                Some(Message::Request(first)) => first,
                Some(Message::KeepHouse) => {
                    self.remove_old_generations();
                    continue;
                }
                Some(Message::Stop) | None => break,
            };
            let mut batch = Batch {
                index: Index::clone(&self.published.load()),
                position: self.position,
                frames: Vec::new(),
                undo: Vec::new(),
                outcomes: Vec::new(),
            };
            self.prepare(&mut batch, first);
            while batch.outcomes.len() < BATCH_MAX && batch.frames.len() < BATCH_MAX_BYTES {
                match self.requests.try_recv() {
                    Ok(Message::Request(next)) => self.prepare(&mut batch, next),
                    Ok(Message::KeepHouse) => self.remove_old_generations(),
                    Ok(Message::Stop) => {
                        is_stopping = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.commit(batch);
            self.rewrite_if_grown();
        }
        if let Err(error) = reached::set_inside(&self.layout, self.position.sequence) {
            warn!(%error, "the mark of the last commit could not be set; nothing is lost");
        }
    }

    /// Lets one request prepare its change and adds it to the batch as one record.
    fn prepare(&mut self, batch: &mut Batch, mut request: Box<dyn Request>) {
        let now = Timestamp::now().max(Timestamp::from_unix_ms(batch.position.time_ms));
        let mut transaction =
            Transaction { index: batch.index.clone(), changes: Vec::new(), sealer: &self.sealer, now };
        let prepared = catch_unwind(AssertUnwindSafe(|| request.prepare(&mut transaction)));
        let Transaction { index, changes, .. } = transaction;
        let outcome = match prepared {
            Ok(true) if changes.is_empty() => Ok(()),
            Ok(true) => self.append(batch, index, changes, now),
            Ok(false) => Ok(()),
            Err(_) => {
                error!("preparing a change panicked; nothing of it was stored");
                Err(Unavailable::new("the change could not be prepared; the log says why"))
            }
        };
        batch.outcomes.push((request, outcome));
    }

    fn append(
        &mut self,
        batch: &mut Batch,
        index: Index,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let bytes: usize =
            changes.iter().map(|change| change.value.as_ref().map_or(0, |value| value.len()) + 13).sum();
        if bytes + 1024 > FRAME_BODY_MAX_BYTES {
            return Err(Unavailable::new("the change is too large for one record"));
        }
        for change in &changes {
            let before = self.state.apply(change.clone());
            batch.undo.push((change.clone(), before));
        }
        batch.index = index;
        batch.index.time = now;
        batch.position = self.state.position(batch.position.sequence + 1, now.unix_ms());
        commit_log::push_commit(
            &mut batch.frames,
            self.log.generation,
            self.log.offset,
            &batch.position,
            &changes,
        );
        Ok(())
    }

    /// The commit point, and all that follows from it.
    fn commit(&mut self, batch: Batch) {
        let written = if batch.frames.is_empty() { Ok(()) } else { self.write(&batch.frames) };
        let changes = match written {
            Ok(()) => {
                self.position = batch.position;
                self.log.offset += batch.frames.len() as u64;
                if !batch.frames.is_empty() {
                    self.reached.note(self.position.sequence);
                }
                batch.undo.iter().map(|(change, before)| {
                    (change.clone(), before.as_ref().map_or(0, |before| before.len()))
                })
            }
            Err(unavailable) => {
                for (change, before) in batch.undo.into_iter().rev() {
                    self.state.apply(Change { key: change.key, value: before });
                }
                for (request, _) in batch.outcomes {
                    request.finish(Err(unavailable.clone()));
                }
                return;
            }
        };
        let changes: Vec<_> = changes.collect();
        self.published.store(Arc::new(batch.index));
        for (request, outcome) in batch.outcomes {
            request.finish(outcome);
        }
        if !changes.is_empty() {
            self.hand_to_sled(SledBatch { position: batch.position, changes });
        }
    }

    /// Lets sled follow, but does not wait for it for long: a hung or failed one is left behind until the next start.
    fn hand_to_sled(&mut self, mut batch: SledBatch) {
        let Some(sled) = &self.sled else { return };
        let started = Instant::now();
        loop {
            match sled.try_send(batch) {
                Ok(()) => return,
                Err(TrySendError::Full(back)) if started.elapsed() < SLED_WAIT => {
                    batch = back;
                    std::thread::sleep(SLED_PAUSE);
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    error!(
                        "sled does not follow any more; nothing is lost, the next start brings it up to the log"
                    );
                    self.sled = None;
                    return;
                }
            }
        }
    }

    /// Appends and syncs. After a failed append the file is as before; after a failed sync nobody knows, so the
    /// process ends: the page cache may claim what the disk does not have.
    fn write(&mut self, frames: &[u8]) -> Result<(), Unavailable> {
        let mut appended = self.log.file.write_all_at(frames, self.log.offset);
        if is_disk_full(&appended) && generations::make_room(&self.layout, self.log.generation) {
            appended = self.log.file.write_all_at(frames, self.log.offset);
        }
        if let Err(append_error) = appended {
            warn!(error = %append_error, "appending to the commit log failed, the change is refused");
            let cut = self.log.file.set_len(self.log.offset).and_then(|()| self.log.file.sync_data());
            if let Err(error) = cut {
                self.fail(&format!("cutting the commit log back to its last good record failed: {error}"));
            }
            return Err(Unavailable::new(format!(
                "the change could not be written to the disk: {append_error}"
            )));
        }
        if let Err(error) = self.log.file.sync_data() {
            self.fail(&format!("syncing the commit log failed: {error}"));
        }
        Ok(())
    }

    /// Writes a new generation when the log has grown far beyond what it says. A failure is no harm: the log goes on.
    fn rewrite_if_grown(&mut self) {
        let limit = (2 * self.state.live_bytes() + self.growth_bytes).max(self.rewrite_from_bytes);
        if self.log.offset <= limit {
            return;
        }
        let generation = self.log.generation + 1;
        let header = Header { store_id: self.store_id, generation, base: self.position };
        match generations::create(&self.layout, &header, &self.state) {
            Ok(log) => {
                generations::mark_superseded(&self.log);
                info!(
                    generation,
                    bytes = log.offset,
                    before_bytes = self.log.offset,
                    "the commit log was rewritten"
                );
                self.log = log;
                self.rewrite_from_bytes = 0;
                self.remove_old_generations();
            }
            Err(error) => {
                let path = self.layout.commit_log().join(commit_log::file_name(generation));
                if path.exists() {
                    self.fail(&format!(
                        "a new generation of the commit log was made but not synced: {error}"
                    ));
                }
                warn!(%error, "the commit log could not be rewritten; it goes on as it is");
                self.rewrite_from_bytes = self.log.offset + self.growth_bytes;
            }
        }
    }

    fn remove_old_generations(&self) {
        if let Err(error) = generations::remove_old(&self.layout, self.log.generation) {
            warn!(%error, "old generations of the commit log could not be removed");
        }
    }

    /// Ends the process without acknowledging anything more. The next start writes everything anew.
    fn fail(&self, reason: &str) -> ! {
        error!(reason, "the store cannot go on, the process ends to be started again");
        if let Err(error) = std::fs::write(self.layout.sync_failed(), reason) {
            error!(%error, "not even that could be noted in the data directory");
        }
        std::process::exit(EXIT_STORE_FAILED);
    }
}

fn is_disk_full(result: &io::Result<()>) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    result.as_ref().is_err_and(|error| full.contains(&error.kind()))
}
