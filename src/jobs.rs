//! Test jobs: a bounded queue, callers in turn, few against one endpoint, and a way through restarts.
//!
//! A job is stored as queued before it is acknowledged, and again with its result. That it is being worked on is
//! known in memory alone, so a job that a stop interrupts is simply still queued.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::cloud::{self, TestTimes};
use crate::config::JobsConfig;
use crate::domain::bucket::Bucket;
use crate::domain::connector::Settings;
use crate::domain::job::{INTERRUPTED_RUNS_MAX, Job, JobState, Verdict};
use crate::domain::timestamp::Timestamp;
use crate::store::{Store, Transaction, Unavailable};

use queue::{Queue, Waiting};
pub use queue::{QueueFull, Slot};

/// Old jobs removed by one change at most, so that no change is long.
const REMOVED_AT_ONCE: usize = 256;
/// Bucket lists of ended jobs kept at most, in all; the oldest go first.
const RESULTS_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Runs tests in the background.
pub struct Jobs {
    config: JobsConfig,
    store: Arc<Store>,
    queue: Mutex<Queue>,
    stopping: watch::Sender<bool>,
}

/// How far a job is that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether it is being worked on.
    pub is_working: bool,
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

impl Jobs {
    /// With an empty queue.
    pub fn new(config: JobsConfig, store: Arc<Store>) -> Arc<Self> {
        let queue = Mutex::new(Queue::new(&config));
        Arc::new(Self { config, store, queue, stopping: watch::Sender::new(false) })
    }

    /// Takes up what an earlier process left: queued jobs run again, those interrupted too often are failed.
    pub async fn resume(self: &Arc<Self>) {
        let snapshot = self.store.snapshot();
        let mut resumed = 0;
        for job in snapshot.jobs().iter() {
            let JobState::Queued { settings, runs_begun } = &job.state else { continue };
            if *runs_begun >= INTERRUPTED_RUNS_MAX {
                self.end(job.id, Err(Verdict::interrupted())).await;
                continue;
            }
            resumed += 1;
            self.lock().push(Waiting::new(job.id, &job.caller, settings));
        }
        if resumed > 0 {
            info!(jobs = resumed, "tests of before the restart run again");
        }
        self.start_ready();
    }

    /// Reserves a place in the queue, before anything is stored.
    ///
    /// # Errors
    /// The queue is full, for this caller or for all.
    pub fn reserve(self: &Arc<Self>, caller: &str) -> Result<Slot, QueueFull> {
        self.lock().reserve(caller)?;
        Ok(Slot::new(Arc::clone(self), caller))
    }

    /// Puts a stored job into its reserved place.
    pub fn submit(self: &Arc<Self>, slot: Slot, id: u64, settings: &Settings) {
        let waiting = Waiting::new(id, slot.caller(), settings);
        drop(slot);
        self.lock().push(waiting);
        self.start_ready();
    }

    /// How far a stored job is that has not ended.
    pub fn progress(&self, id: u64) -> Progress {
        Progress { is_working: self.lock().is_running(id), done: 0, total: 1 }
    }

    /// Whether an ended job is past its time; it counts as gone even before it is removed.
    pub fn is_expired(&self, job: &Job) -> bool {
        is_older_than(job, self.config.keep, Timestamp::now())
    }

