//! Cloud services: lists the buckets that a connector can see, or says what is wrong with it.

mod http;
mod s3;
mod verdict;

use std::time::Duration;

use crate::domain::bucket::Bucket;
use crate::domain::connector::Settings;
use crate::domain::endpoint;
use crate::domain::job::Verdict;
use crate::domain::provider::Provider;

/// Times that a test may take.
#[derive(Debug, Clone, Copy)]
pub struct TestTimes {
    /// For the whole test.
    pub deadline: Duration,
    /// Of this, to connect.
    pub connect_timeout: Duration,
}

/// Lists the buckets of the account, sorted by name.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn list_buckets(settings: &Settings, times: TestTimes) -> Result<Vec<Bucket>, Verdict> {
    let listing = async {
        match settings.provider {
            Provider::Azure => Err(verdict::provider_not_supported(settings.provider)),
            Provider::GenericS3
            | Provider::AmazonAwsS3
            | Provider::CloudianHyperstore
            | Provider::ScalityRing
            | Provider::DellEmcEcs
            | Provider::GoogleCloudStorage
            | Provider::OpenstackSwift
            | Provider::Wasabi
            | Provider::QuantumActivescale
            | Provider::DatacoreSwarm => s3::list_buckets(settings, times).await,
        }
    };
    let ended = tokio::time::timeout(times.deadline, listing).await;
    let mut buckets = ended.unwrap_or_else(|_| Err(verdict::timed_out(times.deadline)))?;
    buckets.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(buckets)
}

/// Host and port that a test of these settings connects to, for bounding tests against one of them.
pub fn endpoint_of(settings: &Settings) -> String {
    let url = effective_url(settings).and_then(|url| endpoint::parse_endpoint(&url).ok());
    let authority = url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    authority.unwrap_or_default()
}

fn effective_url(settings: &Settings) -> Option<String> {
    settings.url.clone().or_else(|| {
        settings.provider.well_known_endpoint(settings.region.as_deref(), settings.access_key.as_deref())
    })
}
