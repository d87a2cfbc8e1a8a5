//! Test jobs: a bounded queue, callers in turn, few against one endpoint, and a way through restarts.
//!
//! A job is stored as queued before it is acknowledged, and again with its result. That it is being worked on is
//! known in memory alone, so a job that a stop interrupts is simply still queued.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::cloud::{Cloud, Progress, Steps};
use crate::config::JobsConfig;
use crate::domain::bucket::Bucket;
use crate::domain::connector::Settings;
use crate::domain::job::{INTERRUPTED_RUNS_MAX, Job, JobState, Task};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Failure, Findings, Verdict};
use crate::store::{Store, Transaction, Unavailable};

use queue::{Queue, Waiting};
pub use queue::{QueueFull, Slot};

/// Old jobs removed by one change at most, so that no change is long.
const REMOVED_AT_ONCE: usize = 256;
/// Bucket lists of ended jobs kept at most, in all; the oldest go first.
const RESULTS_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Pause before a change is tried again that could not be stored.
const STORE_RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Runs tests in the background.
pub struct Jobs {
    config: JobsConfig,
    store: Arc<Store>,
    cloud: Cloud,
    queue: Mutex<Queue>,
    stopping: watch::Sender<bool>,
}

impl Jobs {
    /// With an empty queue.
    pub fn new(config: JobsConfig, store: Arc<Store>, cloud: Cloud) -> Arc<Self> {
        let queue = Mutex::new(Queue::new(&config));
        Arc::new(Self { config, store, cloud, queue, stopping: watch::Sender::new(false) })
    }

