//! Azure's Blob service: List Containers, signed with the account's key.
//!
//! No maintained crate lists containers with an account key. Source: Azure Storage REST API, "Authorize with Shared Key",
//! "List Containers", "Get Container Properties", "Status and error codes".

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use hmac::{Hmac, Mac};
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use sha2::Sha256;
use url::Url;
use zeroize::Zeroizing;

use crate::cloud::errand::Errand;
use crate::cloud::http::{Answer, Request, with_query};
use crate::cloud::paging::{self, Next, Page};
use crate::cloud::probing::Unreachable;
use crate::cloud::verdict::{self, Service};
use crate::cloud::xml::{deserialize_bounded, root_element};
use crate::domain::bucket::Bucket;
use crate::domain::verdict::{Findings, Verdict};

/// The version of the service that is asked for: old enough for appliances, new enough for every account.
const VERSION: &str = "2021-08-06";
/// Containers of one page; also the most that the service sends.
const PAGE_CONTAINERS: &str = "5000";
/// Longest mark of a next page that is sent back, in bytes.
const MARKER_MAX_BYTES: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnumerationResults {
    #[serde(default)]
    containers: ContainerList,
    #[serde(default)]
    next_marker: Option<String>,
}

#[derive(Deserialize, Default)]
struct ContainerList {
    #[serde(default, rename = "Container", deserialize_with = "deserialize_bounded")]
    containers: Vec<ContainerElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerElement {
    name: String,
}

/// Lists the containers of the account.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn list(errand: &Errand<'_>) -> Result<Findings, Verdict> {
    paging::follow(|marker| ask_for_page(errand, marker).boxed()).await
}

/// Asks for one container by its name.
///
/// # Errors
/// Why it cannot be reached.
pub async fn probe(errand: &Errand<'_>, name: &str) -> Result<Bucket, Unreachable> {
    let mut url = errand.url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(name);
    }
    url.set_query(Some("restype=container"));
    let request = sign(errand, Method::HEAD, url).map_err(|_| Unreachable::Failed)?;
    let answer = errand.client.send(request).await.map_err(|_| Unreachable::Failed)?;
    Unreachable::from_status(answer.status).map_or_else(|| Ok(Bucket::named(name.to_owned())), Err)
}

async fn ask_for_page(errand: &Errand<'_>, marker: Option<String>) -> Result<Page<String>, Verdict> {
    let mut parameters = vec![("comp", "list"), ("maxresults", PAGE_CONTAINERS)];
    parameters.extend(marker.as_deref().map(|marker| ("marker", marker)));
    let url = with_query(&errand.url, &parameters);
    let request = sign(errand, Method::GET, url)?.for_list();
    read_answer(errand, &errand.client.send(request).await?)
}

/// Reads a page of the list, or a verdict on what the answer is instead.
pub(super) fn read_answer(errand: &Errand<'_>, answer: &Answer) -> Result<Page<String>, Verdict> {
    match (answer.status, root_element(answer.text()).as_deref()) {
        (200, Some("EnumerationResults")) => read_page(answer),
        (200..=299, _) => Err(verdict::not_the_service(errand, answer, Service::Azure)),
        _ => Err(read_error(errand, answer)),
    }
}

fn read_page(answer: &Answer) -> Result<Page<String>, Verdict> {
    let results: EnumerationResults =
        quick_xml::de::from_str(answer.text()).map_err(|_| verdict::answer_malformed())?;
    let containers = results.containers.containers;
    let next = match results.next_marker.filter(|marker| !marker.is_empty()) {
        Some(marker) if marker.len() > MARKER_MAX_BYTES => Next::Unknown,
        Some(marker) => Next::Mark(marker),
        None => Next::End,
    };
    let buckets = containers.into_iter().map(|container| Bucket::named(container.name));
    Ok(Page { buckets: buckets.collect(), next })
}

