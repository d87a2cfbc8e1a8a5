//! Verdicts on the way to the server and back: look-up, connection, proxy, HTTP.

use std::io;
use std::time::Duration;

use tokio_socks::Error as SocksError;
use url::Url;

use crate::cloud::http::{Answer, FirstBytes, Peer, Proxy};
use crate::cloud::place::Place;
use crate::cloud::verdict::{seconds, sentence};
use crate::domain::verdict::{Stage, Verdict};

/// The name has no address.
pub fn name_not_found(peer: &Peer<'_>) -> Verdict {
    let hint = format!("Check the host in {}, and this machine's name server.", peer.place.words);
    if peer.is_proxy {
        let message = format!("The name of the proxy, {}, was not found.", peer.host);
        return Verdict::new(Stage::Proxy, "proxy_name_not_found", message, hint).at(peer.place);
    }
    let message = format!("The name {} was not found.", peer.host);
    Verdict::new(Stage::Resolve, "name_not_found", message, hint).at(peer.place)
}

/// No name server answered.
pub fn name_lookup_timed_out(peer: &Peer<'_>, waited: Duration) -> Verdict {
    let stage = if peer.is_proxy { Stage::Proxy } else { Stage::Resolve };
    let message = format!("The name {} could not be looked up within {}.", peer.host, seconds(waited));
    let hint =
        format!("Check this machine's name server and its network, and the host in {}.", peer.place.words);
    Verdict::new(stage, "name_lookup_timeout", message, hint).at(peer.place)
}

/// No connection in time.
pub fn connect_timed_out(peer: &Peer<'_>, waited: Duration) -> Verdict {
    let message = format!("Nothing answered at {}, within {}.", place_of(peer), seconds(waited));
    let hint = format!("Check host and port in {}, and that no firewall is in the way.", peer.place.words);
    match peer.is_proxy {
        true => Verdict::new(Stage::Proxy, "proxy_timeout", message, hint).at(peer.place),
        false => Verdict::new(Stage::Connect, "connect_timeout", message, hint).at(peer.place),
    }
}

/// No connection at all.
pub fn connect_failed(peer: &Peer<'_>, error: &io::Error) -> Verdict {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        let message = format!("{} refused the connection: nothing listens there.", sentence(&place_of(peer)));
        let hint = format!("Check host and port in {}, and that the service runs.", peer.place.words);
        return match peer.is_proxy {
            true => Verdict::new(Stage::Proxy, "proxy_refused", message, hint).at(peer.place),
            false => Verdict::new(Stage::Connect, "connection_refused", message, hint).at(peer.place),
        };
    }
    let message = format!("{} cannot be reached from this machine's network.", sentence(&place_of(peer)));
    let hint = format!("Check the host in {}, the network and its routes.", peer.place.words);
    match peer.is_proxy {
        true => Verdict::new(Stage::Proxy, "proxy_unreachable", message, hint).at(peer.place),
        false => Verdict::new(Stage::Connect, "unreachable", message, hint).at(peer.place),
    }
}

/// The proxy took the connection, and did nothing with it in time; many wait like this for a server that does not answer.
pub fn proxy_timed_out(proxy: &Proxy, server: &Peer<'_>, waited: Duration) -> Verdict {
    let proxy = proxy.peer();
    let message = format!(
        "The proxy {} did not open a way to {} within {}.",
        proxy.host,
        place_of(server),
        seconds(waited)
    );
    let hint = format!(
        "Check host and port in {}, and that {} names a proxy that leads there.",
        server.place.words, proxy.place.words
    );
    Verdict::new(Stage::Proxy, "proxy_timeout", message, hint).at(proxy.place)
}

/// What was taken for a proxy speaks something else.
pub fn not_a_proxy(proxy: &Peer<'_>) -> Verdict {
    let message = format!("{} does not answer as a proxy does.", sentence(&place_of(proxy)));
    let hint = format!("Check port and scheme (http, https or socks5) in {}.", proxy.place.words);
    Verdict::new(Stage::Proxy, "not_a_proxy", message, hint).at(proxy.place)
}

