//! How a test job is stored.

use serde::{Deserialize, Serialize};

use crate::domain::bucket::Bucket;
use crate::domain::job::{Job, JobState, Task};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Failure, Findings, Stage, Verdict};
use crate::store::index::{Index, Table};
use crate::store::records::{DecodeError, Record, StoredSettings, decode_record, encode_record};
use crate::store::sealing::Sealer;
use crate::store::state::{Key, Kind};

#[derive(Serialize, Deserialize)]
struct StoredJob {
    job_id: String,
    caller: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connector_id: Option<u64>,
    created_at_ms: i64,
    state: StoredJobState,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredJobState {
    Queued {
        settings: Box<StoredSettings>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        probe_buckets: Vec<String>,
        runs_begun: u32,
    },
    Completed {
        ended_at_ms: i64,
        buckets: Vec<StoredBucket>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<StoredVerdict>,
    },
    Failed {
        ended_at_ms: i64,
        #[serde(flatten)]
        verdict: StoredVerdict,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<StoredVerdict>,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredVerdict {
    code: String,
    message: String,
    hint: String,
    stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attribute: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredBucket {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_size_sum: Option<u64>,
}

impl From<&Verdict> for StoredVerdict {
    fn from(verdict: &Verdict) -> Self {
        Self {
            code: verdict.code.clone(),
            message: verdict.message.clone(),
            hint: verdict.hint.clone(),
            stage: verdict.stage.name().to_owned(),
            attribute: verdict.attribute.clone(),
        }
    }
}

impl TryFrom<StoredVerdict> for Verdict {
    type Error = String;

    fn try_from(stored: StoredVerdict) -> Result<Self, String> {
        let StoredVerdict { code, message, hint, stage, attribute } = stored;
        let stage = Stage::parse(&stage).ok_or_else(|| format!("its stage {stage} is unknown"))?;
        Ok(Self { code, stage, message, hint, attribute })
    }
}

impl From<&Bucket> for StoredBucket {
    fn from(bucket: &Bucket) -> Self {
        let Bucket { name, location, file_count, file_size_sum } = bucket.clone();
        Self { name, location, file_count, file_size_sum }
    }
}

impl From<StoredBucket> for Bucket {
    fn from(stored: StoredBucket) -> Self {
        let StoredBucket { name, location, file_count, file_size_sum } = stored;
        Self { name, location, file_count, file_size_sum }
    }
}

impl StoredJobState {
    fn from_state(state: &JobState, key: Key, sealer: &Sealer) -> Self {
        match state {
            JobState::Queued { task, runs_begun } => StoredJobState::Queued {
                settings: Box::new(StoredSettings::from_settings(&task.settings, key, sealer)),
                probe_buckets: task.probe_buckets.clone(),
                runs_begun: *runs_begun,
            },
            JobState::Completed { ended_at, findings } => StoredJobState::Completed {
                ended_at_ms: ended_at.unix_ms(),
                buckets: findings.buckets.iter().map(StoredBucket::from).collect(),
                notes: findings.notes.iter().map(StoredVerdict::from).collect(),
            },
            JobState::Failed { ended_at, failure } => StoredJobState::Failed {
                ended_at_ms: ended_at.unix_ms(),
                verdict: StoredVerdict::from(&failure.verdict),
                notes: failure.notes.iter().map(StoredVerdict::from).collect(),
            },
        }
    }

    fn into_state(self, key: Key, sealer: &Sealer) -> Result<JobState, String> {
        let notes = |stored: Vec<StoredVerdict>| {
            stored.into_iter().map(Verdict::try_from).collect::<Result<Vec<_>, String>>()
        };
        Ok(match self {
            StoredJobState::Queued { settings, probe_buckets, runs_begun } => {
                let settings = settings.into_settings(key, sealer)?;
                JobState::Queued { task: Box::new(Task { settings, probe_buckets }), runs_begun }
            }
            StoredJobState::Completed { ended_at_ms, buckets, notes: stored } => JobState::Completed {
                ended_at: Timestamp::from_unix_ms(ended_at_ms),
                findings: Findings {
                    buckets: buckets.into_iter().map(Bucket::from).collect(),
                    notes: notes(stored)?,
                },
            },
            StoredJobState::Failed { ended_at_ms, verdict, notes: stored } => JobState::Failed {
                ended_at: Timestamp::from_unix_ms(ended_at_ms),
                failure: Failure { verdict: verdict.try_into()?, notes: notes(stored)? },
            },
        })
    }
}

impl Record for Job {
    const KIND: Kind = Kind::Job;

    fn id(&self) -> u64 {
        self.id
    }

    fn unique_text(&self) -> &str {
        &self.job_id
    }

    fn encode(&self, sealer: &Sealer) -> Vec<u8> {
        encode_record(&StoredJob {
            job_id: self.job_id.clone(),
            caller: self.caller.clone(),
            connector_id: self.connector_id,
            created_at_ms: self.created_at.unix_ms(),
            state: StoredJobState::from_state(&self.state, Key::new(Self::KIND, self.id), sealer),
        })
    }

    fn decode(id: u64, bytes: &[u8], sealer: &Sealer) -> Result<Self, DecodeError> {
        let stored: StoredJob = decode_record(bytes)?;
        Ok(Self {
            id,
            job_id: stored.job_id,
            caller: stored.caller,
            connector_id: stored.connector_id,
            created_at: Timestamp::from_unix_ms(stored.created_at_ms),
            state: stored.state.into_state(Key::new(Self::KIND, id), sealer)?,
        })
    }

    fn table_mut(index: &mut Index) -> &mut Table<Self> {
        &mut index.jobs
    }
}
