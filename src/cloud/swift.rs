//! OpenStack Swift's own protocol: a token by its own sign-in (v1) or by Keystone's Identity API v3, then the account's
//! containers with the count and bytes of each.
//!
//! Source: OpenStack Object Storage API, "Show account details and list containers", and Identity API v3, "Password
//! authentication with scoped authorization" and "Application credentials".

pub(super) mod keystone;

use futures_util::FutureExt as _;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::cloud::errand::{Errand, SwiftAuth};
use crate::cloud::http::{Answer, Request, with_query};
use crate::cloud::paging::{self, Next, Page};
use crate::cloud::place::STORAGE;
use crate::cloud::probing::Unreachable;
use crate::cloud::verdict::{self, Service};
use crate::cloud::xml::{deserialize_bounded, root_element};
use crate::domain::bucket::Bucket;
use crate::domain::endpoint;
use crate::domain::secret::Secret;
use crate::domain::verdict::{Findings, Verdict};

/// An account that was opened.
pub struct Account {
    pub(super) url: Url,
    token: Secret,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Containers(#[serde(deserialize_with = "deserialize_bounded")] Vec<Container>);

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    bytes: Option<u64>,
}

/// Asks for a token.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn sign_in(errand: &Errand<'_>, auth: SwiftAuth) -> Result<Account, Verdict> {
    let (storage_url, token) = match auth {
        SwiftAuth::Version1 => sign_in_by_version_1(errand).await?,
        SwiftAuth::KeystoneVersion3 => keystone::sign_in(errand).await?,
    };
    open(errand, auth, &storage_url, token)
}

/// The account at a storage address, where that is one that a test may go to.
pub(super) fn open(
    errand: &Errand<'_>,
    auth: SwiftAuth,
    storage_url: &str,
    token: Secret,
) -> Result<Account, Verdict> {
    errand.client.remember_secret(token.expose());
    let mut url = endpoint::parse_endpoint(storage_url).map_err(|_| verdict::no_object_store(auth))?;
    // A host made of what was sent would be looked up and shown.
    let is_new = url.host_str() != errand.url.host_str();
    if is_new && url.host_str().is_some_and(|host| errand.client.has_sent_host(host)) {
        return Err(verdict::no_object_store(auth));
    }
    if errand.client.forbids(&url) {
        return Err(verdict::storage_url_forbidden(errand.url_place));
    }
    if errand.url.scheme() == "https" && url.scheme() != "https" {
        return Err(verdict::storage_url_in_clear(errand.url_place));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(Account { url, token })
}

/// Lists the containers of the account.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn list(errand: &Errand<'_>, account: &Account) -> Result<Findings, Verdict> {
    paging::follow(|marker| ask_for_page(errand, account, marker).boxed()).await
}

/// Asks for one container by its name.
///
/// # Errors
/// Why it cannot be reached.
pub async fn probe(errand: &Errand<'_>, account: &Account, name: &str) -> Result<Bucket, Unreachable> {
    let mut url = account.url.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(name);
    }
    let request = account.request(Method::HEAD, url).map_err(|_| Unreachable::Failed)?;
    let answer = errand.client.send(request).await.map_err(|_| Unreachable::Failed)?;
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse().ok());
    match Unreachable::from_status(answer.status) {
        None => Ok(Bucket {
            file_count: number("x-container-object-count"),
            file_size_sum: number("x-container-bytes-used"),
            ..Bucket::named(name.to_owned())
        }),
        Some(reason) => Err(reason),
    }
}

async fn sign_in_by_version_1(errand: &Errand<'_>) -> Result<(String, Secret), Verdict> {
    let mut headers = HeaderMap::new();
    let user =
        HeaderValue::from_str(errand.access_key).map_err(|_| verdict::attribute_unusable("access_key"))?;
    let key = HeaderValue::from_str(errand.secret_key.expose());
    let mut key = key.map_err(|_| verdict::attribute_unusable("secret_key"))?;
    key.set_sensitive(true);
    headers.insert(HeaderName::from_static("x-auth-user"), user);
    headers.insert(HeaderName::from_static("x-auth-key"), key);
    let mut url = errand.url.clone();
    // Swift's own sign-in knows one spelling, without a slash at the end.
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with("/auth/v1") { format!("{path}.0") } else { path.to_owned() };
    url.set_path(&path);
    let request = Request::new(Method::GET, url, headers, errand.url_place);
    read_sign_in(errand, &errand.client.send(request).await?)
}

/// The storage address and the token that the answer to a sign-in of version 1 has.
pub(super) fn read_sign_in(errand: &Errand<'_>, answer: &Answer) -> Result<(String, Secret), Verdict> {
    match answer.status {
        200..=299 => {
            let not_swift = || verdict::not_the_service(errand, answer, Service::Swift);
            let token = answer.header("x-auth-token").or_else(|| answer.header("x-storage-token"));
            let token = Secret::new(token.ok_or_else(not_swift)?.to_owned());
            let storage_url = answer.header("x-storage-url").ok_or_else(not_swift)?;
            Ok((storage_url.to_owned(), token))
        }
        // Swift says so in plain words; XML is an S3 server's.
        401 | 403 if root_element(answer.text()).as_deref() != Some("Error") => {
            Err(verdict::credentials_wrong())
        }
        _ => Err(verdict::from_status(errand, answer, Service::Swift, None)),
    }
}

async fn ask_for_page(
    errand: &Errand<'_>,
    account: &Account,
    marker: Option<String>,
) -> Result<Page<String>, Verdict> {
    // How many make a page is left to the server: it refuses more than it allows.
    let mut parameters = vec![("format", "json")];
    parameters.extend(marker.as_deref().map(|marker| ("marker", marker)));
    let url = with_query(&account.url, &parameters);
    let request = account.request(Method::GET, url)?.for_list();
    read_answer(errand, &errand.client.send(request).await?)
}

/// Reads a page of the list, or a verdict on what the answer is instead.
pub(super) fn read_answer(errand: &Errand<'_>, answer: &Answer) -> Result<Page<String>, Verdict> {
    let is_list = answer.text().trim_start().starts_with('[');
    match answer.status {
        204 => Ok(Page { buckets: Vec::new(), next: Next::End }),
        200 if is_list => read_page(answer),
        200..=299 => Err(verdict::not_the_service(errand, answer, Service::Swift)),
        401 => Err(verdict::token_refused()),
        // The token is good, it was made a moment ago.
        403 => Err(verdict::list_not_allowed()),
        _ => Err(verdict::from_status(errand, answer, Service::Swift, None)),
    }
}

fn read_page(answer: &Answer) -> Result<Page<String>, Verdict> {
    let Containers(containers) =
        serde_json::from_slice(&answer.body).map_err(|_| verdict::answer_malformed())?;
    // How long a page is, the server decides; only an empty one is surely the last.
    let next = containers.last().map_or(Next::End, |container| Next::Mark(container.name.clone()));
    let buckets = containers.into_iter().map(|container| Bucket {
        file_count: container.count,
        file_size_sum: container.bytes,
        ..Bucket::named(container.name)
    });
    Ok(Page { buckets: buckets.collect(), next })
}

impl Account {
    fn request(&self, method: Method, url: Url) -> Result<Request, Verdict> {
        let token = HeaderValue::from_str(self.token.expose());
        let mut token = token.map_err(|_| verdict::answer_malformed())?;
        token.set_sensitive(true);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-auth-token"), token)]);
        Ok(Request::new(method, url, headers, STORAGE))
    }
}
