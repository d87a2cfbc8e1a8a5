//! What a web page elsewhere could trick a browser into, and the rules against it.
//!
//! Browsers send remembered Basic credentials along with requests that any page starts, and believe any name server about
//! where a page's host is. So a request must name a host that can only be ours, and one that changes something, or asks the
//! API, must not come from a page of somebody else: it could not read the answer, but a look at a secret is told in the name
//! of whoever sits there. Programs that are no browsers send none of these headers, and notice nothing.
//! Sources: OWASP, "Cross-Site Request Forgery Prevention"; W3C, "Fetch Metadata Request Headers".

use hyper::Method;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use url::Url;

use crate::api::error::ApiError;
use crate::domain::own_names::OwnNames;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Below are answers for programs and for our own pages; what is beside may be linked to from anywhere.
const API_PREFIX: &str = "/api/";

/// Refuses what a page of somebody else could have started.
///
/// # Errors
/// 400 for an unclear host, 421 for one that is not ours, 403 for what another site may not ask for.
pub fn check(head: &Parts, names: &OwnNames, allowed_origins: &[String]) -> Result<(), ApiError> {
    let authority = authority(head)?;
    if let Some(authority) = &authority
        && !names.include(authority.host())
    {
        return Err(ApiError::other_host(&shown(authority.host())));
    }
    let is_for_us_alone = match head.method {
        // It changes and shows nothing, and browsers ask so whether they may ask.
        Method::OPTIONS => false,
        Method::GET | Method::HEAD => head.uri.path().starts_with(API_PREFIX),
        _ => true,
    };
    if is_for_us_alone && !comes_from_us(&head.headers, authority.as_ref(), allowed_origins) {
        return Err(ApiError::other_site());
    }
    Ok(())
}

/// Headers of every answer: nothing of it runs, is framed, is guessed to be something else, or tells where it was read.
pub const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Header of the console's page in place of that above: it runs its own scripts and styles, speaks with this service,
/// and nothing else. lit-html, which writes what it shows, is the one that may make trusted types.
pub const PAGE_HEADER: (HeaderName, &str) = (
    CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'none'; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types lit-html",
);

/// Where the page comes over https: no page that opened it has a hold of it. Over http browsers ignore it, with a remark on
/// their console.
pub const SECURE_PAGE_HEADER: (HeaderName, &str) =
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin");

/// The host that the request is for: of the target where it has one, else of the header (RFC 9112, section 3.2).
/// Programs may send none.
fn authority(head: &Parts) -> Result<Option<Authority>, ApiError> {
    if let Some(authority) = head.uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut values = head.headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if value.is_empty() => Ok(None),
        (Some(value), None) => {
            let authority = Authority::try_from(value.as_bytes()).ok();
            // A port that is no port is taken for none by the parser; an empty one is none (RFC 3986, section 3.2.3).
            let has_port = |text: &str| {
                text.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.ends_with(']'))
            };
            let bare = authority.filter(|authority| {
                let text = authority.as_str();
                !text.contains('@') && (authority.port_u16().is_some() || !has_port(text))
            });
            bare.map(Some).ok_or_else(ApiError::host_unclear)
        }
        (Some(_), Some(_)) => Err(ApiError::host_unclear()),
    }
}

/// Whether a page of ours asked, one of a configured origin, or no page at all.
fn comes_from_us(headers: &HeaderMap, authority: Option<&Authority>, allowed_origins: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (Some(origin), None) => match origin.to_str() {
            Ok(origin) => Some(origin),
            Err(_) => return false,
        },
        (Some(_), Some(_)) => return false,
        (None, _) => None,
    };
    if origin.is_some_and(|origin| allowed_origins.iter().any(|allowed| allowed == origin)) {
        return true;
    }
    let is_from_us = match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        // "none" is what somebody typed into the browser.
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => false,
    };
    let is_same = |origin| authority.is_some_and(|authority| is_same_place(origin, authority));
    is_from_us && origin.is_none_or(is_same)
}

/// Host and port are compared and the scheme is not: a proxy may have taken the TLS off.
fn is_same_place(origin: &str, authority: &Authority) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let is_same_host = origin.host_str().is_some_and(|host| host.eq_ignore_ascii_case(authority.host()));
    // Without a port the host header means the scheme's own, which only the origin tells.
    let is_same_port = match authority.port_u16() {
        Some(port) => origin.port_or_known_default() == Some(port),
        None => origin.port().is_none(),
    };
    matches!(origin.scheme(), "http" | "https") && is_same_host && is_same_port
}

