//! What an S3 server's answer says, read leniently: real servers leave out Owner, dates, and more.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::cloud::errand::Errand;
use crate::cloud::http::Answer;
use crate::cloud::paging::{Next, Page};
use crate::cloud::verdict::{self, Service};
use crate::cloud::xml::{deserialize_bounded, root_element};
use crate::domain::bucket::Bucket;
use crate::domain::provider::{DEFAULT_REGION, is_amazon_host};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Verdict;

/// Longest mark of a next page that is sent back, in bytes.
const NEXT_MAX_BYTES: usize = 4096;

/// How to ask for the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Amazon's way.
    Token(String),
    /// Google's way, and Ceph's.
    Marker(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAllMyBucketsResult {
    #[serde(default)]
    buckets: BucketList,
    #[serde(default)]
    continuation_token: Option<String>,
    #[serde(default)]
    is_truncated: Option<String>,
    #[serde(default)]
    next_marker: Option<String>,
}

#[derive(Deserialize, Default)]
struct BucketList {
    #[serde(default, rename = "Bucket", deserialize_with = "deserialize_bounded")]
    buckets: Vec<BucketElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BucketElement {
    name: String,
    #[serde(default)]
    bucket_region: Option<String>,
}

/// The parts of an error answer that matter. Its message is only searched, never shown: some servers echo what was signed.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct ErrorElement {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    server_time: Option<String>,
}

/// Reads a page of the list.
///
/// # Errors
/// A verdict on what the answer is instead.
pub fn read_page(errand: &Errand<'_>, answer: &Answer) -> Result<Page<Mark>, Verdict> {
    let text = answer.text();
    let root = root_element(text);
    match (answer.status, root.as_deref()) {
        (200, Some("ListAllMyBucketsResult")) => {}
        (200, Some("ListBucketResult")) => return Err(verdict::url_names_bucket(errand)),
        (200..=299, _) => return Err(verdict::not_the_service(errand, answer, Service::S3)),
        _ => return Err(read_error(errand, answer, root.as_deref())),
    }
    let result: ListAllMyBucketsResult =
        quick_xml::de::from_str(text).map_err(|_| verdict::answer_malformed())?;
    let elements = result.buckets.buckets;
    let is_truncated = result.is_truncated.is_some_and(|text| text.trim() == "true");
    let mark = |text: Option<String>| text.filter(|text| (1..=NEXT_MAX_BYTES).contains(&text.len()));
    let token = mark(result.continuation_token).map(Mark::Token);
    let marker = mark(result.next_marker).filter(|_| is_truncated).map(Mark::Marker);
    let next = match token.or(marker) {
        Some(mark) => Next::Mark(mark),
        None if is_truncated => Next::Unknown,
        None => Next::End,
    };
    let buckets = elements.into_iter().map(|bucket| Bucket {
        location: bucket.bucket_region.filter(|region| errand.shown(region).is_some()),
        ..Bucket::named(bucket.name)
    });
    Ok(Page { buckets: buckets.collect(), next })
}

/// The region in the answer to GetBucketLocation. An empty one is Amazon's first, where nothing says otherwise.
pub fn read_location(errand: &Errand<'_>, answer: &Answer) -> Option<String> {
    let text = answer.text();
    if answer.status != 200 || root_element(text).as_deref() != Some("LocationConstraint") {
        return None;
    }
    let region: Option<String> = quick_xml::de::from_str(text).ok();
    match region.as_deref().map(str::trim).unwrap_or_default() {
        "" => (is_amazon(errand) || errand.signing_region() == DEFAULT_REGION)
            .then(|| DEFAULT_REGION.to_owned()),
        // What Amazon called it before it had several in Europe.
        "EU" if is_amazon(errand) => Some("eu-west-1".to_owned()),
        region => errand.shown(region).map(str::to_owned),
    }
}

fn is_amazon(errand: &Errand<'_>) -> bool {
    errand.url.host_str().is_some_and(is_amazon_host)
}

/// A verdict from an error answer: by its code where there is one, else by its status.
fn read_error(errand: &Errand<'_>, answer: &Answer, root: Option<&str>) -> Verdict {
    let error: ErrorElement = match root {
        Some("Error") => quick_xml::de::from_str(answer.text()).unwrap_or_default(),
        Some(_) | None => ErrorElement::default(),
    };
    let region = error.region.as_deref().or_else(|| answer.header("x-amz-bucket-region"));
    let region = region.and_then(|region| errand.shown(region));
    if answer.headers.contains_key("x-ms-error-code") {
        return verdict::not_the_service(errand, answer, Service::S3);
    }
    match (error.code.as_deref().unwrap_or_default(), answer.status) {
        ("SignatureDoesNotMatch", _) => verdict::secret_key_wrong(),
        ("InvalidAccessKeyId", _) => verdict::access_key_unknown(),
        ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) => verdict::credentials_expired(),
        ("RequestTimeTooSkewed" | "RequestExpired", _) => {
            verdict::clock_skew(server_time(&error).or_else(|| answer.date()))
        }
        (
            "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "AuthorizationQueryParametersError",
            _,
        ) => verdict::region_wrong(errand, region),
        ("PermanentRedirect" | "TemporaryRedirect", _) if region.is_some() => {
            verdict::region_wrong(errand, region)
        }
        ("PermanentRedirect" | "TemporaryRedirect", _) => {
            verdict::redirected(errand, answer, error.endpoint.as_deref())
        }
        ("SecondLevelDomainForbidden" | "VirtualHostDomainRequired" | "PathStyleDomainForbidden", _) => {
            verdict::request_style(errand.uses_path_style)
        }
        ("SlowDown" | "TooManyRequests" | "ServiceUnavailable.SlowDown", _) => verdict::too_many_requests(),
        ("NoSuchBucket" | "InvalidBucketName", _) => verdict::url_names_bucket(errand),
        ("NotSignedUp", _) => verdict::account_not_signed_up(),
        ("AccountProblem" | "AllAccessDisabled" | "AccountDisabled" | "UserSuspended", _) => {
            verdict::account_disabled()
        }
        ("AccessDenied", _) if proves_key(errand, &error) => verdict::list_not_allowed(),
        ("", 401 | 403) if verdict::is_web_page(answer) => {
            verdict::not_the_service(errand, answer, Service::S3)
        }
        ("AccessDenied" | "AllAccessDenied" | "", 401 | 403) => verdict::access_denied(errand),
        ("", _) => verdict::from_status(errand, answer, Service::S3, None),
        (code, _) => verdict::from_status(errand, answer, Service::S3, Some(code)),
    }
}

/// Whether a denial proves that the key is valid: Amazon looks at key and signature first, and names the permission that
/// is missing, as some others do. Garage, for example, says the same of a wrong secret.
fn proves_key(errand: &Errand<'_>, error: &ErrorElement) -> bool {
    let names_permission =
        error.message.as_deref().is_some_and(|text| text.contains("not authorized to perform"));
    is_amazon(errand) || names_permission
}

fn server_time(error: &ErrorElement) -> Option<SystemTime> {
    let moment = Timestamp::parse_rfc3339(error.server_time.as_deref()?.trim())?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(moment.unix_ms()).ok()?))
}
