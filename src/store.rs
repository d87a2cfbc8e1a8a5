//! The store: opens and recovers the data directory, hands out reads and takes changes.
//!
//! A change is true once the commit log has it, synced. sled follows the log and is what the program loads at its
//! start. Reads come from an index in memory and never wait.

mod commit_log;
mod directory;
mod file_system;
mod generations;
mod index;
mod key_file;
mod opening;
mod reached;
mod records;
mod recovery;
pub mod rescue;
mod resealing;
mod ring;
pub mod rotation;
mod sealing;
mod sled_trees;
mod state;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tracing::error;

#[cfg(any(test, fuzzing))]
pub use commit_log::fuzz as fuzz_commit_log;
pub use directory::{DataDirectory, Layout, holds_log, remove_if_present, write_private_file};
pub use index::Index;
pub use key_file::KeyPlace;
pub use opening::{OpenError, OpenErrorKind};
pub use writer::{Transaction, Unavailable};

use crate::domain::recovery_code::RecoveryCode;
use opening::Way;
use writer::{FunctionRequest, Message};

/// Changes that wait for the writer before senders have to wait too.
const QUEUE_CAPACITY: usize = 1024;

/// What can be configured of a store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// The commit log is rewritten when it is larger than twice the live state and this.
    pub log_growth_bytes: u64,
}

/// An open store. Reads are snapshots; changes go through one writer.
pub struct Store {
    published: Arc<ArcSwap<Index>>,
    requests: mpsc::Sender<Message>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    directory: DataDirectory,
    store_id: [u8; 16],
}

impl Store {
    /// Opens the store in a locked directory, or makes a new one in an empty directory.
    ///
    /// # Errors
    /// Says what is wrong, where, and what to do. It never starts empty over old data.
    pub fn open(
        directory: DataDirectory,
        key_place: &KeyPlace,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        opening::open(directory, Way::KeyFile(key_place), options)
    }

    /// Gives the lock of the directory on; the store must be closed.
    fn into_directory(self) -> DataDirectory {
        self.directory
    }

    /// Lets the writer look for files that can go.
    pub async fn keep_house(&self) {
        // The writer is gone where it cannot be told; then there is nothing to keep.
        let _ = self.requests.send(Message::KeepHouse).await;
    }

    /// Everything as of the last commit.
    pub fn snapshot(&self) -> Arc<Index> {
        self.published.load_full()
    }

    /// Whether this recovery code opens the store.
    pub fn is_recovery_code(&self, code: &RecoveryCode) -> bool {
        self.snapshot().vault.as_ref().is_some_and(|vault| vault.is_recovery_code(&self.store_id, code))
    }

    /// The directory that the store is in.
    pub fn directory(&self) -> &DataDirectory {
        &self.directory
    }

    /// Makes a change; it is on disk when this returns `Ok`. The function runs on the writer's thread, so it
    /// checks against exactly the state that it changes, and must be quick.
    ///
    /// # Errors
    /// The function's own refusal, or that the change could not be stored; then nothing of it is.
    pub async fn commit<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        let (request, reply) = FunctionRequest::new(change);
        if self.requests.send(Message::Request(Box::new(request))).await.is_err() {
            return Err(closed().into());
        }
        reply.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// [`Store::commit`] for callers outside of the asynchronous runtime.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_blocking<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
    {
        let (request, reply) = FunctionRequest::new(change);
        if self.requests.blocking_send(Message::Request(Box::new(request))).is_err() {
            return Err(closed().into());
        }
        reply.blocking_recv().unwrap_or_else(|_| Err(closed().into()))
    }

    /// Ends the writer after what waits for it, then sled, and waits for both; later changes are refused. Nothing
    /// would be lost without it, but the next start would have more to replay. Blocks.
    pub fn close(&self) {
        // The writer is gone already where it cannot be told.
        let _ = self.requests.blocking_send(Message::Stop);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                error!("a thread of the store panicked while the store was being closed");
            }
        }
    }
}

fn closed() -> Unavailable {
    Unavailable { reason: "the store is closed".to_owned() }
}
