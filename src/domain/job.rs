//! A test of a connector as a job: stored before it is acknowledged, run in the background.

use crate::domain::connector::Settings;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Failure, Findings};

/// After so many runs that ended with the process, a job is given up.
pub const INTERRUPTED_RUNS_MAX: u32 = 3;

/// A test job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Counts up from 1; the order of jobs.
    pub id: u64,
    /// A random UUID: what clients ask with.
    pub job_id: String,
    /// Who asked, for taking callers in turn: `user:1`, `key:7`.
    pub caller: String,
    /// The saved connector that the test named.
    pub connector_id: Option<u64>,
    /// When the job was accepted.
    pub created_at: Timestamp,
    /// How far it came.
    pub state: JobState,
}

/// What a job has to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// What to test.
    pub settings: Settings,
    /// Buckets to ask for one by one, where the key may not list them.
    pub probe_buckets: Vec<String>,
}

/// How far a job came. Only these are stored; that a queued job is being worked on is known in memory.
#[derive(Debug, Clone)]
pub enum JobState {
    /// Waiting or being worked on.
    Queued {
        /// What to test. Ended jobs hold no secret, so it goes with the end.
        task: Box<Task>,
        /// Runs that were begun. A run that ended with the process was interrupted.
        runs_begun: u32,
    },
    /// The buckets were listed.
    Completed {
        /// When.
        ended_at: Timestamp,
        /// What was found.
        findings: Findings,
    },
    /// Something is wrong.
    Failed {
        /// When.
        ended_at: Timestamp,
        /// What, and what to change.
        failure: Failure,
    },
}

impl Job {
    /// When the job ended, if it did.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match &self.state {
            JobState::Queued { .. } => None,
            JobState::Completed { ended_at, .. } | JobState::Failed { ended_at, .. } => Some(*ended_at),
        }
    }
}
