//! What has to hold for any query, any `Authorization` header, and any that asks for a coding or names a tag; see [`crate::fuzzing`].

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::StatusCode;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_NONE_MATCH};
use url::form_urlencoded;

use crate::api::auth::Sent;
use crate::api::constant::Wanted;
use crate::api::error::ApiError;
use crate::api::list_query::{CONNECTOR_LIST, parse_list};
use crate::api::reply::respond;
use crate::api::request::Query;
use crate::domain::fuzzing::sample_connectors;
use crate::domain::listing::{Attribute as _, ConnectorAttribute, FILTERS_MAX};
use crate::domain::violation::Violation;

const LIMIT_MAX: usize = 100;
/// A sentence to people is shorter, whatever was sent.
const MESSAGE_MAX_CHARACTERS: usize = 512;

/// A query of a list of connectors: refused with 422, or a list within the bounds; and it reads the same when it is
/// written anew.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let query = match Query::parse(Some(&text), CONNECTOR_LIST) {
        Ok(query) => query,
        Err(violations) => return check_refusal(violations),
    };
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(query.pairs()).finish();
    let again = Query::parse(Some(&written), CONNECTOR_LIST).expect("known parameters stay known");
    assert!(query.pairs().eq(again.pairs()), "{written}");
    let listed = match parse_list::<ConnectorAttribute>(&query, LIMIT_MAX) {
        Ok(listed) => listed,
        Err(violations) => return check_refusal(violations),
    };
    assert!(listed.filters.len() <= FILTERS_MAX && listed.order.len() <= ConnectorAttribute::ALL.len());
    assert!(listed.page.limit <= LIMIT_MAX);
    let connectors = sample_connectors();
    if let Ok((count, shown)) = listed.select(connectors.iter()) {
        let rest = count.saturating_sub(listed.page.offset);
        assert!(count <= connectors.len() && shown.len() == rest.min(listed.page.limit));
    }
}

fn check_refusal(violations: Vec<Violation>) {
    assert!(!violations.is_empty(), "a refusal says why");
    for violation in &violations {
        let message = violation.message();
        assert!(message.chars().count() <= MESSAGE_MAX_CHARACTERS, "{message}");
    }
    assert_eq!(respond(Err(ApiError::from(violations))).status(), StatusCode::UNPROCESSABLE_ENTITY);
}

/// An `Authorization` header: what is read of it is the same when it is sent in another spelling.
pub fn authorization(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let Ok(text) = value.to_str() else { return };
    match Sent::parse(text) {
        None => {}
        Some(Sent::Key(key)) => {
            let whole = key.secret().expose();
            assert!(text.contains(whole) && whole.contains(key.lookup()) && whole.ends_with(key.last_four()));
            for spelling in [whole.to_owned(), format!("Bearer {whole}"), format!("bEARER  {whole} ")] {
                let Some(Sent::Key(again)) = Sent::parse(&spelling) else { panic!("{spelling}") };
                assert!(again.secret().matches(key.secret()));
            }
        }
        Some(Sent::Password { user, password }) => {
            assert!(!user.contains(':'));
            let pair = format!("{user}:{}", password.expose());
            for encoded in [STANDARD.encode(&pair), STANDARD_NO_PAD.encode(&pair)] {
                let Some(Sent::Password { user: again, password: password_again }) =
                    Sent::parse(&format!("basic {encoded}"))
                else {
                    panic!("{encoded}")
                };
                assert!(again == user && password_again.matches(&password));
            }
        }
    }
}

/// An `Accept-Encoding` and an `If-None-Match`: whatever else is listed, gzip is not sent to who refuses it first, and a tag
/// that is listed too is found.
pub fn conditions(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut headers = HeaderMap::new();
    headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0"));
    headers.append(ACCEPT_ENCODING, value.clone());
    headers.append(IF_NONE_MATCH, value);
    assert!(!Wanted::read(&headers).takes_gzip());
    headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"ours\""));
    assert!(Wanted::read(&headers).has("\"ours\""));
}
