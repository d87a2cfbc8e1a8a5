//! S3: signs a ListBuckets request with rust-s3's signing and reads the answer leniently.
//!
//! rust-s3's own client follows redirects, obeys proxy variables and reads bodies without bound; its parser needs
//! elements that real servers leave out. So only its signing is used. Source of the protocol: Amazon S3 API
//! Reference, ListBuckets; AWS Signature Version 4.

use reqwest::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use s3::creds::time::OffsetDateTime;
use s3::region::Region;
use s3::signing;
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

use hmac::{Hmac, Mac};

use crate::cloud::http::{self, Answer};
use crate::cloud::{TestTimes, effective_url, verdict};
use crate::domain::bucket::Bucket;
use crate::domain::connector::Settings;
use crate::domain::endpoint;
use crate::domain::job::Verdict;
use crate::domain::provider::DEFAULT_REGION;

/// SHA-256 of an empty body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Most buckets of one list.
const BUCKETS_MAX: usize = 20_000;
/// Longest name of a bucket, in bytes; S3's longest are 255, Swift's 256.
const NAME_MAX_BYTES: usize = 1024;
/// Longest name of a region that is believed, in bytes.
const REGION_MAX_BYTES: usize = 64;

/// Lists the buckets of the account, in the order of the answer.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn list_buckets(settings: &Settings, times: TestTimes) -> Result<Vec<Bucket>, Verdict> {
    let url = effective_url(settings).ok_or_else(|| verdict::attribute_missing("url"))?;
    let mut url = endpoint::parse_endpoint(&url).map_err(|_| verdict::url_invalid())?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let headers = sign(settings, &url)?;
    let answer = http::get(settings, times, &url, headers).await?;
    read_answer(&answer, &url)
}

