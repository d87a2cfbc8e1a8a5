//! S3: lists the buckets page by page, or asks for them one by one; `details` has what the service tells of each cheaply.
//!
//! rust-s3's own client follows redirects, obeys proxy variables and reads bodies without bound; its parser needs
//! elements that real servers leave out. So only its signing is used. Source of the protocol: Amazon S3 API
//! Reference, ListBuckets, HeadBucket, GetBucketLocation.

pub(super) mod answer;
mod details;
mod signing;

use futures_util::FutureExt as _;
use hyper::Method;
use url::Url;

use crate::cloud::errand::Errand;
use crate::cloud::http::{Answer, with_query};
use crate::cloud::paging::{self, Page};
use crate::cloud::probing::Unreachable;
use crate::domain::bucket::Bucket;
use crate::domain::provider::Provider;
use crate::domain::verdict::{Findings, Verdict};

use answer::Mark;
pub use details::{add as add_details, read_head};

/// Buckets of one page, where the service pages on request. Amazon refuses lists without it for the largest accounts.
const PAGE_BUCKETS: &str = "1000";

/// Lists the buckets of the account.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn list(errand: &Errand<'_>) -> Result<Findings, Verdict> {
    paging::follow(|mark| ask_for_page(errand, mark).boxed()).await
}

/// Asks for one bucket by its name.
///
/// # Errors
/// Why it cannot be reached.
pub async fn probe(errand: &Errand<'_>, name: &str) -> Result<Bucket, Unreachable> {
    let mut bucket = Bucket::named(name.to_owned());
    let answer = head(errand, name).await.map_err(|_| Unreachable::Failed)?;
    read_head(errand, &answer, &mut bucket);
    let is_elsewhere = bucket.location.as_deref().is_some_and(|region| region != errand.signing_region());
    match Unreachable::from_status(answer.status) {
        None => Ok(bucket),
        // Amazon answers so for a bucket in another region, with that region in a header.
        Some(Unreachable::Failed) if answer.status == 400 && is_elsewhere => Err(Unreachable::Elsewhere),
        Some(reason) => Err(reason),
    }
}

async fn ask_for_page(errand: &Errand<'_>, mark: Option<Mark>) -> Result<Page<Mark>, Verdict> {
    let mut parameters = Vec::new();
    if errand.provider == Provider::AmazonAwsS3 {
        parameters.push(("max-buckets", PAGE_BUCKETS));
    }
    parameters.extend(mark.as_ref().map(|mark| match mark {
        Mark::Token(token) => ("continuation-token", token.as_str()),
        Mark::Marker(marker) => ("marker", marker.as_str()),
    }));
    let url = with_query(&errand.url, &parameters);
    let request = signing::sign(errand, Method::GET, url)?.for_list();
    answer::read_page(errand, &errand.client.send(request).await?)
}

/// Asks for the head of a bucket. It is named in the path, which nearly every server takes, whatever a mount would do.
async fn head(errand: &Errand<'_>, name: &str) -> Result<Answer, Verdict> {
    send(errand, Method::HEAD, bucket_url(&errand.url, name)).await
}

/// The address of a bucket, named in the path.
fn bucket_url(endpoint: &Url, name: &str) -> Url {
    let mut url = endpoint.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(name);
    }
    url
}

async fn send(errand: &Errand<'_>, method: Method, url: Url) -> Result<Answer, Verdict> {
    errand.client.send(signing::sign(errand, method, url)?).await
}
