//! What a failed test says: what is wrong, how far it came, and what to change. Never a raw answer, never a secret.

use std::error::Error;
use std::time::Duration;

use url::Url;

use crate::cloud::TestTimes;
use crate::domain::job::Verdict;
use crate::domain::provider::Provider;

/// Longest host name (RFC 1035); a server may send longer ones.
const HOST_MAX_BYTES: usize = 253;

/// An attribute that the test needs is empty.
pub fn attribute_missing(attribute: &str) -> Verdict {
    let message = format!("The connector has no {attribute}.");
    Verdict::new("configuration", "attribute_missing", message, format!("Fill in {attribute}."))
}

/// An attribute has characters that no request can carry.
pub fn attribute_unusable(attribute: &str) -> Verdict {
    let message = format!("{attribute} has characters that cannot be sent.");
    Verdict::new(
        "configuration",
        "attribute_unusable",
        message,
        format!("Correct {attribute}: type it anew."),
    )
}

/// The endpoint cannot be understood.
pub fn url_invalid() -> Verdict {
    let hint = "Write an http or https URL into url, such as https://s3.example.com.";
    Verdict::new("configuration", "url_invalid", "The connector's url is not an address.", hint)
}

/// The proxy cannot be understood.
pub fn proxy_invalid() -> Verdict {
    let hint = "Write an http, https or socks5 URL into url_proxy, such as http://proxy.example.com:3128.";
    Verdict::new("configuration", "proxy_invalid", "The connector's url_proxy is not an address.", hint)
}

/// This version cannot test the provider.
pub fn provider_not_supported(provider: Provider) -> Verdict {
    let message = format!("This version cannot test connectors of the provider {}.", provider.name());
    Verdict::new(
        "configuration",
        "provider_not_supported",
        message,
        "The connector itself is kept and served as it is.",
    )
}

/// The machine could not set up a request.
pub fn client_unavailable() -> Verdict {
    let hint = "Start the test again; if it fails again, restart connectord and read its log.";
    Verdict::new("configuration", "client_unavailable", "This machine could not set up the request.", hint)
}

/// No end within the deadline.
pub fn timed_out(deadline: Duration) -> Verdict {
    let message = format!("The server did not answer within {}.", seconds(deadline));
    let hint = "Check that url names the right host and port; a server that is busy may answer later.";
    Verdict::new("answer", "answer_timeout", message, hint)
}

/// The answer grew over the limit.
pub fn answer_too_large(limit_bytes: usize) -> Verdict {
    let message = format!("The answer is larger than {} MiB.", limit_bytes / (1024 * 1024));
    Verdict::new("answer", "answer_too_large", message, "Check that url names an S3 service.")
}

/// The list goes on, but this version does not ask for more.
pub fn list_cut_short() -> Verdict {
    let message = "The server sent only the beginning of its list of buckets.";
    Verdict::new(
        "answer",
        "list_cut_short",
        message,
        "The connector itself works; this version cannot show so long a list.",
    )
}

/// The list is longer than what is kept.
pub fn too_many_buckets(limit: usize) -> Verdict {
    let message = format!("The account has more than {limit} buckets.");
    Verdict::new(
        "answer",
        "answer_too_large",
        message,
        "The connector itself works; this version cannot show so long a list.",
    )
}

/// The answer has the right root but cannot be read.
pub fn answer_malformed() -> Verdict {
    let hint = "Something between this machine and the service may have changed or cut the answer.";
    Verdict::new(
        "answer",
        "answer_malformed",
        "The answer begins as a list of buckets but cannot be read.",
        hint,
    )
}

/// Something answered, but no S3 service.
pub fn not_s3(status: u16, root: Option<&str>) -> Verdict {
    let kind = match root {
        Some(root) if root.eq_ignore_ascii_case("html") => "a web page",
        Some(_) => "something else than a list of buckets",
        None => "no S3 answer",
    };
    let message = format!("The server answered with {kind} (HTTP status {status}).");
    let hint = "Check url: it may need another port, the address of the S3 service instead of its web console, or no bucket name at its end.";
    Verdict::new("answer", "not_s3", message, hint)
}

