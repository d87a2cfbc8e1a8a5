//! Verdicts on encryption and certificates.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls::{CertificateError, Error as TlsError};

use crate::cloud::http::{FirstBytes, Peer, SelfSigned};
use crate::cloud::verdict::transport::{connect_timed_out, place_of};
use crate::cloud::verdict::{seconds, sentence};
use crate::domain::verdict::{Stage, Verdict};

/// What to do where a certificate is right but not known.
const TRUST_IT: &str = "If it is your own, put it into a PEM file and name that in the configuration as cloud.ca_file; otherwise somebody may be listening.";

/// TLS was not agreed on.
pub fn tls_failed(error: &io::Error, peer: &Peer<'_>, first_bytes: &FirstBytes) -> Verdict {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>());
    let (code, message, hint) = match cause {
        Some(TlsError::InvalidCertificate(problem)) => certificate(problem, peer),
        _ if !first_bytes.is_empty() && !first_bytes.are_tls() => (
            "not_tls",
            format!("{} does not speak https.", sentence(&place_of(peer))),
            format!("Write http:// in front of the host in {}, or name another port.", peer.place.words),
        ),
        _ => (
            "tls_failed",
            format!("{} did not agree on encryption{}.", sentence(&place_of(peer)), reason(cause)),
            format!(
                "Check that the port in {} is the one for https, and that the server allows TLS 1.2 or 1.3.",
                peer.place.words
            ),
        ),
    };
    match peer.is_proxy {
        true => Verdict::new(Stage::Proxy, "proxy_tls_failed", message, hint).at(peer.place),
        false => Verdict::new(Stage::Tls, code, message, hint).at(peer.place),
    }
}

/// The handshake took too long.
pub fn tls_timed_out(peer: &Peer<'_>, waited: Duration) -> Verdict {
    if peer.is_proxy {
        return connect_timed_out(peer, waited);
    }
    let message =
        format!("{} did not agree on encryption within {}.", sentence(&place_of(peer)), seconds(waited));
    let hint = format!("Check that the port in {} is the one for https.", peer.place.words);
    Verdict::new(Stage::Tls, "tls_timeout", message, hint).at(peer.place)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add more")]
fn certificate(problem: &CertificateError, peer: &Peer<'_>) -> (&'static str, String, String) {
    let of = if peer.is_proxy { format!("the proxy {}", peer.host) } else { peer.host.to_owned() };
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "certificate_expired",
            format!("The certificate of {of} has expired."),
            "Renew the certificate on the server; if it is still good, check this machine's clock."
                .to_owned(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "certificate_not_yet_valid",
            format!("The certificate of {of} is not valid yet."),
            "Check this machine's clock first, then the certificate on the server.".to_owned(),
        ),
        CertificateError::NotValidForName => other_name(&of, &[], peer),
        CertificateError::NotValidForNameContext { presented, .. } => other_name(&of, presented, peer),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => (
            "certificate_self_signed",
            format!("The certificate of {of} is signed by itself: nobody vouches for it."),
            TRUST_IT.to_owned(),
        ),
        CertificateError::UnknownIssuer => (
            "certificate_unknown_issuer",
            format!(
                "The certificate of {of} is not signed by an authority that connectord knows, or the server leaves out a certificate in between."
            ),
            TRUST_IT.replace("it is your own, put it", "the authority is your own, put its certificate"),
        ),
        _ => (
            "certificate_invalid",
            format!("The certificate of {of} breaks the rules for certificates."),
            "Have the certificate on the server made anew.".to_owned(),
        ),
    }
}

fn other_name(of: &str, presented: &[String], peer: &Peer<'_>) -> (&'static str, String, String) {
    const NAMES_MAX: usize = 3;
    let is_plain = |name: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'*' | b':');
        (1..=253).contains(&name.len()) && name.bytes().all(is_plain)
    };
    // Each is written as DnsName("host").
    let bare = |name: &str| {
        name.split_once('"').and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name.to_owned())
    };
    let names: Vec<String> = presented.iter().filter_map(|name| bare(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(is_plain).take(NAMES_MAX).collect();
    let message = match names.as_slice() {
        [] => format!("The certificate of {of} is for another name."),
        names => format!("The certificate of {of} is for another name: {}.", names.join(", ")),
    };
    let hint = format!("Use a name of the certificate in {}.", peer.place.words);
    ("certificate_other_name", message, hint)
}

fn reason(cause: Option<&TlsError>) -> &'static str {
    match cause {
        Some(TlsError::AlertReceived(_)) => ": it refused the handshake",
        Some(TlsError::PeerIncompatible(_)) => ": it offers no version that is safe",
        Some(_) => ": it breaks the rules of TLS",
        None => ": it closed the connection",
    }
}
