//! What a handler answers, and its one way into an HTTP response.

use std::io;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::api::auth::Caller;
use crate::api::browser;
use crate::api::error::ApiError;
use crate::api::request::Call;
use crate::unsent::Unsent;

/// A response with its body in memory.
pub type HttpResponse = Response<Full<Bytes>>;

/// A successful answer. Its body may hold secrets, so it has no `Debug`.
pub struct Reply {
    status: StatusCode,
    body: Option<Body>,
    /// Whether the memory of the body is counted already, or is not its own.
    is_counted: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

struct Body {
    media_type: &'static str,
    bytes: Bytes,
}

impl Body {
    fn json(bytes: Bytes) -> Self {
        Self { media_type: "application/json", bytes }
    }
}

impl Reply {
    /// JSON of bounded size that no cache may keep: it may hold secrets, and it changes.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Self { status, body: Some(to_json(body)), is_counted: false, headers }
    }

    /// The same for a list, which may be large: it has to find room before it takes memory.
    ///
    /// # Errors
    /// 503 where there is none at the moment, 422 where there never is for so much.
    pub fn list(caller: &Caller, call: &Call, body: &impl Serialize) -> Result<Self, ApiError> {
        let unsent = &call.app.unsent;
        let body = unsent
            .write(caller.id(), |growing| serde_json::to_writer(growing, body).map_err(io::Error::from))?;
        let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        // hyper keeps what it has not sent yet: the room comes back with its last byte.
        Ok(Self {
            status: StatusCode::OK,
            body: Some(Body::json(Bytes::from_owner(body))),
            is_counted: true,
            headers,
        })
    }

    /// Counts the body for as long as it is not sent.
    pub fn counted(mut self, unsent: &Arc<Unsent>) -> Self {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.body = self.body.map(|Body { media_type, bytes }| Body {
                media_type,
                bytes: Bytes::from_owner(unsent.count(bytes)),
            });
        }
        self
    }

    /// Something that is the same for everybody; how long caches keep it is said by whoever makes it.
    pub fn content(media_type: &'static str, bytes: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            body: Some(Body { media_type, bytes }),
            is_counted: true,
            headers: Vec::new(),
        }
    }

    /// 304.
    pub fn not_modified() -> Self {
        Self { status: StatusCode::NOT_MODIFIED, body: None, is_counted: true, headers: Vec::new() }
    }

    /// 204.
    pub fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, is_counted: true, headers: Vec::new() }
    }

    /// Says where the new resource is.
    pub fn located_at(self, path: &str) -> Self {
        self.with_header(LOCATION, path)
    }

    /// Adds a header, in place of one that every answer has; its value is ASCII.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, HeaderValue::from_str(value).expect("header values of ours are ASCII")));
        self
    }
}

fn to_json(body: &impl Serialize) -> Body {
    Body::json(serde_json::to_vec(body).expect("views have text keys and no failing parts").into())
}

/// Turns the outcome of a request into its response.
pub fn respond(outcome: Result<Reply, ApiError>) -> HttpResponse {
    let (status, body, headers) = match outcome {
        Ok(reply) => (reply.status, reply.body, reply.headers),
        Err(error) => (error.status, Some(to_json(&error.body)), error.headers),
    };
    let media_type = body.as_ref().map(|body| body.media_type);
    let mut response = Response::new(Full::new(body.map(|body| body.bytes).unwrap_or_default()));
    *response.status_mut() = status;
    let media_type = media_type.map(|media_type| (CONTENT_TYPE, HeaderValue::from_static(media_type)));
    // Two policies would both hold: one of the reply's own takes the place of the usual one.
    for (name, value) in browser::HEADERS.into_iter().chain(media_type).chain(headers) {
        response.headers_mut().insert(name, value);
    }
    response
}