/// The headers of a signed GET request without a body.
fn sign(settings: &Settings, url: &Url) -> Result<HeaderMap, Verdict> {
    let access_key =
        settings.access_key.as_deref().ok_or_else(|| verdict::attribute_missing("access_key"))?;
    let secret_key = settings.secret_key.as_ref().ok_or_else(|| verdict::attribute_missing("secret_key"))?;
    let region = settings.region.as_deref().unwrap_or(DEFAULT_REGION);
    let unusable = |attribute: &'static str| move |_| verdict::attribute_unusable(attribute);

    let now = OffsetDateTime::now_utc();
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| verdict::url_invalid())?);
    headers.insert(HeaderName::from_static("x-amz-content-sha256"), HeaderValue::from_static(EMPTY_SHA256));
    let (date, time) = (now.date(), now.time());
    let date = format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let date = HeaderValue::from_str(&date).map_err(|_| verdict::client_unavailable())?;
    headers.insert(HeaderName::from_static("x-amz-date"), date);

    let region = Region::Custom { region: region.to_owned(), endpoint: url.to_string() };
    let canonical =
        signing::canonical_request("GET", url, &headers, EMPTY_SHA256).map_err(unusable("url"))?;
    let to_sign = signing::string_to_sign(&now, &region, &canonical).map_err(unusable("region"))?;
    let key =
        signing::signing_key(&now, secret_key.expose(), &region, "s3").map_err(unusable("secret_key"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes any key length");
    mac.update(to_sign.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let signed_headers = signing::signed_header_string(&headers);
    let authorization = signing::authorization_header(access_key, &now, &region, &signed_headers, &signature)
        .map_err(unusable("access_key"))?;
    let mut authorization = HeaderValue::from_str(&authorization)
        .map_err(|_| verdict::attribute_unusable("access_key or region"))?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    Ok(headers)
}

/// The parts of a ListAllMyBucketsResult that matter; Owner and dates are missing on real servers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAllMyBucketsResult {
    #[serde(default)]
    buckets: BucketList,
    #[serde(default)]
    continuation_token: Option<String>,
}

#[derive(Deserialize, Default)]
struct BucketList {
    #[serde(default, rename = "Bucket")]
    buckets: Vec<BucketElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BucketElement {
    name: String,
    #[serde(default)]
    bucket_region: Option<String>,
}

/// The parts of an S3 error answer that may be shown. Its message is not: some servers echo what was signed.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct ErrorElement {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    region: Option<String>,
}

fn read_answer(answer: &Answer, url: &Url) -> Result<Vec<Bucket>, Verdict> {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    let root = root_element(text);
    if answer.status == 200 {
        if root.as_deref() != Some("ListAllMyBucketsResult") {
            return Err(verdict::not_s3(answer.status, root.as_deref()));
        }
        let result: ListAllMyBucketsResult =
            quick_xml::de::from_str(text).map_err(|_| verdict::answer_malformed())?;
        if result.continuation_token.is_some_and(|token| !token.is_empty()) {
            return Err(verdict::list_cut_short());
        }
        let elements = result.buckets.buckets;
        if elements.len() > BUCKETS_MAX {
            return Err(verdict::too_many_buckets(BUCKETS_MAX));
        }
        if elements.iter().any(|bucket| bucket.name.len() > NAME_MAX_BYTES) {
            return Err(verdict::answer_malformed());
        }
        let is_sane = |region: &String| (1..=REGION_MAX_BYTES).contains(&region.len());
        let buckets = elements.into_iter().map(|bucket| Bucket {
            name: bucket.name,
            location: bucket.bucket_region.filter(is_sane),
            file_count: None,
            file_size_sum: None,
        });
        return Ok(buckets.collect());
    }
    if (300..400).contains(&answer.status) {
        return Err(verdict::redirected(url, answer.location.as_deref()));
    }
    let error = match root.as_deref() {
        Some("Error") => quick_xml::de::from_str(text).unwrap_or_default(),
        Some(_) | None => ErrorElement::default(),
    };
    Err(verdict::from_s3_error(
        answer.status,
        root.as_deref(),
        error.code.as_deref(),
        error.region.as_deref(),
    ))
}

/// The name of the first element, without its namespace.
fn root_element(text: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Start(element) | quick_xml::events::Event::Empty(element)) => {
                return String::from_utf8(element.local_name().as_ref().to_vec()).ok();
            }
            Ok(quick_xml::events::Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Vec<String>, String> {
        let answer = Answer { status, location: None, body: body.as_bytes().to_vec() };
        let url = Url::parse("http://h:1/").expect("valid");
        let buckets = read_answer(&answer, &url).map_err(|verdict| verdict.code)?;
        Ok(buckets.into_iter().map(|bucket| bucket.name).collect())
    }

    #[test]
    fn answers_of_real_servers() {
        let full = r#"<?xml version="1.0"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Owner><ID>1</ID></Owner><Buckets><Bucket><Name>b &amp; c</Name><CreationDate>x</CreationDate></Bucket>
            <Bucket><Name>a</Name></Bucket></Buckets></ListAllMyBucketsResult>"#;
        assert_eq!(read(200, full), Ok(vec!["b & c".to_owned(), "a".to_owned()]));
        assert_eq!(read(200, "<ListAllMyBucketsResult/>"), Ok(vec![]));
        assert_eq!(read(200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"), Ok(vec![]));
        let cases = [
            (200, "<html><body>x</body></html>", "not_s3"),
            (200, "", "not_s3"),
            (200, "{}", "not_s3"),
            (200, "<ListAllMyBucketsResult><Buckets><Bucket>", "answer_malformed"),
            (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "secret_key_wrong"),
            (403, "<Error><Code>InvalidAccessKeyId</Code></Error>", "access_key_unknown"),
            (403, "<Error><Code>AccessDenied</Code><Message>m</Message></Error>", "access_denied"),
            (403, "<html/>", "access_denied"),
            (503, "<Error><Code>SlowDown</Code></Error>", "too_many_requests"),
            (500, "x", "server_error"),
            (404, "<html/>", "not_s3"),
            (307, "", "redirected"),
        ];
        for (status, body, code) in cases {
            assert_eq!(read(status, body), Err(code.to_owned()), "{status} {body}");
        }
    }
}
