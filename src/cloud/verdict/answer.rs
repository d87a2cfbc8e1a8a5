//! Verdicts on answers: what the service says of the credentials and the request, and answers that are no service's.

use std::time::{Duration, SystemTime};

use url::Url;

use crate::cloud::errand::{Errand, SwiftAuth};
use crate::cloud::http::Answer;
use crate::domain::provider::Provider;
use crate::domain::verdict::{Stage, Verdict};

/// Longest host name (RFC 1035); a server may send longer ones.
const HOST_MAX_BYTES: usize = 253;
/// Azure and Amazon refuse requests whose time differs by more.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);

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

/// The server wants the secret that fits the access key.
pub fn secret_key_wrong() -> Verdict {
    Verdict::new(
        Stage::Authentication,
        "secret_key_wrong",
        "The signature that was made with secret_key does not fit.",
        "Type secret_key anew. If it is right, check access_key: some servers, such as Swift, say the same of a key that they do not know.",
    )
    .about("secret_key")
}

/// The server does not know the access key.
pub fn access_key_unknown() -> Verdict {
    Verdict::new(
        Stage::Authentication,
        "access_key_unknown",
        "The server does not know the access key.",
        "Check access_key, and that url names the service that the key belongs to.",
    )
    .about("access_key")
}

/// Access key or secret are wrong; the answer does not tell which.
pub fn credentials_wrong() -> Verdict {
    Verdict::new(
        Stage::Authentication,
        "credentials_wrong",
        "The server refuses the credentials; it does not say whether access_key or secret_key is wrong.",
        "Check access_key, and type secret_key anew.",
    )
    .about("secret_key")
}

/// The credentials were good for a time that has passed.
pub fn credentials_expired() -> Verdict {
    Verdict::new(
        Stage::Authentication,
        "credentials_expired",
        "The access key was a temporary one, and has expired.",
        "Use a permanent access key and its secret.",
    )
    .about("access_key")
}

/// The clocks differ too much. `server_time` is what the server said.
pub fn clock_skew(server_time: Option<SystemTime>) -> Verdict {
    let message = match server_time.map(clock_difference) {
        Some((difference, is_ahead)) => format!(
            "This machine's clock is {} {} the server's: the server refuses requests that differ so much.",
            rough_time(difference),
            if is_ahead { "ahead of" } else { "behind" }
        ),
        None => "This machine's clock and the server's differ too much.".to_owned(),
    };
    let hint = "Set this machine's clock, best by switching time synchronization on; if it is right, the server's is wrong.";
    Verdict::new(Stage::Authentication, "clock_skew", message, hint)
}

/// By how much this machine's clock differs from another, and whether it is ahead.
pub fn clock_difference(other: SystemTime) -> (Duration, bool) {
    match SystemTime::now().duration_since(other) {
        Ok(ahead) => (ahead, true),
        Err(behind) => (behind.duration(), false),
    }
}

fn rough_time(duration: Duration) -> String {
    let count = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match (duration.as_secs() + 30) / 60 {
        minutes if minutes < 120 => count(minutes, "minute"),
        minutes if minutes < 48 * 60 => count((minutes + 30) / 60, "hour"),
        minutes => count((minutes + 12 * 60) / (24 * 60), "day"),
    }
}

/// The server wants another region, maybe one that it names.
pub fn region_wrong(region: Option<&str>) -> Verdict {
    let hint = match region {
        Some(region) => format!("Set region to {region}."),
        None => "Set region to the one that the account or endpoint belongs to.".to_owned(),
    };
    Verdict::new(Stage::Authentication, "region_wrong", "The server wants another region.", hint)
        .about("region")
}

/// Listing is denied, to a key that the server has accepted.
pub fn list_not_allowed() -> Verdict {
    Verdict::new(
        Stage::Authorization,
        "list_not_allowed",
        "The key is valid, but may not list the buckets.",
        "If it is meant for some buckets only, name these in the test (probe_buckets); otherwise allow it to list (on Amazon: s3:ListAllMyBuckets).",
    )
    .about("access_key")
}

/// Listing is denied; the answer does not tell why.
pub fn access_denied() -> Verdict {
    Verdict::new(
        Stage::Authorization,
        "access_denied",
        "The server denies listing the buckets; it does not say whether the credentials are wrong or the key may not list.",
        "Check access_key and secret_key. If the key is meant for some buckets only, name these in the test (probe_buckets).",
    )
    .about("access_key")
}

/// The account has no storage.
pub fn account_not_signed_up() -> Verdict {
    Verdict::new(
        Stage::Authorization,
        "account_not_signed_up",
        "The server says that the account of the access key is not signed up for storage.",
        "Check access_key: some servers say this of a key that they do not know.",
    )
    .about("access_key")
}

