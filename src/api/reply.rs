//! What a handler answers, and its one way into an HTTP response.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::api::browser;
use crate::api::error::ApiError;

/// A response with its body in memory.
pub type HttpResponse = Response<Full<Bytes>>;

/// A successful answer. Its body may hold secrets, so it has no `Debug`.
pub struct Reply {
    status: StatusCode,
    body: Option<Bytes>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// JSON that no cache may keep: it may hold secrets, and it changes.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Self { status, body: Some(to_json(body)), headers }
    }

    /// JSON that is the same for everybody until the program changes.
    pub fn document(body: Bytes) -> Self {
        let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
        Self { status: StatusCode::OK, body: Some(body), headers }
    }

    /// 204.
    pub fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() }
    }

    /// Says where the new resource is.
    pub fn located_at(self, path: &str) -> Self {
        self.with_header(LOCATION, path)
    }

    /// Adds a header; its value is ASCII.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, HeaderValue::from_str(value).expect("header values of ours are ASCII")));
        self
    }
}

fn to_json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("views have text keys and no failing parts").into()
}

/// Turns the outcome of a request into its response.
pub fn respond(outcome: Result<Reply, ApiError>) -> HttpResponse {
    let (status, body, headers) = match outcome {
        Ok(reply) => (reply.status, reply.body, reply.headers),
        Err(error) => (error.status, Some(to_json(&error.body)), error.headers),
    };
    let mut response = Response::new(Full::new(body.clone().unwrap_or_default()));
    *response.status_mut() = status;
    if body.is_some() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response.headers_mut().extend(browser::HEADERS);
    response.headers_mut().extend(headers);
    response
}
