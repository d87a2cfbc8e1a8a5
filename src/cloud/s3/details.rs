//! What an S3 service tells of each bucket cheaply: where it is kept, and on Ceph how much is in it.
//!
//! The first buckets show what the service tells; the others are asked for that alone, some at a time, as long as a part
//! of the test's time lasts. What is not known then stays unknown: nothing of this can fail a test.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use hyper::Method;
use tokio::time::{Instant, timeout_at};

use crate::cloud::REQUESTS_AT_ONCE;
use crate::cloud::errand::Errand;
use crate::cloud::http::Answer;
use crate::cloud::s3::{answer, bucket_url, head, send};
use crate::domain::bucket::Bucket;

/// Most buckets that are asked about.
const ASKED_MAX: usize = 500;
/// Longest time for all of it; at most half of what the test has left.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Buckets that have to answer nothing before no more are asked.
const TRIED: usize = 3;

/// What a service tells.
#[derive(Debug, Clone, Copy, Default)]
struct Tells {
    by_head: bool,
    by_location: bool,
}

/// Adds to the buckets what the service tells of them.
pub async fn add(errand: &Errand<'_>, buckets: &mut [Bucket]) {
    let now = Instant::now();
    let until = now + (errand.deadline.saturating_duration_since(now) / 2).min(TIME_MAX);
    let mut asked: Vec<&mut Bucket> =
        buckets.iter_mut().filter(|bucket| bucket.location.is_none()).take(ASKED_MAX).collect();
    errand.progress.add_steps(asked.len());
    let tried = asked.len().min(TRIED);
    let rest = asked.split_off(tried);
    let both = Tells { by_head: true, by_location: true };
    let mut tells = Tells::default();
    for bucket in asked {
        let told = timeout_at(until, ask(errand, bucket, both)).await.unwrap_or_default();
        errand.progress.step();
        tells = Tells {
            by_head: tells.by_head || told.by_head,
            by_location: tells.by_location || told.by_location,
        };
    }
    if !tells.by_head && !tells.by_location {
        return;
    }
    let asking: Vec<BoxFuture<'_, ()>> = rest
        .into_iter()
        .map(|bucket| {
            async move {
                ask(errand, bucket, tells).await;
                errand.progress.step();
            }
            .boxed()
        })
        .collect();
    let asking = stream::iter(asking).buffer_unordered(REQUESTS_AT_ONCE).for_each(|()| async {});
    // Out of time: what is not known stays so.
    let _ = timeout_at(until, asking).await;
}

/// Asks about one bucket; says what told something.
async fn ask(errand: &Errand<'_>, bucket: &mut Bucket, by: Tells) -> Tells {
    let mut told = Tells::default();
    if by.by_head
        && let Ok(answer) = head(errand, &bucket.name).await
    {
        told.by_head = read_head(errand, &answer, bucket);
    }
    if by.by_location && bucket.location.is_none() {
        let mut url = bucket_url(&errand.url, &bucket.name);
        url.set_query(Some("location="));
        if let Ok(answer) = send(errand, Method::GET, url).await {
            bucket.location = answer::read_location(errand, &answer);
            told.by_location = bucket.location.is_some();
        }
    }
    told
}

/// Reads the headers of a bucket: its region as Amazon names it, whatever the status; count and bytes as Ceph does.
pub fn read_head(errand: &Errand<'_>, answer: &Answer, bucket: &mut Bucket) -> bool {
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse().ok());
    let region = answer.header("x-amz-bucket-region").and_then(|region| errand.shown(region));
    bucket.location = region.map(str::to_owned);
    if answer.status == 200 {
        bucket.file_count = number("x-rgw-object-count");
        bucket.file_size_sum = number("x-rgw-bytes-used");
    }
    bucket.location.is_some() || bucket.file_count.is_some()
}
