//! Cloud services: lists the buckets that a connector can see, or says what is wrong with it.
//!
//! An [`errand::Errand`] is what is in force of one test: attributes, mount options and configuration put together. Each
//! protocol (`s3`, `azure`, `swift`) sends its requests by the errand's [`http::Client`], which knows at which step a
//! request failed; `verdict` has the words.

mod azure;
mod errand;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod paging;
mod place;
mod probing;
mod s3;
mod swift;
mod verdict;
mod xml;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::config::CloudConfig;
use crate::domain::connector::Settings;
use crate::domain::job::Task;
use crate::domain::verdict::{Failure, Findings, Verdict};

use errand::{Errand, Protocol};
use http::Outside;

/// What is left of a test's time when its last step gives up.
const LAST_MOMENT: Duration = Duration::from_millis(10);
/// Requests of one test that are under way at once.
const REQUESTS_AT_ONCE: usize = 8;

/// The way to all cloud services.
pub struct Cloud {
    config: CloudConfig,
    outside: Outside,
}

/// How far a test is. Steps are requests: one for the list, then one for each bucket that is asked about.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    more: AtomicU64,
}

/// How far a test is, at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Steps done.
    pub done: u64,
    /// Steps in all, as far as they are known.
    pub total: u64,
}

impl Cloud {
    /// Reads what the configuration names. `own_listener` is the service's own address, which no test may reach.
    ///
    /// # Errors
    /// What is wrong with the file of certificates.
    pub fn new(config: CloudConfig, own_listener: SocketAddr) -> Result<Self, String> {
        let outside = Outside::new(&config, own_listener)?;
        Ok(Self { config, outside })
    }

    /// Lists the buckets of the account, sorted by name.
    ///
    /// # Errors
    /// What is wrong with the connector, and what to change.
    pub async fn list_buckets(&self, task: &Task, progress: &Progress) -> Result<Findings, Failure> {
        let deadline = Instant::now() + self.config.deadline;
        let notes = errand::notes_on_options(&task.settings);
        let listed = async {
            // A little earlier, so that the step which is late says so itself.
            let errand = Errand::new(&self.config, &self.outside, task, progress, deadline - LAST_MOMENT)?;
            let listed = tokio::time::timeout_at(deadline, list(&errand)).await;
            listed.unwrap_or_else(|_| Err(verdict::deadline_passed(self.config.deadline)))
        };
        match listed.await {
            Ok(mut findings) => {
                findings.notes.extend(notes);
                Ok(findings)
            }
            Err(verdict) => Err(Failure { verdict, notes }),
        }
    }
}

async fn list(errand: &Errand<'_>) -> Result<Findings, Verdict> {
    match errand.protocol {
        Protocol::S3 => {
            let listed = s3::list(errand).await;
            errand.progress.step();
            let mut findings =
                probing::or_probe(errand, listed, |name| s3::probe(errand, name).boxed()).await?;
            s3::add_details(errand, &mut findings.buckets).await;
            Ok(findings)
        }
        Protocol::Azure => {
            let listed = azure::list(errand).await;
            errand.progress.step();
            probing::or_probe(errand, listed, |name| azure::probe(errand, name).boxed()).await
        }
        Protocol::Swift(version) => {
            let account = swift::sign_in(errand, version).await?;
            let listed = swift::list(errand, &account).await;
            errand.progress.step();
            probing::or_probe(errand, listed, |name| swift::probe(errand, &account, name).boxed()).await
        }
    }
}

/// Host and port that a test of these settings connects to, for bounding tests against one of them.
pub fn endpoint_of(settings: &Settings) -> String {
    let authority = errand::endpoint_in_force(settings).and_then(|url| {
        Some(format!("{}:{}", url.host_str()?.trim_end_matches('.'), url.port_or_known_default()?))
    });
    authority.unwrap_or_default()
}

impl Progress {
    /// How far the test is now.
    pub fn steps(&self) -> Steps {
        // In this order, so that what is done is never more than what there is in all.
        let done = self.done.load(Ordering::Acquire);
        Steps { done, total: 1 + self.more.load(Ordering::Acquire) }
    }

    fn step(&self) {
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    fn add_steps(&self, count: usize) {
        self.more.fetch_add(count as u64, Ordering::AcqRel);
    }
}
