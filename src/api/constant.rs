//! Answers that are the same for everybody until the program changes: compressed once, and sent only to a client that has
//! not got them yet.
//!
//! Sources: RFC 9110, sections 8.8.3 (entity tags), 12.5.3 (`Accept-Encoding`), 13.1.2 (`If-None-Match`).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, VARY,
};
use sha2::{Digest as _, Sha256};

use crate::api::reply::Reply;

/// Bytes of the digest that an entity tag shows.
const ENTITY_TAG_BYTES: usize = 16;

/// Something constant, as it is and compressed.
pub struct Constant {
    media_type: &'static str,
    plain: Coded,
    gzip: Coded,
}

/// The bytes of one coding. Each has a tag of its own: a strong one stands for exactly these bytes.
struct Coded {
    bytes: Bytes,
    entity_tag: String,
}

/// What a client can read, and what it has already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    takes_gzip: bool,
    has: Has,
}

/// What an `If-None-Match` names.
#[derive(Debug, Default, PartialEq, Eq)]
enum Has {
    #[default]
    Nothing,
    Anything,
    /// Entity tags with their quotes, without `W/`: whether they were weak does not count here.
    Tags(Vec<String>),
}

impl Constant {
    /// Compresses the content as well as can be: it is done once.
    pub fn new(media_type: &'static str, content: Bytes) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&content).and_then(|()| encoder.finish());
        let compressed = compressed.expect("memory takes every byte").into_boxed_slice();
        Self { media_type, plain: Coded::new(content), gzip: Coded::new(Bytes::from(compressed)) }
    }

    /// The answer: in the coding that the client takes, or that it has it already.
    pub fn reply(&self, wanted: &Wanted) -> Reply {
        let coded = if wanted.takes_gzip() { &self.gzip } else { &self.plain };
        if wanted.has(&coded.entity_tag) {
            return coded.labelled(Reply::not_modified());
        }
        let reply = coded.labelled(Reply::content(self.media_type, coded.bytes.clone()));
        if wanted.takes_gzip() { reply.with_header(CONTENT_ENCODING, "gzip") } else { reply }
    }
}

impl Coded {
    fn new(bytes: Bytes) -> Self {
        let digest = Sha256::digest(&bytes);
        let entity_tag = format!("\"{}\"", hex::encode(&digest[..ENTITY_TAG_BYTES]));
        Self { bytes, entity_tag }
    }

    /// Kept by the browser, and asked about each time: a new program is seen at once, and not-modified costs nothing.
    fn labelled(&self, reply: Reply) -> Reply {
        reply
            .with_header(CACHE_CONTROL, "no-cache")
            .with_header(VARY, "Accept-Encoding")
            .with_header(ETAG, &self.entity_tag)
    }
}

impl Wanted {
    /// Reads what the client says; what is not understood is as if it were not sent.
    pub fn read(headers: &HeaderMap) -> Self {
        let accepted = joined(headers, ACCEPT_ENCODING);
        let has = joined(headers, IF_NONE_MATCH);
        Self {
            takes_gzip: accepted.is_some_and(|text| takes_gzip(&text)),
            has: has.map_or(Has::Nothing, |text| Has::parse(&text)),
        }
    }

    /// Whether it takes gzip.
    pub fn takes_gzip(&self) -> bool {
        self.takes_gzip
    }

    /// Whether it has the content with this tag already.
    pub fn has(&self, entity_tag: &str) -> bool {
        match &self.has {
            Has::Nothing => false,
            Has::Anything => true,
            Has::Tags(tags) => tags.iter().any(|tag| tag == entity_tag),
        }
    }
}

impl Has {
    /// Commas may be part of a tag, but of none of ours: what is cut there by mistake is equal to none.
    fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Has::Anything;
        }
        let tags = text.split(',').map(str::trim).map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
        Has::Tags(tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
    }
}

/// Whether gzip is allowed, and not liked less than no coding at all.
fn takes_gzip(accepted: &str) -> bool {
    let weight_of = |wanted: &str| {
        let items = accepted.split(',').map(|item| item.split_once(';').unwrap_or((item, "")));
        let mut found = items.filter(|(coding, _)| coding.trim().eq_ignore_ascii_case(wanted));
        found.next().map(|(_, parameters)| thousandths(parameters).unwrap_or(0))
    };
    let gzip = weight_of("gzip").or_else(|| weight_of("*")).unwrap_or(0);
    gzip > 0 && gzip >= weight_of("identity").unwrap_or(0)
}

/// The weight of `q=…`, 1 where there is none; `None` where it is malformed.
fn thousandths(parameters: &str) -> Option<u32> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1000);
    }
    let (name, value) = parameters.split_once('=')?;
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !name.trim().eq_ignore_ascii_case("q") || !matches!(whole, "0" | "1") || !is_number {
        return None;
    }
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

/// All headers of a name as the one list that they stand for.
fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_codings() {
        for (accepted, expected) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP ; Q=0.8, *;q=0.1", true),
            ("*", true),
            ("*;q=0.001", true),
            ("identity, gzip", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("gzip;q=1.000", true),
            ("deflate, *;q=0, gzip", true),
            ("identity;q=0, *", true),
            ("", false),
            ("identity", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("gzip;q=", false),
            ("gzip;q=2", false),
            ("gzip;q=1.001", false),
            ("gzip;q=0.1234", false),
            ("gzip;q=-1", false),
            ("gzip;level=9", false),
            ("gzipped", false),
            (",;,=;q", false),
        ] {
            assert_eq!(takes_gzip(accepted), expected, "{accepted}");
        }
    }

    #[test]
    fn what_a_client_has() {
        let wanted = |text: &str| Wanted { takes_gzip: false, has: Has::parse(text) };
        for (text, expected) in [
            ("\"a1\"", true),
            ("W/\"a1\"", true),
            (" \"b2\" , W/\"c\",\"a1\"", true),
            ("\"with, a comma\",\"a1\"", true),
            ("*", true),
            (" * ", true),
            ("", false),
            ("a1", false),
            ("\"a1", false),
            ("\"A1\"", false),
            ("w/\"a1\"", false),
            ("\"a1\"x", false),
            ("\"b2\"", false),
            ("\"*\"", false),
            ("\"b2\", *", false),
        ] {
            assert_eq!(wanted(text).has("\"a1\""), expected, "{text}");
        }
        assert!(!Wanted::default().has("\"a1\""));
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (ACCEPT_ENCODING, "br"),
            (ACCEPT_ENCODING, "gzip;q=0.5"),
            (IF_NONE_MATCH, "\"a\""),
            (IF_NONE_MATCH, "W/\"b\""),
        ] {
            headers.append(name, value.parse().expect("a header value"));
        }
        let has = Has::Tags(vec!["\"a\"".to_owned(), "\"b\"".to_owned()]);
        assert_eq!(Wanted::read(&headers), Wanted { takes_gzip: true, has });
        assert_eq!(Wanted::read(&HeaderMap::new()), Wanted::default());
    }
}