/// The server sends elsewhere; credentials are not carried there.
pub fn redirected(url: &Url, location: Option<&str>) -> Verdict {
    let target = location.and_then(|location| url.join(location).ok());
    let is_short = |host: &&str| host.len() <= HOST_MAX_BYTES;
    let target = target
        .and_then(|target| Some(format!("{}://{}", target.scheme(), target.host_str().filter(is_short)?)));
    let message = match target {
        Some(target) => format!(
            "The server redirects to {target}; a test does not follow, it would carry the credentials along."
        ),
        None => {
            "The server redirects elsewhere; a test does not follow, it would carry the credentials along."
                .to_owned()
        }
    };
    Verdict::new(
        "http",
        "redirected",
        message,
        "Write the address that serves S3 itself into url, and check the region.",
    )
}

/// From an S3 error answer: the code where there is one, else the status.
pub fn from_s3_error(status: u16, root: Option<&str>, code: Option<&str>, region: Option<&str>) -> Verdict {
    let is_word = |text: &&str| {
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let code = code.filter(is_word);
    match (code, status) {
        (Some("SignatureDoesNotMatch"), _) => Verdict::new(
            "authentication",
            "secret_key_wrong",
            "The signature that was made with secret_key does not fit.",
            "Type secret_key anew. If it is right, check access_key: some servers, such as Swift, say the same of a key that they do not know.",
        ),
        (Some("InvalidAccessKeyId"), _) => Verdict::new(
            "authentication",
            "access_key_unknown",
            "The server does not know the access key.",
            "Check access_key, and that url names the service that the key belongs to.",
        ),
        (Some("RequestTimeTooSkewed"), _) => Verdict::new(
            "authentication",
            "clock_skew",
            "This machine's clock and the server's differ too much.",
            "Set this machine's clock, best by switching time synchronization on.",
        ),
        (
            Some("AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect"),
            _,
        ) => {
            let hint = match region.filter(is_word) {
                Some(region) => format!("Set region to {region}."),
                None => "Set region to the one that the account or endpoint belongs to.".to_owned(),
            };
            Verdict::new("authentication", "region_wrong", "The server wants another region.", hint)
        }
        (Some("SlowDown" | "TooManyRequests"), _) | (_, 429) => Verdict::new(
            "http",
            "too_many_requests",
            "The server says that it gets too many requests.",
            "Wait a while and test again.",
        ),
        (Some("NotSignedUp"), _) => Verdict::new(
            "authorization",
            "account_not_signed_up",
            "The server says that the account of the access key is not signed up for storage.",
            "Check access_key: some servers say this of a key that they do not know.",
        ),
        (Some("AccessDenied"), _) | (_, 401 | 403) => Verdict::new(
            "authorization",
            "access_denied",
            "The server denies listing the buckets.",
            "Check access_key and secret_key; if they are right, the key may not be allowed to list buckets.",
        ),
        (code, _) => from_status(status, root, code),
    }
}

/// From the status alone, where the code says nothing that is known.
fn from_status(status: u16, root: Option<&str>, code: Option<&str>) -> Verdict {
    match (code, status) {
        (_, 407) => Verdict::new(
            "proxy",
            "proxy_credentials_needed",
            "The proxy wants a user name and a password.",
            "Write them into url_proxy: http://user:password@host:port.",
        ),
        (_, 500..=599) => Verdict::new(
            "http",
            "server_error",
            format!(
                "The server failed (HTTP status {status}{}).",
                code.map(|code| format!(", {code}")).unwrap_or_default()
            ),
            "Test again later, and look into the server's own log.",
        ),
        (Some(code), _) => Verdict::new(
            "http",
            "server_refused",
            format!("The server refused the request with {code} (HTTP status {status})."),
            "Check url, region and provider.",
        ),
        (None, _) => not_s3(status, root),
    }
}

/// From an error of the HTTP client, most specific first.
pub fn from_transport(error: &reqwest::Error, url: &Url, has_proxy: bool, times: TestTimes) -> Verdict {
    let host = url.host_str().unwrap_or("the host");
    let port = url.port_or_known_default().unwrap_or_default();
    let chain = error_chain(error);
    let says = |part: &str| chain.contains(part);
    if error.is_timeout() && error.is_connect() {
        let message =
            format!("Nothing answered at {host}, port {port}, within {}.", seconds(times.connect_timeout));
        let hint = "Check host and port in url, and that no firewall is in the way.";
        return Verdict::new("connect", "connect_timeout", message, hint);
    }
    if error.is_timeout() {
        return timed_out(times.deadline);
    }
    if says("lookup address information") || says("dns error") {
        let (attribute, host) = if has_proxy { ("url_proxy or url", "the host") } else { ("url", host) };
        let message = format!("The name of {host} was not found.");
        let hint = format!("Check the host in {attribute}, and this machine's name server.");
        return Verdict::new("resolve", "name_not_found", message, hint);
    }
    if says("tunnel error") || says("socks") {
        let hint =
            "Check url_proxy with its user and password, and that the proxy may reach the host in url.";
        return Verdict::new("proxy", "proxy_refused", "The proxy did not open the way to the server.", hint);
    }
    if says("invalid peer certificate") {
        return bad_certificate(&chain);
    }
    if says("InvalidContentType") || says("corrupt message") {
        let message = format!("Port {port} of {host} does not speak https.");
        return Verdict::new(
            "tls",
            "not_tls",
            message,
            "Write http:// in front of the host in url, or name another port.",
        );
    }
    if says("Connection refused") {
        let (place, attribute) = match has_proxy {
            true => ("The proxy, or the server behind it,".to_owned(), "url_proxy"),
            false => (format!("{host}, port {port},"), "url"),
        };
        let message = format!("{place} refused the connection: nothing listens there.");
        let hint = format!("Check host and port in {attribute}, and that the service runs.");
        return Verdict::new("connect", "connection_refused", message, hint);
    }
    if error.is_connect() {
        let message = format!("{host}, port {port}, could not be reached.");
        return Verdict::new(
            "connect",
            "unreachable",
            message,
            "Check url, the network and the way to the server.",
        );
    }
    let message = format!("{host}, port {port}, broke off the connection, or does not speak HTTP.");
    let hint = "Check the port in url, and whether the server wants https.";
    Verdict::new("http", "not_http", message, hint)
}

/// From the TLS library's words on a certificate.
fn bad_certificate(chain: &str) -> Verdict {
    let says = |part: &str| chain.contains(part);
    let (code, message, hint) = if says("Expired") || says("expired") {
        (
            "certificate_expired",
            "The server's certificate has expired.",
            "Renew the certificate on the server.",
        )
    } else if says("NotValidForName") || says("not valid for name") {
        (
            "certificate_other_name",
            "The server's certificate is for another name.",
            "Use the name in the certificate in url.",
        )
    } else {
        (
            "certificate_unknown_issuer",
            "The server's certificate is not signed by an authority that this machine knows.",
            "Use a certificate of a public authority, or http within a network that you trust.",
        )
    };
    Verdict::new("tls", code, message, hint)
}

/// The texts of an error and all that caused it. Only searched, never shown.
fn error_chain(error: &reqwest::Error) -> String {
    let mut chain = format!("{error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(&format!(" {cause}"));
        source = cause.source();
    }
    chain
}

fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds if milliseconds < 1000 => format!("{milliseconds} milliseconds"),
        1000 => "one second".to_owned(),
        milliseconds => format!("{} seconds", milliseconds / 1000),
    }
}