/// The proxy did not open a tunnel, by its status.
pub fn tunnel_refused(status: u16, proxy: &Proxy, server: &Peer<'_>) -> Verdict {
    match status {
        407 => proxy_credentials(proxy),
        401 | 403 => proxy_denied(proxy, server),
        // What a server says that is no proxy and does not know the method.
        405 | 501 => not_a_proxy(&proxy.peer()),
        500..=599 => proxy_target_unreachable(proxy, server),
        _ => not_a_proxy(&proxy.peer()),
    }
}

/// The SOCKS proxy did not connect (RFC 1928, section 6; RFC 1929).
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add more")]
pub fn socks_failed(error: &SocksError, proxy: &Proxy, server: &Peer<'_>) -> Verdict {
    match error {
        SocksError::NoAcceptableAuthMethods
        | SocksError::UnknownAuthMethod
        | SocksError::PasswordAuthFailure(_)
        | SocksError::AuthorizationRequired
        | SocksError::InvalidAuthValues(_) => proxy_credentials(proxy),
        SocksError::ConnectionNotAllowedByRuleset => proxy_denied(proxy, server),
        SocksError::GeneralSocksServerFailure
        | SocksError::NetworkUnreachable
        | SocksError::HostUnreachable
        | SocksError::ConnectionRefused
        | SocksError::TtlExpired
        | SocksError::AddressTypeNotSupported => proxy_target_unreachable(proxy, server),
        _ => not_a_proxy(&proxy.peer()),
    }
}

/// Where a proxy forwards, some answers are its own: it wants credentials, or says itself that it did not get through.
///
/// # Errors
/// The verdict on such an answer.
pub fn check_forwarded(answer: &Answer, proxy: &Proxy, server: &Peer<'_>) -> Result<(), Verdict> {
    // RFC 9209, and what Squid has had for much longer.
    let is_proxys_own =
        answer.headers.contains_key("proxy-status") || answer.headers.contains_key("x-squid-error");
    match answer.status {
        407 => Err(proxy_credentials(proxy)),
        403 if is_proxys_own => Err(proxy_denied(proxy, server)),
        502..=504 if is_proxys_own => Err(proxy_target_unreachable(proxy, server)),
        _ => Ok(()),
    }
}

fn proxy_credentials(proxy: &Proxy) -> Verdict {
    let peer = proxy.peer();
    if proxy.has_credentials() {
        let message = format!("The proxy {} refuses user and password.", peer.host);
        let hint = format!("Correct user and password in {}.", peer.place.words);
        return Verdict::new(Stage::Proxy, "proxy_credentials_wrong", message, hint).at(peer.place);
    }
    let message = format!("The proxy {} wants a user name and a password.", peer.host);
    let hint = format!("Write them into {}, as in http://user:password@host:port.", peer.place.words);
    Verdict::new(Stage::Proxy, "proxy_credentials_needed", message, hint).at(peer.place)
}

fn proxy_denied(proxy: &Proxy, server: &Peer<'_>) -> Verdict {
    let message = format!("The proxy {} does not allow a way to {}.", proxy.peer().host, place_of(server));
    let hint = "Have the proxy allow it, or use another proxy, or none.";
    Verdict::new(Stage::Proxy, "proxy_denied", message, hint).at(proxy.peer().place)
}

fn proxy_target_unreachable(proxy: &Proxy, server: &Peer<'_>) -> Verdict {
    let message = format!("The proxy {} says that it cannot reach {}.", proxy.peer().host, place_of(server));
    let hint = format!("Check host and port in {}, and whether this proxy leads there.", server.place.words);
    Verdict::new(Stage::Proxy, "proxy_target_unreachable", message, hint).at(server.place)
}