    /// Removes ended jobs that are too old or too many.
    pub async fn remove_old(&self) {
        let config = self.config.clone();
        let removed = self.store.commit(move |transaction: &mut Transaction<'_>| {
            remove_old(transaction, &config);
            Ok::<(), Unavailable>(())
        });
        if let Err(unavailable) = removed.await {
            warn!(reason = unavailable.reason, "old tests could not be removed");
        }
    }

    /// Stops all work and waits until it has ended. What was running is still stored as queued.
    pub async fn stop(&self) {
        self.lock().close();
        self.stopping.send_replace(true);
        while self.lock().running_count() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Starts every waiting job for which there is room.
    fn start_ready(self: &Arc<Self>) {
        while let Some(waiting) = self.start_next() {
            let jobs = Arc::clone(self);
            tokio::spawn(async move {
                let run = tokio::spawn({
                    let (jobs, id) = (Arc::clone(&jobs), waiting.id());
                    async move { jobs.run(id).await }
                });
                if run.await.is_err() {
                    error!(job = waiting.id(), "a test panicked");
                    jobs.end(waiting.id(), Err(Verdict::interrupted())).await;
                }
                jobs.lock().finish(&waiting);
                jobs.start_ready();
            });
        }
    }

    fn start_next(&self) -> Option<Waiting> {
        self.lock().start_next()
    }

    async fn run(&self, id: u64) {
        let begun = self
            .store
            .commit(move |transaction: &mut Transaction<'_>| Ok::<_, Unavailable>(begin(transaction, id)));
        let settings = match begun.await {
            Ok(Some(settings)) => settings,
            Ok(None) => return,
            Err(unavailable) => {
                warn!(
                    job = id,
                    reason = unavailable.reason,
                    "the test could not be begun; it runs after the next start"
                );
                return;
            }
        };
        let times =
            TestTimes { deadline: self.config.deadline, connect_timeout: self.config.connect_timeout };
        let mut stopping = self.stopping.subscribe();
        let result = tokio::select! {
            result = cloud::list_buckets(&settings, times) => result,
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
        };
        self.end(id, result).await;
    }

    async fn end(&self, id: u64, result: Result<Vec<Bucket>, Verdict>) {
        let job_id = self.store.snapshot().jobs().get(id).map(|job| job.job_id.clone()).unwrap_or_default();
        match &result {
            Ok(buckets) => info!(job_id, buckets = buckets.len(), "a test completed"),
            Err(verdict) => info!(job_id, verdict = verdict.code, "a test failed"),
        }
        let config = self.config.clone();
        let ended = self.store.commit(move |transaction: &mut Transaction<'_>| {
            let ended_at = transaction.now();
            if let Some(job) = transaction.index().jobs().get(id) {
                let state = match result {
                    Ok(buckets) => JobState::Completed { ended_at, buckets },
                    Err(verdict) => JobState::Failed { ended_at, verdict },
                };
                let job = Job { state, ..Job::clone(job) };
                transaction.put(job);
            }
            remove_old(transaction, &config);
            Ok::<(), Unavailable>(())
        });
        if let Err(unavailable) = ended.await {
            warn!(
                job_id,
                reason = unavailable.reason,
                "the end of a test could not be stored; it runs after the next start"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while holding the lock, and the queue is whole after every call.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the run before it begins, so that a test that takes the process down is not tried for ever.
fn begin(transaction: &mut Transaction<'_>, id: u64) -> Option<Box<Settings>> {
    let job = Job::clone(transaction.index().jobs().get(id)?);
    let JobState::Queued { settings, runs_begun } = &job.state else { return None };
    let state = JobState::Queued { settings: settings.clone(), runs_begun: runs_begun + 1 };
    let settings = settings.clone();
    transaction.put(Job { state, ..job });
    Some(settings)
}

fn remove_old(transaction: &mut Transaction<'_>, config: &JobsConfig) {
    let now = transaction.now();
    let mut kept = 0;
    let mut kept_bytes = 0;
    let mut removed = Vec::new();
    for job in transaction.index().jobs().iter().rev().filter(|job| job.ended_at().is_some()) {
        kept += 1;
        kept_bytes += result_bytes(job);
        if kept > config.keep_count || kept_bytes > RESULTS_MAX_BYTES || is_older_than(job, config.keep, now)
        {
            removed.push(job.id);
        }
    }
    for id in removed.into_iter().rev().take(REMOVED_AT_ONCE) {
        transaction.remove::<Job>(id);
    }
}

fn is_older_than(job: &Job, keep: std::time::Duration, now: Timestamp) -> bool {
    job.ended_at().is_some_and(|ended_at| now.seconds_since(ended_at) >= keep.as_secs())
}

/// About how much memory the result takes.
fn result_bytes(job: &Job) -> usize {
    match &job.state {
        JobState::Completed { buckets, .. } => {
            buckets.iter().map(|bucket| bucket.name.len() + std::mem::size_of::<Bucket>()).sum()
        }
        JobState::Queued { .. } | JobState::Failed { .. } => 0,
    }
}