/// The host as it can be repeated: short, and of what names are made of.
fn shown(host: &str) -> String {
    const SHOWN_MAX_CHARACTERS: usize = 64;
    let is_plain =
        |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
    host.chars().filter(is_plain).take(SHOWN_MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn head(method: Method, path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[track_caller]
    fn check_status(method: Method, headers: &[(&str, &str)], expected: u16) {
        check_path(method, "/", headers, expected);
    }

    #[track_caller]
    fn check_path(method: Method, path: &str, headers: &[(&str, &str)], expected: u16) {
        let names = OwnNames::new(&["nas.example.com".to_owned()], "box.example.net");
        let checked = check(&head(method, path, headers), &names, &["https://panel.example.com".to_owned()]);
        let status = checked.map_or_else(|error| error.status.as_u16(), |()| 200);
        assert_eq!(status, expected, "{path} {headers:?}");
    }

    #[test]
    fn hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost:8080",
            "LOCALHOST",
            "x.localhost",
            "nas",
            "nas.local",
            "nas.local.",
            "Nas.Fritz.lan:1",
            "a.b.home.arpa",
            "a.internal",
            "box.example.net",
            "NAS.example.com:443",
            "nas:",
            "127.0.0.1:",
            "[::1]:",
            "",
        ] {
            check_status(Method::GET, &[("host", host)], 200);
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "nas.example.com.evil",
            "a.locale",
            "notnas.example.com",
            "evil.example:",
            "1.2.3.4.5",
            "999.1.1.1",
        ] {
            check_status(Method::GET, &[("host", host)], 421);
        }
        check_status(Method::GET, &[], 200);
        for host in ["user@nas", "user@nas:", "a b", "na/s", "nas:99999999", "nas::", "nas:8080:", "nas:x"] {
            check_status(Method::GET, &[("host", host)], 400);
        }
        check_status(Method::GET, &[("host", "nas"), ("host", "evil.example")], 400);
    }

    #[test]
    fn changes_and_what_asks_the_api_come_from_our_pages_or_from_no_page() {
        let host = ("host", "127.0.0.1:8080");
        for (headers, expected) in [
            (vec![], 200),
            (vec![("origin", "http://127.0.0.1:8080")], 200),
            (vec![("origin", "https://127.0.0.1:8080")], 200),
            (vec![("origin", "http://127.0.0.1:8081")], 403),
            (vec![("origin", "http://127.0.0.1")], 403),
            (vec![("origin", "http://evil.example")], 403),
            (vec![("origin", "https://panel.example.com")], 200),
            (vec![("origin", "https://panel.example.com.evil")], 403),
            (vec![("origin", "null")], 403),
            (vec![("origin", "")], 403),
            (vec![("origin", "file://127.0.0.1:8080")], 403),
            (vec![("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")], 403),
            (vec![("sec-fetch-site", "same-origin")], 200),
            (vec![("sec-fetch-site", "none")], 200),
            (vec![("sec-fetch-site", "cross-site")], 403),
            (vec![("sec-fetch-site", "same-site")], 403),
            (vec![("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")], 200),
            // Of the same host by another scheme: only the browser can tell.
            (vec![("origin", "https://127.0.0.1:8080"), ("sec-fetch-site", "cross-site")], 403),
            (vec![("origin", "https://panel.example.com"), ("sec-fetch-site", "cross-site")], 200),
            // A link, a picture, and a frame on a page elsewhere.
            (vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], 403),
            (vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], 403),
            (vec![("sec-fetch-site", "same-site"), ("sec-fetch-dest", "iframe")], 403),
        ] {
            let headers: Vec<_> = headers.into_iter().chain([host]).collect();
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                check_status(method, &headers, expected);
            }
            for method in [Method::GET, Method::HEAD] {
                check_path(method.clone(), "/api/v2/cloud_connectors", &headers, expected);
                for path in ["/", "/healthz", "/console/app.js"] {
                    check_path(method.clone(), path, &headers, 200);
                }
            }
            check_path(Method::OPTIONS, "/api/v2/cloud_connectors", &headers, 200);
        }
        // Behind a proxy that takes the TLS off, the host has no port.
        check_status(Method::POST, &[("host", "nas"), ("origin", "https://nas")], 200);
        check_status(Method::POST, &[("host", "nas"), ("origin", "https://nas:444")], 403);
        check_status(Method::POST, &[("host", "nas:443"), ("origin", "https://nas")], 200);
        check_status(Method::POST, &[("host", "nas:"), ("origin", "https://nas")], 200);
        check_status(Method::POST, &[("host", "nas:"), ("origin", "https://nas:444")], 403);
    }
}