/// The exchange ended before an answer.
pub fn exchange_broken(error: &hyper::Error, peer: &Peer<'_>, first_bytes: &FirstBytes) -> Verdict {
    let answerer = sentence(&answerer(peer));
    let hint = format!("Check the port in {}.", peer.place.words);
    if first_bytes.are_tls() {
        let message = format!("{answerer} wants encryption: https, not http.");
        let hint = format!("Write https:// in front of the host in {}.", peer.place.words);
        return Verdict::new(Stage::Http, "https_needed", message, hint).at(peer.place);
    }
    if error.is_parse_too_large() {
        let message = format!("{answerer} sent more headers than an answer may have.");
        return Verdict::new(Stage::Answer, "answer_too_large", message, hint).at(peer.place);
    }
    if first_bytes.is_empty() {
        let message = format!("{answerer} closed the connection without an answer.");
        let hint = format!(
            "Check the port in {}, and whether the server wants https; its own log may say more.",
            peer.place.words
        );
        return Verdict::new(Stage::Http, "connection_broken", message, hint).at(peer.place);
    }
    if !first_bytes.are_http() {
        let message = format!("{answerer} does not speak HTTP.");
        return Verdict::new(Stage::Http, "not_http", message, hint).at(peer.place);
    }
    if error.is_parse() {
        let message = format!("{answerer} sent an answer that breaks the rules of HTTP.");
        return Verdict::new(Stage::Http, "not_http", message, hint).at(peer.place);
    }
    answer_cut_off(peer)
}

/// No answer, or none whole, in time.
pub fn answer_timed_out(peer: &Peer<'_>, waited: Duration) -> Verdict {
    let message = format!("{} did not answer within {}.", sentence(&answerer(peer)), seconds(waited));
    let hint = format!(
        "Check that {} names the right host and port; a server that is busy may answer later.",
        peer.place.words
    );
    Verdict::new(Stage::Answer, "answer_timeout", message, hint).at(peer.place)
}

/// The whole test took too long, by many answers.
pub fn deadline_passed(deadline: Duration) -> Verdict {
    let message = format!("The server's answers were not complete within {}.", seconds(deadline));
    let hint = "Test again when the server is less busy, or raise jobs.deadline_ms in the configuration.";
    Verdict::new(Stage::Answer, "answer_timeout", message, hint)
}

/// The connection ended in the middle of the answer.
pub fn answer_cut_off(peer: &Peer<'_>) -> Verdict {
    let message = format!("{} broke off in the middle of the answer.", sentence(&answerer(peer)));
    let hint = "Test again; if it happens again, look into the server's log, and at what stands between.";
    Verdict::new(Stage::Answer, "answer_cut_off", message, hint)
}

/// The answer grew over the limit.
pub fn answer_too_large(peer: &Peer<'_>, limit_bytes: usize) -> Verdict {
    let limit = match limit_bytes / 1024 {
        kib if kib < 1024 => format!("{kib} KiB"),
        kib => format!("{} MiB", kib / 1024),
    };
    let message = format!("The answer is larger than {limit}.");
    let hint = format!("Check that {} names a storage service.", peer.place.words);
    Verdict::new(Stage::Answer, "answer_too_large", message, hint).at(peer.place)
}

/// Web servers say by a page that http was spoken to their https port: nginx, Apache, and those written in Go.
///
/// # Errors
/// The verdict on such an answer.
pub fn check_scheme(url: &Url, answer: &Answer, place: Place) -> Result<(), Verdict> {
    const PHRASES: [&str; 3] = [
        "plain http request was sent to https port",
        "client sent an http request to an https server",
        "speaking plain http to an ssl-enabled server port",
    ];
    let text = if answer.status == 400 { answer.text().to_ascii_lowercase() } else { String::new() };
    if url.scheme() != "http" || !PHRASES.iter().any(|phrase| text.contains(phrase)) {
        return Ok(());
    }
    let message = format!(
        "Port {} wants encryption: https, not http.",
        url.port_or_known_default().unwrap_or_default()
    );
    let hint = format!("Write https:// in front of the host in {}.", place.words);
    Err(Verdict::new(Stage::Http, "https_needed", message, hint).at(place))
}

/// `host, port 80`, as in the middle of a sentence.
pub(super) fn place_of(peer: &Peer<'_>) -> String {
    let kind = if peer.is_proxy { "the proxy " } else { "" };
    format!("{kind}{}, port {}", peer.host, peer.port)
}

/// The same; through a proxy nobody can tell which of the two it was.
fn answerer(peer: &Peer<'_>) -> String {
    match peer.is_behind_proxy {
        true => format!("the proxy, or {} behind it,", place_of(peer)),
        false => format!("{},", place_of(peer)),
    }
}
