//! S3: lists the buckets page by page, and asks for what the service tells of each cheaply.
//!
//! rust-s3's own client follows redirects, obeys proxy variables and reads bodies without bound; its parser needs
//! elements that real servers leave out. So only its signing is used. Source of the protocol: Amazon S3 API
//! Reference, ListBuckets, HeadBucket, GetBucketLocation.

mod answer;
mod details;
mod signing;

use hyper::Method;
use url::Url;

use crate::cloud::errand::Errand;
use crate::cloud::http::{Answer, Request};
use crate::cloud::probing::Unreachable;
use crate::cloud::{BUCKETS_MAX, PAGES_MAX, verdict};
use crate::domain::bucket::Bucket;
use crate::domain::provider::Provider;
use crate::domain::verdict::{Findings, Verdict};

use answer::Next;
pub use answer::{date_header, root_element};

/// Buckets of one page, where the service pages on request. Amazon refuses lists without it for the largest accounts.
const PAGE_BUCKETS: &str = "1000";

/// Lists the buckets of the account, with what the service tells of them cheaply.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn list(errand: &Errand<'_>) -> Result<Findings, Verdict> {
    let mut findings = Findings::default();
    let mut next: Option<Next> = None;
    for _ in 0..PAGES_MAX {
        let page = match ask_for_page(errand, next.as_ref()).await {
            Ok(page) => page,
            Err(verdict) if findings.buckets.is_empty() => return Err(verdict),
            Err(verdict) => {
                findings.notes.push(verdict::list_cut_by(&verdict));
                next = None;
                break;
            }
        };
        let has_new = page.buckets.last().map(|bucket| &bucket.name)
            != findings.buckets.last().map(|bucket| &bucket.name);
        findings.buckets.extend(page.buckets);
        let is_repeated = page.next.is_some() && (page.next == next || !has_new);
        next = page.next;
        if is_repeated || page.is_cut {
            findings.notes.push(verdict::list_cut_by_server());
            next = None;
        }
        if next.is_none() || findings.buckets.len() > BUCKETS_MAX {
            break;
        }
    }
    if findings.buckets.len() > BUCKETS_MAX || next.is_some() {
        findings.buckets.truncate(BUCKETS_MAX);
        findings.notes.push(verdict::list_cut_at_bound(findings.buckets.len()));
    }
    details::add(errand, &mut findings.buckets).await;
    Ok(findings)
}

/// Asks for one bucket by its name.
///
/// # Errors
/// Why it cannot be reached.
pub async fn probe(errand: &Errand<'_>, name: &str) -> Result<Bucket, Unreachable> {
    let mut bucket = Bucket::named(name.to_owned());
    let answer = head(errand, name).await.map_err(|_| Unreachable::Failed)?;
    details::read_head(errand, &answer, &mut bucket);
    match answer.status {
        200..=299 => Ok(bucket),
        301 | 307 | 308 => Err(Unreachable::Elsewhere),
        401 | 403 => Err(Unreachable::Denied),
        404 => Err(Unreachable::NotFound),
        _ => Err(Unreachable::Failed),
    }
}

async fn ask_for_page(errand: &Errand<'_>, next: Option<&Next>) -> Result<answer::Page, Verdict> {
    let mut url = errand.url.clone();
    if errand.provider == Provider::AmazonAwsS3 {
        url.query_pairs_mut().append_pair("max-buckets", PAGE_BUCKETS);
    }
    match next {
        Some(Next::Token(token)) => url.query_pairs_mut().append_pair("continuation-token", token),
        Some(Next::Marker(marker)) => url.query_pairs_mut().append_pair("marker", marker),
        None => &mut url.query_pairs_mut(),
    };
    let answer = send(errand, Method::GET, url).await?;
    answer::read_page(errand, &answer)
}

/// Asks for the head of a bucket: named in the path, and in the host where the server wants that.
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
    let headers = signing::sign(errand, &method, &url)?;
    errand.client.send(Request::new(method, url, headers)).await
}
