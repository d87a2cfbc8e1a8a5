//! A test of a connector as a job: stored before it is acknowledged, run in the background.

use crate::domain::bucket::Bucket;
use crate::domain::connector::Settings;
use crate::domain::timestamp::Timestamp;

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

/// How far a job came. Only these are stored; that a queued job is being worked on is known in memory.
#[derive(Debug, Clone)]
pub enum JobState {
    /// Waiting or being worked on.
    Queued {
        /// What to test. Ended jobs hold no secret, so it goes with the end.
        settings: Box<Settings>,
        /// Runs that were begun. A run that ended with the process was interrupted.
        runs_begun: u32,
    },
    /// The buckets were listed.
    Completed {
        /// When.
        ended_at: Timestamp,
        /// What was found, sorted by name.
        buckets: Vec<Bucket>,
    },
    /// Something is wrong.
    Failed {
        /// When.
        ended_at: Timestamp,
        /// What, and what to change.
        verdict: Verdict,
    },
}

/// What is wrong with a connector, for programs (`code`) and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// A word for programs, for example `connection_refused`.
    pub code: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to change.
    pub hint: String,
    /// How far the test came: `configuration`, `resolve`, `connect`, `proxy`, `tls`, `http`,
    /// `authentication`, `authorization` or `answer`.
    pub stage: String,
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

impl Verdict {
    /// A verdict from its parts.
    pub fn new(stage: &str, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), hint: hint.into(), stage: stage.to_owned() }
    }

    /// The verdict on a job that did not come to its own end, after [`INTERRUPTED_RUNS_MAX`] runs.
    pub fn interrupted() -> Self {
        Self::new(
            "configuration",
            "interrupted",
            "The test was interrupted, by the service ending or by an error of its own.",
            "Start the test again. If it is interrupted again, the service's log says why.",
        )
    }
}
