//! Work that keeps a processor busy: off the asynchronous threads, a few at a time, with a bounded wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// No turn came up in time.
#[derive(Debug)]
pub struct Busy;

/// A bounded number of turns.
pub struct Turns {
    turns: Arc<Semaphore>,
    wait: Duration,
}

impl Turns {
    /// So many at once, each waiting so long at most.
    pub fn new(at_once: usize, wait: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once)), wait }
    }

    /// Runs the work when there is a turn. The turn belongs to the work, also if nobody waits for it any more.
    ///
    /// # Errors
    /// [`Busy`] where no turn came up in time, or the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        working.await.map_err(|_| Busy)
    }
}