    /// Takes up what an earlier process left: queued jobs run again, those interrupted too often are failed.
    pub async fn resume(self: &Arc<Self>) {
        let snapshot = self.store.snapshot();
        let mut resumed = 0;
        for job in snapshot.jobs().iter() {
            let JobState::Queued { task, runs_begun } = &job.state else { continue };
            if *runs_begun >= INTERRUPTED_RUNS_MAX {
                self.end(job.id, Err(Verdict::interrupted().into())).await;
                continue;
            }
            resumed += 1;
            self.lock().push(Waiting::new(job.id, &job.caller, &task.settings));
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
        self.lock().push(waiting);
        drop(slot);
        self.start_ready();
    }

    /// How far a job is that is being worked on.
    pub fn progress(&self, id: u64) -> Option<Steps> {
        self.lock().progress(id)
    }

    /// Whether an ended job is past its time; it counts as gone even before it is removed.
    pub fn is_expired(&self, job: &Job) -> bool {
        is_older_than(job, self.config.keep, self.store.snapshot().now())
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
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts every waiting job for which there is room.
    fn start_ready(self: &Arc<Self>) {
        while let Some(waiting) = self.start_next() {
            let jobs = Arc::clone(self);
            tokio::spawn(async move {
                let run = tokio::spawn({
                    let (jobs, id, progress) = (Arc::clone(&jobs), waiting.id(), waiting.progress());
                    async move { jobs.run(id, &progress).await }
                });
                if run.await.is_err() {
                    error!(job = waiting.id(), "a test panicked");
                    jobs.end(waiting.id(), Err(Verdict::interrupted().into())).await;
                }
                jobs.lock().finish(&waiting);
                jobs.start_ready();
            });
        }
    }

    fn start_next(&self) -> Option<Waiting> {
        self.lock().start_next()
    }

    async fn run(&self, id: u64, progress: &Progress) {
        let Some(Some(task)) = self.store_at_last(move |transaction| begin(transaction, id)).await else {
            return;
        };
        let result = tokio::select! {
            result = self.cloud.list_buckets(&task, progress) => result,
            () = self.stopped() => return self.put_back(id).await,
        };
        self.end(id, result).await;
    }

    async fn end(&self, id: u64, result: Result<Findings, Failure>) {
        let job_id = self.store.snapshot().jobs().get(id).map(|job| job.job_id.clone()).unwrap_or_default();
        match &result {
            Ok(findings) => info!(job_id, buckets = findings.buckets.len(), "a test completed"),
            Err(failure) => info!(
                job_id,
                stage = failure.verdict.stage.name(),
                verdict = failure.verdict.code,
                "a test failed"
            ),
        }
        // A long list is not copied with each try.
        let (config, result) = (self.config.clone(), Arc::new(result));
        self.store_at_last(move |transaction| {
            let ended_at = transaction.now();
            if let Some(job) = transaction.index().jobs().get(id) {
                let state = match Result::clone(&result) {
                    Ok(findings) => JobState::Completed { ended_at, findings },
                    Err(failure) => JobState::Failed { ended_at, failure },
                };
                let job = Job { state, ..Job::clone(job) };
                transaction.put(job);
            }
            remove_old(transaction, &config);
        })
        .await;
    }

    /// Ends when the service stops.
    async fn stopped(&self) {
        // The sender lives as long as `self`, so this cannot end early.
        let _ = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// A run that a clean stop ends is not counted as interrupted.
    async fn put_back(&self, id: u64) {
        let put_back = self.store.commit(move |transaction: &mut Transaction<'_>| {
            count_run(transaction, id, |runs_begun| runs_begun.saturating_sub(1));
            Ok::<(), Unavailable>(())
        });
        if let Err(unavailable) = put_back.await {
            warn!(reason = unavailable.reason, "a test could not be put back; the run counts as interrupted");
        }
    }

    /// Makes a change again and again until it is stored, for example when a full disk has room again. `None` where the
    /// service stops before; then the job is still queued, and runs after the next start.
    async fn store_at_last<T: Send + 'static>(
        &self,
        change: impl Fn(&mut Transaction<'_>) -> T + Clone + Send + 'static,
    ) -> Option<T> {
        loop {
            let change = change.clone();
            let stored = self
                .store
                .commit(move |transaction: &mut Transaction<'_>| Ok::<T, Unavailable>(change(transaction)));
            match stored.await {
                Ok(value) => return Some(value),
                Err(unavailable) => {
                    warn!(reason = unavailable.reason, "a test job could not be stored; trying again")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(STORE_RETRY_PAUSE) => {}
                () = self.stopped() => return None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while holding the lock, and the queue is whole after every call.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the run before it begins, so that a test that takes the process down is not tried for ever.
fn begin(transaction: &mut Transaction<'_>, id: u64) -> Option<Box<Task>> {
    count_run(transaction, id, |runs_begun| runs_begun + 1)
}

fn count_run(transaction: &mut Transaction<'_>, id: u64, count: fn(u32) -> u32) -> Option<Box<Task>> {
    let job = Job::clone(transaction.index().jobs().get(id)?);
    let JobState::Queued { task, runs_begun } = &job.state else { return None };
    let task = task.clone();
    let state = JobState::Queued { task: task.clone(), runs_begun: count(*runs_begun) };
    transaction.put(Job { state, ..job });
    Some(task)
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

fn is_older_than(job: &Job, keep: Duration, now: Timestamp) -> bool {
    job.ended_at().is_some_and(|ended_at| now.seconds_since(ended_at) >= keep.as_secs())
}

/// About how much memory the result takes.
fn result_bytes(job: &Job) -> usize {
    let of_bucket = |bucket: &Bucket| {
        bucket.name.len() + bucket.location.as_ref().map_or(0, String::len) + size_of::<Bucket>()
    };
    let of_verdict = |verdict: &Verdict| verdict.message.len() + verdict.hint.len() + size_of::<Verdict>();
    match &job.state {
        JobState::Completed { findings, .. } => {
            let notes: usize = findings.notes.iter().map(of_verdict).sum();
            notes + findings.buckets.iter().map(of_bucket).sum::<usize>()
        }
        JobState::Failed { failure, .. } => {
            of_verdict(&failure.verdict) + failure.notes.iter().map(of_verdict).sum::<usize>()
        }
        JobState::Queued { .. } => 0,
    }
}
