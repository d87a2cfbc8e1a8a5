//! Verdicts on answers that are not the service's: failures, redirects, web pages, other services.

use url::Url;

use crate::cloud::errand::Errand;
use crate::cloud::http::Answer;
use crate::cloud::verdict::too_many_requests;
use crate::domain::provider::Provider;
use crate::domain::verdict::{Stage, Verdict};

/// Longest host name (RFC 1035); a server may send longer ones.
const HOST_MAX_BYTES: usize = 253;

/// What answered, where it is not the service that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, or one that speaks its protocol.
    S3,
    /// Azure's Blob service.
    Azure,
    /// OpenStack Swift or Keystone.
    Swift,
}

/// From the status alone, and a word of the service where there is one that is not known.
pub fn from_status(errand: &Errand<'_>, answer: &Answer, service: Service, word: Option<&str>) -> Verdict {
    let word = word.and_then(|word| errand.shown(word));
    let status = answer.status;
    match (word, status) {
        (_, 300..=399) => redirected(errand, answer, None),
        (_, 429) => too_many_requests(),
        (_, 500..=599) => {
            let word = word.map(|word| format!(", {word}")).unwrap_or_default();
            let message = format!("{} failed (HTTP status {status}{word}).", errand.answerer());
            let hint = "Test again later, and look into the server's own log.";
            Verdict::new(Stage::Http, "server_error", message, hint)
        }
        (Some(word), 400..) => {
            let message =
                format!("{} refused the request with {word} (HTTP status {status}).", errand.answerer());
            Verdict::new(Stage::Http, "server_refused", message, "Check url, region and provider.")
                .at(errand.url_place)
        }
        _ => not_the_service(errand, answer, service),
    }
}

/// The server sends elsewhere; credentials are not carried there. Of the target the host is shown, no more: the rest
/// could be what was sent to the server.
pub fn redirected(errand: &Errand<'_>, answer: &Answer, endpoint: Option<&str>) -> Verdict {
    let target = match (answer.location(), endpoint) {
        (Some(location), _) => errand.url.join(location).ok(),
        (None, Some(endpoint)) => Url::parse(&format!("{}://{endpoint}", errand.url.scheme())).ok(),
        (None, None) => None,
    };
    let shown = target.as_ref().and_then(|target| {
        let host = target.host_str().filter(|host| host.len() <= HOST_MAX_BYTES)?;
        let port = target.port().map(|port| format!(":{port}")).unwrap_or_default();
        let can_be_shown = matches!(target.scheme(), "http" | "https") && !errand.client.has_sent_host(host);
        can_be_shown.then(|| format!("{}://{host}{port}", target.scheme()))
    });
    let place = shown.map_or_else(|| "elsewhere".to_owned(), |target| format!("to {target}"));
    let message = format!(
        "The server redirects {place}; a test does not follow, it would carry the credentials along."
    );
    let hint = "Write the address that serves the storage itself into url, and check the region.";
    Verdict::new(Stage::Http, "redirected", message, hint).at(errand.url_place)
}

/// Something answered by HTTP, but not the service.
pub fn not_the_service(errand: &Errand<'_>, answer: &Answer, service: Service) -> Verdict {
    let (code, name) = match service {
        Service::S3 => ("not_s3", "an S3 service"),
        Service::Azure => ("not_azure", "Azure's Blob service"),
        Service::Swift => ("not_swift", "Swift or Keystone"),
    };
    let kind = if is_web_page(answer) { "a web page" } else { "something else" };
    let message = format!(
        "{} answered with {kind} (HTTP status {}), not as {name} does.",
        errand.answerer(),
        answer.status
    );
    let is_azure = answer.headers.contains_key("x-ms-error-code")
        || answer.header("server").is_some_and(|name| name.contains("Azur"));
    let hint = if is_azure && service != Service::Azure {
        "This looks like Azure's Blob service: set provider to azure."
    } else if errand.provider == Provider::OpenstackSwift && service == Service::S3 {
        "Check url. If this Swift has no S3 API, write its sign-in address into url: it ends in /auth/v1.0 (Swift) or /v3 (Keystone)."
    } else {
        "Check url: it may need another port, the address of the storage service instead of its web console, or no bucket name at its end."
    };
    Verdict::new(Stage::Answer, code, message, hint).at(errand.url_place)
}

/// Whether an answer is a page for people.
pub fn is_web_page(answer: &Answer) -> bool {
    let start: String = answer.text().trim_start().chars().take(16).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

/// The address names a bucket, in its path or in its host.
pub fn url_names_bucket(errand: &Errand<'_>) -> Verdict {
    let (part, rest) = match errand.url.path() {
        "/" => ("host", "Take the name of the bucket out of the host"),
        _ => ("path", "Take the path out"),
    };
    let words = errand.url_place.words;
    let message = format!("The server takes the {part} in {words} for the name of a bucket.");
    let hint = format!("{rest}, so that {words} names the service alone.");
    Verdict::new(Stage::Answer, "url_names_bucket", message, hint).at(errand.url_place)
}
