//! Tests of connectors: start one, ask how far it is.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::auth::Caller;
use crate::api::connectors::{ConnectorBody, add_settings_violations, secret_needed};
use crate::api::error::ApiError;
use crate::api::reply::Reply;
use crate::api::request::{Call, Field};
use crate::api::routes::{Answer, Parameter};
use crate::domain::connector::{Connector, ConnectorPatch, Settings};
use crate::domain::job::{Job, JobState, Verdict};
use crate::domain::scope::CONNECTORS_SHOW;
use crate::domain::violation::{Reason, Violation, echo};
use crate::jobs::QueueFull;
use crate::random::random_uuid;
use crate::store::{Index, Transaction};

/// `job_id`.
pub const JOB_ID: Parameter = Parameter {
    name: "job_id",
    is_integer: false,
    is_required: true,
    description: "ID of the job, from the answer that started it.",
};

/// A test job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActiveJobStatus")]
pub struct JobView<'a> {
    job_id: &'a str,
    status: JobStatus,
    /// Steps done.
    progress: u64,
    /// Steps in all.
    total: u64,
    /// What is wrong; only where the job failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<VerdictView<'a>>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum JobStatus {
    Queued,
    Working,
    Failed,
}

/// What is wrong with a connector.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Verdict")]
pub struct VerdictView<'a> {
    /// A word for programs.
    code: &'a str,
    /// What is wrong and what to change.
    message: String,
    /// What to change.
    hint: &'a str,
    /// How far the test came.
    stage: &'a str,
}

/// The buckets that a connector can see.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CloudBucketSimpleCollection")]
pub struct BucketListView<'a> {
    cloud_buckets: Vec<BucketView<'a>>,
}

/// A bucket; what is not known is null.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CloudBucket")]
pub struct BucketView<'a> {
    id: Option<u64>,
    /// The saved connector that the test named.
    cloud_connector_id: Option<u64>,
    pool_id: Option<u64>,
    name: &'a str,
    file_count: Option<u64>,
    file_size_sum: Option<u64>,
    location: Option<&'a str>,
    price: Option<&'a str>,
    options: Option<&'a str>,
}

/// Starts a test of a connector that need not be saved.
pub fn create(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let body: ConnectorBody = call.body.parse()?;
        let mut violations = Vec::new();
        let saved_id = match &body.id {
            // A number that no id can be names none.
            Field::Value(id) => id.as_u64(),
            Field::Absent | Field::Null => None,
            Field::WrongType => {
                violations.push(Violation::invalid_secret("id", "send a whole number"));
                None
            }
        };
        let patch = body.into_patch(false, &mut violations);
        let slot = call.app.jobs.reserve(caller.label()).map_err(|full| match full {
            QueueFull::ForCaller => {
                ApiError::unavailable("You have as many tests waiting as one caller may", 5)
            }
            QueueFull::ForAll => ApiError::unavailable("The queue of tests is full", 5),
        })?;
        let job_id = random_uuid();
        let new_job = {
            let (caller, job_id) = (caller.clone(), job_id.clone());
            move |transaction: &mut Transaction<'_>| {
                let (settings, connector_id) =
                    resolve(transaction.index(), &caller, saved_id, patch, violations)?;
                let job = Job {
                    id: transaction.next_id::<Job>(),
                    job_id,
                    caller: caller.label().to_owned(),
                    connector_id,
                    created_at: transaction.now(),
                    state: JobState::Queued { settings: Box::new(settings.clone()), runs_begun: 0 },
                };
                Ok::<_, ApiError>((transaction.put(job).id, settings))
            }
        };
        let (id, settings) = caller.commit(&call.app, new_job).await?;
        call.app.jobs.submit(slot, id, &settings);
        let view = JobView { job_id: &job_id, status: JobStatus::Queued, progress: 0, total: 1, error: None };
        Ok(Reply::json(StatusCode::ACCEPTED, &view))
    })
}

/// What is to be tested: the sent attributes, completed with those of a saved connector where the caller may see it.
fn resolve(
    index: &Index,
    caller: &Caller,
    saved_id: Option<u64>,
    patch: ConnectorPatch,
    mut violations: Vec<Violation>,
) -> Result<(Settings, Option<u64>), ApiError> {
    let saved = saved_id.filter(|_| caller.rights().holds(CONNECTORS_SHOW));
    let saved = saved.and_then(|id| index.connectors().get(id)).map(|connector| Connector::clone(connector));
    let names_secret = patch.secret_key.is_sent();
    let replaces_hidden_text =
        saved.as_ref().is_some_and(|connector| patch.replaces_hidden_text(&connector.settings));
    let settings = patch.apply_settings(saved.as_ref().map(|connector| &connector.settings));
    add_settings_violations(&settings, &mut violations);
    if let Some(Connector { settings: saved, .. }) = &saved {
        let is_secret_used = saved.secret_key.is_some() && !names_secret;
        let is_elsewhere =
            replaces_hidden_text || saved.leads_elsewhere(&settings) || saved.region != settings.region;
        if !caller.sees_secrets() && is_secret_used && is_elsewhere {
            violations.push(secret_needed());
        }
    }
    if !violations.is_empty() {
        return Err(violations.into());
    }
    Ok((settings, saved.map(|connector| connector.id)))
}

/// Says how far a job is, or what it found.
pub fn show(_caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let blank = || Violation::new("job_id", Reason::Blank);
        let job_id = call.query.one("job_id")?.filter(|job_id| !job_id.is_empty()).ok_or_else(blank)?;
        let snapshot = call.app.store.snapshot();
        let job = snapshot.jobs().find(job_id).filter(|job| !call.app.jobs.is_expired(job));
        let job = job.ok_or_else(|| ApiError::not_found(&format!("Job '{}'", echo(job_id))))?;
        let view = |status, progress, total, verdict: Option<&Verdict>| {
            let error = verdict.map(|verdict| VerdictView {
                code: &verdict.code,
                message: format!("{} {}", verdict.message, verdict.hint),
                hint: &verdict.hint,
                stage: &verdict.stage,
            });
            let view = JobView { job_id: &job.job_id, status, progress, total, error };
            Reply::json(StatusCode::ACCEPTED, &view)
        };
        Ok(match &job.state {
            JobState::Queued { .. } => {
                let progress = call.app.jobs.progress(job.id);
                let status = if progress.is_working { JobStatus::Working } else { JobStatus::Queued };
                view(status, progress.done, progress.total, None)
            }
            JobState::Failed { verdict, .. } => view(JobStatus::Failed, 0, 1, Some(verdict)),
            JobState::Completed { buckets, .. } => {
                let cloud_buckets = buckets.iter().map(|bucket| BucketView {
                    id: None,
                    cloud_connector_id: job.connector_id,
                    pool_id: None,
                    name: &bucket.name,
                    file_count: bucket.file_count,
                    file_size_sum: bucket.file_size_sum,
                    location: bucket.location.as_deref(),
                    price: None,
                    options: None,
                });
                Reply::json(StatusCode::OK, &BucketListView { cloud_buckets: cloud_buckets.collect() })
            }
        })
    })
}
