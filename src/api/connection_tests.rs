//! Tests of connectors: start one, ask how far it is.

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::auth::Caller;
use crate::api::connectors::{ConnectorBody, add_settings_violations, secret_needed};
use crate::api::error::ApiError;
use crate::api::reply::Reply;
use crate::api::request::{Call, Field};
use crate::api::routes::{Answer, Parameter};
use crate::api::trail::Trail;
use crate::domain::bucket::{self, Bucket};
use crate::domain::connector::{Connector, ConnectorPatch, Settings};
use crate::domain::job::{Job, JobState, Task};
use crate::domain::scope::CONNECTORS_SHOW;
use crate::domain::verdict::{Failure, Verdict};
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

/// Most buckets that one test asks for one by one.
pub const PROBE_BUCKETS_MAX: usize = 100;

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
    error: Option<FailureView<'a>>,
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
#[schemars(rename = "TestFailure")]
pub struct FailureView<'a> {
    #[serde(flatten)]
    verdict: VerdictView<'a>,
    /// What is to be known besides; left out where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    notes: Vec<VerdictView<'a>>,
}

/// One thing that is wrong, or to be known.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Verdict")]
pub struct VerdictView<'a> {
    /// A word for programs.
    code: &'a str,
    /// What is wrong and what to change.
    message: String,
    /// What to change.
    hint: &'a str,
    /// How far the test came: configuration, resolve, connect, proxy, tls, http, authentication, authorization or answer.
    stage: &'static str,
    /// The attribute of the connector that the hint is about; left out where it is about none.
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<&'a str>,
}

impl<'a> VerdictView<'a> {
    fn new(verdict: &'a Verdict) -> Self {
        Self {
            code: &verdict.code,
            message: verdict.to_string(),
            hint: &verdict.hint,
            stage: verdict.stage.name(),
            attribute: verdict.attribute.as_deref(),
        }
    }

    fn all(notes: &'a [Verdict]) -> Vec<Self> {
        notes.iter().map(Self::new).collect()
    }
}

impl<'a> FailureView<'a> {
    /// Clients that know only `message` get the notes in it too: a mistyped option may be what is wrong.
    fn new(failure: &'a Failure) -> Self {
        let mut verdict = VerdictView::new(&failure.verdict);
        for note in &failure.notes {
            verdict.message.push_str(&format!(" {note}"));
        }
        Self { verdict, notes: VerdictView::all(&failure.notes) }
    }
}

/// The buckets that a connector can see.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CloudBucketSimpleCollection")]
pub struct BucketListView<'a> {
    cloud_buckets: Vec<BucketView<'a>>,
    /// What is to be known besides, for example that the list is cut; left out where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    notes: Vec<VerdictView<'a>>,
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

impl<'a> BucketView<'a> {
    fn new(bucket: &'a Bucket, cloud_connector_id: Option<u64>) -> Self {
        Self {
            id: None,
            cloud_connector_id,
            pool_id: None,
            name: &bucket.name,
            file_count: bucket.file_count,
            file_size_sum: bucket.file_size_sum,
            location: bucket.location.as_deref(),
            price: None,
            options: None,
        }
    }
}

/// Starts a test of a connector that need not be saved.
pub fn create(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let mut body: ConnectorBody = call.body.parse()?;
        let mut violations = Vec::new();
        let probe_buckets = parse_probe_buckets(std::mem::take(&mut body.probe_buckets), &mut violations);
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
        let trail = Trail::new(&caller, &call);
        let new_job = {
            let (caller, job_id) = (caller.clone(), job_id.clone());
            move |transaction: &mut Transaction<'_>| {
                let Resolved { settings, saved, leads_secrets_elsewhere } =
                    resolve(transaction.index(), &caller, saved_id, patch, violations)?;
                let job = Job {
                    id: transaction.next_id::<Job>(),
                    job_id,
                    caller: caller.label().to_owned(),
                    connector_id: saved.as_ref().map(|connector| connector.id),
                    created_at: transaction.now(),
                    state: JobState::Queued {
                        task: Box::new(Task { settings: settings.clone(), probe_buckets }),
                        runs_begun: 0,
                    },
                };
                let led = saved.filter(|_| leads_secrets_elsewhere);
                let reveal = led.and_then(|connector| trail.record_led_elsewhere(transaction, &connector));
                Ok::<_, ApiError>((transaction.put(job).id, settings, reveal))
            }
        };
        let (id, settings, reveal) = caller.commit(&call.app, new_job).await?;
        call.app.audit.confirm(reveal.as_slice());
        call.app.jobs.submit(slot, id, &settings);
        let view = JobView { job_id: &job_id, status: JobStatus::Queued, progress: 0, total: 1, error: None };
        Ok(Reply::json(StatusCode::ACCEPTED, &view))
    })
}

