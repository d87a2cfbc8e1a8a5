//! Buckets asked for one by one, where a key may use some but list none.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::cloud::errand::Errand;
use crate::cloud::{REQUESTS_AT_ONCE, verdict};
use crate::domain::bucket::Bucket;
use crate::domain::verdict::{Findings, Verdict};

/// Why a bucket cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// There is none of this name.
    NotFound,
    /// The key may not use it.
    Denied,
    /// It is kept elsewhere: another region or another address.
    Elsewhere,
    /// There was no answer that says so.
    Failed,
}

impl Unreachable {
    /// From the status of the answer to a request for a bucket's head; `None` where it can be reached.
    pub fn from_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            301 | 302 | 307 | 308 => Some(Unreachable::Elsewhere),
            401 | 403 => Some(Unreachable::Denied),
            404 => Some(Unreachable::NotFound),
            _ => Some(Unreachable::Failed),
        }
    }
}

/// What was listed; or, where listing was denied, those of the buckets named in the test that can be reached.
///
/// # Errors
/// The verdict on the list, where there is nothing to ask for or nothing can be reached.
pub async fn or_probe<'a>(
    errand: &'a Errand<'_>,
    listed: Result<Findings, Verdict>,
    probe: impl Fn(&'a str) -> BoxFuture<'a, Result<Bucket, Unreachable>>,
) -> Result<Findings, Verdict> {
    let denial = match listed {
        Err(denial) if verdict::denies_listing(&denial) && !errand.probe_buckets.is_empty() => denial,
        other => return other,
    };
    errand.progress.add_steps(errand.probe_buckets.len());
    let asked: Vec<BoxFuture<'_, _>> = errand
        .probe_buckets
        .iter()
        .map(|name| {
            let asked = probe(name);
            async move {
                let answer = asked.await;
                errand.progress.step();
                (name, answer)
            }
            .boxed()
        })
        .collect();
    let answers: Vec<_> = stream::iter(asked).buffered(REQUESTS_AT_ONCE).collect().await;
    let mut findings = Findings::default();
    let mut unreachable = Vec::new();
    for (name, answer) in answers {
        match answer {
            Ok(bucket) => findings.buckets.push(bucket),
            Err(reason) => unreachable.push((name.as_str(), reason)),
        }
    }
    findings.buckets.sort_by(|left, right| left.name.cmp(&right.name));
    findings.buckets.dedup_by(|left, right| left.name == right.name);
    if findings.buckets.is_empty() {
        return Err(verdict::with_unreachable(denial, &unreachable));
    }
    findings.notes.push(verdict::buckets_probed(&denial));
    if !unreachable.is_empty() {
        findings.notes.push(verdict::buckets_not_reachable(&unreachable));
    }
    Ok(findings)
}