fn read_error(errand: &Errand<'_>, answer: &Answer) -> Verdict {
    // Azure and what imitates it mark every answer so.
    if !answer.headers.keys().any(|name| name.as_str().starts_with("x-ms-")) && answer.status < 500 {
        return verdict::from_status(errand, answer, Service::Azure, None);
    }
    // Azurite says with this code what Azure says with AuthenticationFailed.
    let is_signature_wrong = answer.text().contains("failed to authenticate");
    match (answer.header("x-ms-error-code").unwrap_or_default(), answer.status) {
        ("AuthorizationFailure", _) if is_signature_wrong => verdict::credentials_wrong(),
        ("ResourceNotFound" | "AccountNotFound", 404) if names_container(&errand.url) => {
            verdict::url_names_bucket(errand)
        }
        ("ResourceNotFound" | "AccountNotFound", 404) => verdict::access_key_unknown(),
        // The service says the same of a clock that is wrong, so the clocks are compared.
        ("AuthenticationFailed" | "InvalidAuthenticationInfo", _) => {
            let server_time = answer.date();
            let difference = server_time.map(|time| verdict::clock_difference(time).0);
            match difference.is_some_and(|difference| difference > verdict::CLOCK_SKEW_MAX) {
                true => verdict::clock_skew(server_time),
                false => verdict::credentials_wrong(),
            }
        }
        ("AccountIsDisabled", _) => verdict::account_disabled(),
        ("ServerBusy", _) => verdict::too_many_requests(),
        ("KeyBasedAuthenticationNotPermitted", _) => verdict::account_forbids_keys(),
        ("AuthorizationFailure" | "AuthorizationSourceIPMismatch" | "AuthorizationProtocolMismatch", _) => {
            verdict::account_forbids_network()
        }
        ("AuthorizationPermissionMismatch" | "InsufficientAccountPermissions", _) => {
            verdict::access_denied(errand)
        }
        ("", 401 | 403) => verdict::access_denied(errand),
        ("", _) => verdict::from_status(errand, answer, Service::Azure, None),
        (code, _) => verdict::from_status(errand, answer, Service::Azure, Some(code)),
    }
}

/// Whether the address has a path where only the account's own belongs: a host name has the account in itself.
fn names_container(url: &Url) -> bool {
    url.domain().is_some_and(|host| host != "localhost") && url.path() != "/"
}

/// A signed request without a body.
fn sign(errand: &Errand<'_>, method: Method, url: Url) -> Result<Request, Verdict> {
    let key = STANDARD.decode(errand.secret_key.expose().trim());
    let key = Zeroizing::new(key.map_err(|_| verdict::secret_key_not_base64())?);
    let date = httpdate::fmt_http_date(SystemTime::now());
    let headers_to_sign = format!("x-ms-date:{date}\nx-ms-version:{VERSION}\n");
    // Eleven standard headers that are not sent stand empty between the method and these.
    let to_sign =
        format!("{method}\n{}{headers_to_sign}{}", "\n".repeat(11), resource(errand.access_key, &url));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes any key length");
    mac.update(to_sign.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    errand.client.remember_signature(&signature);
    let authorization = format!("SharedKey {}:{signature}", errand.access_key);
    let mut authorization =
        HeaderValue::from_str(&authorization).map_err(|_| verdict::attribute_unusable("access_key"))?;
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::new();
    let date = HeaderValue::from_str(&date).expect("a date is a header's value");
    headers.insert(HeaderName::from_static("x-ms-date"), date);
    headers.insert(HeaderName::from_static("x-ms-version"), HeaderValue::from_static(VERSION));
    headers.insert(AUTHORIZATION, authorization);
    Ok(Request::new(method, url, headers, errand.url_place))
}

/// The resource as it is signed: the account, the path, then each parameter on a line, in order. Where the account
/// stands in the path it is there twice.
fn resource(account: &str, url: &Url) -> String {
    let mut parameters: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect();
    parameters.sort();
    let parameters = parameters.iter().map(|(name, value)| format!("\n{name}:{value}"));
    format!("/{account}{}{}", url.path(), parameters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_written_as_the_service_documents_it() {
        let url = |text| Url::parse(text).expect("valid");
        let listed = "https://myaccount.blob.core.windows.net/?comp=list&maxresults=5000";
        assert_eq!(resource("myaccount", &url(listed)), "/myaccount/\ncomp:list\nmaxresults:5000");
        let emulated = "http://127.0.0.1:10000/devstoreaccount1/photos?restype=container";
        assert_eq!(
            resource("devstoreaccount1", &url(emulated)),
            "/devstoreaccount1/devstoreaccount1/photos\nrestype:container"
        );
    }
}