/// The names to ask for one by one, where the key may not list.
fn parse_probe_buckets(names: Field<Vec<String>>, violations: &mut Vec<Violation>) -> Vec<String> {
    let names = match names {
        Field::Absent | Field::Null => Vec::new(),
        Field::Value(names) => names,
        Field::WrongType => {
            violations.push(Violation::invalid_secret("probe_buckets", "send a list of names"));
            Vec::new()
        }
    };
    if names.len() > PROBE_BUCKETS_MAX {
        violations.push(Violation::new("probe_buckets", Reason::TooLong(PROBE_BUCKETS_MAX as u64)));
        return Vec::new();
    }
    for name in names.iter().filter(|name| !bucket::is_name(name)) {
        let advice = "a name is not empty, has no slash and no control characters, and is not . or ..";
        violations.push(Violation::invalid("probe_buckets", name, advice));
    }
    if names.iter().any(|name| name.chars().count() > bucket::NAME_MAX_CHARACTERS) {
        let reason = Reason::TooLong(bucket::NAME_MAX_CHARACTERS as u64);
        violations.push(Violation::new("probe_buckets", reason));
    }
    names
}

/// What is to be tested.
struct Resolved {
    settings: Settings,
    /// The saved connector that what was left out is taken from.
    saved: Option<Arc<Connector>>,
    /// Whether a saved secret key or proxy password is used, and not as it is saved.
    leads_secrets_elsewhere: bool,
}

/// What is to be tested: the sent attributes, completed with those of a saved connector where the caller may see it.
fn resolve(
    index: &Index,
    caller: &Caller,
    saved_id: Option<u64>,
    patch: ConnectorPatch,
    mut violations: Vec<Violation>,
) -> Result<Resolved, ApiError> {
    let saved = saved_id.filter(|_| caller.rights().holds(CONNECTORS_SHOW));
    let saved = saved.and_then(|id| index.connectors().get(id)).cloned();
    let names_secret = patch.secret_key.is_sent();
    let replaces_hidden_text =
        saved.as_ref().is_some_and(|connector| patch.replaces_hidden_text(&connector.settings));
    let settings = patch.apply_settings(saved.as_ref().map(|connector| &connector.settings));
    add_settings_violations(&settings, &mut violations);
    let mut leads_secrets_elsewhere = false;
    if let Some(saved) = saved.as_ref().map(|connector| &connector.settings) {
        let is_secret_used = saved.secret_key.is_some() && !names_secret;
        let is_elsewhere =
            replaces_hidden_text || saved.leads_elsewhere(&settings) || saved.region != settings.region;
        if !caller.sees_secrets() && is_secret_used && is_elsewhere {
            violations.push(secret_needed());
        }
        leads_secrets_elsewhere = is_elsewhere && (is_secret_used || saved.shares_password(&settings));
    }
    if !violations.is_empty() {
        return Err(violations.into());
    }
    Ok(Resolved { settings, saved, leads_secrets_elsewhere })
}

/// Says how far a job is, or what it found.
pub fn show(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let blank = || Violation::new("job_id", Reason::Blank);
        let job_id = call.query.one("job_id")?.filter(|job_id| !job_id.is_empty()).ok_or_else(blank)?;
        let snapshot = call.app.store.snapshot();
        let job = snapshot.jobs().find(job_id).filter(|job| !call.app.jobs.is_expired(job));
        let job = job.ok_or_else(|| ApiError::not_found(&format!("Job '{}'", echo(job_id))))?;
        let view = |status, progress, total, error| {
            let view = JobView { job_id: &job.job_id, status, progress, total, error };
            Reply::json(StatusCode::ACCEPTED, &view)
        };
        match &job.state {
            JobState::Queued { .. } => Ok(match call.app.jobs.progress(job.id) {
                Some(progress) => view(JobStatus::Working, progress.done, progress.total, None),
                None => view(JobStatus::Queued, 0, 1, None),
            }),
            JobState::Failed { failure, .. } => {
                Ok(view(JobStatus::Failed, 0, 1, Some(FailureView::new(failure))))
            }
            JobState::Completed { findings, .. } => {
                let buckets = findings.buckets.iter();
                let view = BucketListView {
                    cloud_buckets: buckets.map(|bucket| BucketView::new(bucket, job.connector_id)).collect(),
                    notes: VerdictView::all(&findings.notes),
                };
                Reply::list(&caller, &call, &view)
            }
        }
    })
}
