//! Verdicts on answers: what the service says of the credentials and the request, and answers that are no service's.

use std::time::{Duration, SystemTime};

use crate::cloud::errand::{Errand, SwiftAuth};
use crate::domain::verdict::{Stage, Verdict};

/// Azure and Amazon refuse requests whose time differs by more.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);

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
        "The access key was a temporary one: it has expired, or is not whole.",
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
pub fn region_wrong(errand: &Errand<'_>, region: Option<&str>) -> Verdict {
    let words = errand.region_place.words;
    let hint = match region {
        Some(region) => format!("Set {words} to {region}."),
        None => format!("Set {words} to the one that the account or endpoint belongs to."),
    };
    Verdict::new(Stage::Authentication, "region_wrong", "The server wants another region.", hint)
        .at(errand.region_place)
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
pub fn access_denied(errand: &Errand<'_>) -> Verdict {
    let message = format!(
        "{} denies listing the buckets, and does not say whether the credentials are wrong or the key may not list.",
        errand.answerer()
    );
    Verdict::new(
        Stage::Authorization,
        "access_denied",
        message,
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

/// The account's own rules forbid its keys (Azure, "Prevent Shared Key authorization").
pub fn account_forbids_keys() -> Verdict {
    Verdict::new(
        Stage::Authorization,
        "account_forbids_keys",
        "The storage account does not allow access by its keys.",
        "Allow storage account key access in the account's configuration.",
    )
    .about("secret_key")
}

/// The account's own rules forbid where the request comes from, or how (Azure, "Configure firewalls").
pub fn account_forbids_network() -> Verdict {
    Verdict::new(
        Stage::Authorization,
        "account_forbids_network",
        "The storage account's rules do not allow this request, most likely because of the network that it comes from.",
        "Allow this machine's public address in the account's network rules; if it wants https, write https in url.",
    )
}

/// The storage does not take the token that the sign-in gave.
pub fn token_refused() -> Verdict {
    Verdict::new(
        Stage::Authentication,
        "token_refused",
        "The sign-in worked, but the storage does not accept its token.",
        "Check that url names the sign-in that belongs to this storage; its own configuration may be wrong.",
    )
    .about("url")
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
        true => {
            "Take use_path_request_style out of options, and use the address of the service as a whole in url."
        }
        false => "Use the address of the service as a whole in url.",
    };
    Verdict::new(
        Stage::Http,
        "request_style",
        "The server does not take requests in this style: it wants the bucket's name in the host.",
        hint,
    )
    .about("options")
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