/// The account is closed, unpaid or locked.
pub fn account_disabled() -> Verdict {
    Verdict::new(
        Stage::Authorization,
        "account_disabled",
        "The server says that the account of the access key is disabled.",
        "Ask the provider what is wrong with the account.",
    )
    .about("access_key")
}

/// The server wants fewer requests.
pub fn too_many_requests() -> Verdict {
    Verdict::new(
        Stage::Http,
        "too_many_requests",
        "The server says that it gets too many requests.",
        "Wait a while and test again.",
    )
}

/// Buckets are to be named in the host, or in the path: the other way than they were.
pub fn request_style(uses_path_style: bool) -> Verdict {
    let hint = match uses_path_style {
        true => "Take use_path_request_style out of options.",
        false => {
            "Use the address of the service as a whole in url; for a service that wants paths, add use_path_request_style to options."
        }
    };
    Verdict::new(
        Stage::Http,
        "request_style",
        "The server does not take requests in this style: it wants the bucket's name in the host.",
        hint,
    )
    .about("options")
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
            let message = format!("The server failed (HTTP status {status}{word}).");
            let hint = "Test again later, and look into the server's own log.";
            Verdict::new(Stage::Http, "server_error", message, hint)
        }
        (Some(word), 400..) => {
            let message = format!("The server refused the request with {word} (HTTP status {status}).");
            Verdict::new(Stage::Http, "server_refused", message, "Check url, region and provider.")
                .about("url")
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
    Verdict::new(Stage::Http, "redirected", message, hint).about("url")
}

/// Something answered by HTTP, but not the service.
pub fn not_the_service(errand: &Errand<'_>, answer: &Answer, service: Service) -> Verdict {
    let start: String = answer.text().trim_start().chars().take(64).collect::<String>().to_ascii_lowercase();
    let is_page = start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let (code, name) = match service {
        Service::S3 => ("not_s3", "an S3 service"),
        Service::Azure => ("not_azure", "Azure's Blob service"),
        Service::Swift => ("not_swift", "Swift or Keystone"),
    };
    let kind = if is_page { "a web page" } else { "something else" };
    let message =
        format!("The server answered with {kind} (HTTP status {}), not as {name} does.", answer.status);
    let is_azure = answer.headers.contains_key("x-ms-error-code")
        || answer.header("server").is_some_and(|name| name.contains("Azur"));
    let hint = if is_azure && service != Service::Azure {
        "This looks like Azure's Blob service: set provider to azure."
    } else if errand.provider == Provider::OpenstackSwift && service == Service::S3 {
        "Check url. If this Swift has no S3 API, write its sign-in address into url: it ends in /auth/v1.0 (Swift) or /v3 (Keystone)."
    } else {
        "Check url: it may need another port, the address of the storage service instead of its web console, or no bucket name at its end."
    };
    Verdict::new(Stage::Answer, code, message, hint).about("url")
}

/// The answer is the content of a bucket: the url names one.
pub fn url_names_bucket() -> Verdict {
    Verdict::new(
        Stage::Answer,
        "url_names_bucket",
        "The server takes the path in url for the name of a bucket.",
        "Take the path out of url, so that it names the service alone.",
    )
    .about("url")
}

/// The answer begins as it should but cannot be read.
pub fn answer_malformed() -> Verdict {
    Verdict::new(
        Stage::Answer,
        "answer_malformed",
        "The answer begins as a list of buckets but cannot be read.",
        "Something between this machine and the service may have changed or cut the answer.",
    )
}

/// The sign-in worked, but there is no storage in what it opens.
pub fn no_object_store(auth: SwiftAuth) -> Verdict {
    let message = match auth {
        SwiftAuth::Version1 => "The sign-in worked, but the server named no storage address.",
        SwiftAuth::KeystoneVersion3 => {
            "The sign-in worked, but the catalogue of this project has no object storage."
        }
    };
    let hint = "Check the project in access_key, and that the server offers object storage to it.";
    Verdict::new(Stage::Authorization, "no_object_store", message, hint).about("access_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_differences_are_said_in_words() {
        for (seconds, words) in [
            (60, "1 minute"),
            (900, "15 minutes"),
            (3599, "60 minutes"),
            (7200, "2 hours"),
            (90_000, "25 hours"),
            (864_000, "10 days"),
        ] {
            assert_eq!(rough_time(Duration::from_secs(seconds)), words);
        }
        let ahead = clock_skew(Some(SystemTime::now() - Duration::from_secs(3600)));
        assert!(ahead.message.contains("60 minutes ahead of"), "{}", ahead.message);
        let behind = clock_skew(Some(SystemTime::now() + Duration::from_secs(86_400 * 3)));
        assert!(behind.message.contains("3 days behind"), "{}", behind.message);
    }
}
