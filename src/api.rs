//! The REST API: one request from its head to its response, readable in [`handle`].

mod api_keys;
mod audit_events;
mod auth;
mod browser;
mod connection_tests;
mod connectors;
mod console;
mod constant;
mod document_rules;
mod error;
mod forwarded;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod list_query;
mod openapi;
mod reply;
mod request;
mod routes;
mod trail;
mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, EXPECT, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tracing::{error, info, warn};

use crate::app::App;
use crate::domain::client_address::ClientAddress;
use crate::random::random_uuid;
use constant::Wanted;
use error::ApiError;
pub use reply::HttpResponse;
use reply::{Reply, respond};
use request::{Body, Call, Query, Source};
use routes::{Access, Match, Route};

/// Longest request target (path and query), in bytes.
const TARGET_MAX_BYTES: usize = 8 * 1024;
/// Longest request id that is taken over from a client.
const REQUEST_ID_MAX_BYTES: usize = 128;
/// What is read at most of a body that was refused, and for how long.
const LINGER_MAX_BYTES: usize = 16 * 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(2);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the log line says besides what is in the response.
#[derive(Default)]
struct Outline {
    route: &'static str,
    caller: String,
}

/// Answers one request. Whatever happens, there is a response with a request id, and one log line.
pub async fn handle(app: Arc<App>, peer: ClientAddress, request: Request<Incoming>) -> HttpResponse {
    let request_id = request_id(request.headers());
    let request_timeout = app.config.limits.request_timeout;
    // A task of its own: hyper drops a handler whose client left, a spawned one finishes what it began. A panic ends
    // the task, not the connection.
    let answering = tokio::spawn({
        let request_id = request_id.clone();
        async move { answer_and_log(app, peer, request, &request_id).await }
    });
    match tokio::time::timeout(request_timeout, answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            error!(request_id, %panic, "a request panicked");
            finish(Err(ApiError::internal()), None, &request_id)
        }
        Err(_) => {
            warn!(request_id, "a request took longer than limits.request_timeout_secs and was answered 503");
            finish(Err(ApiError::request_too_slow()), None, &request_id)
        }
    }
}

/// Answers one request that came by http where https is spoken.
pub fn refuse_plain(request: Request<Incoming>) -> HttpResponse {
    let (head, incoming) = request.into_parts();
    linger(&head.headers, incoming);
    finish(Err(ApiError::needs_https()), None, &request_id(&head.headers))
}

async fn answer_and_log(
    app: Arc<App>,
    peer: ClientAddress,
    request: Request<Incoming>,
    request_id: &str,
) -> HttpResponse {
    let started = Instant::now();
    let origin = allowed_origin(&app, request.headers());
    let mut outline = Outline::default();
    let (head, incoming) = request.into_parts();
    let mut incoming = Some(incoming);
    let client = forwarded::client(peer, &head.headers, &app.config.limits.trusted_proxies);
    let source = Source { client, request_id: request_id.to_owned() };
    let outcome = answer(Arc::clone(&app), &head, &mut incoming, source, &mut outline).await;
    let outcome = outcome.map(|reply| reply.counted(&app.unsent));
    // A body that was too slow once will not be waited for again.
    let was_slow = outcome.as_ref().is_err_and(|error| error.status == StatusCode::REQUEST_TIMEOUT);
    if let Some(incoming) = incoming.filter(|_| !was_slow) {
        linger(&head.headers, incoming);
    }
    let response = finish(outcome, origin, request_id);
    info!(
        method = %shown_method(&head.method),
        route = outline.route,
        status = response.status().as_u16(),
        duration_ms = started.elapsed().as_micros() as f64 / 1000.0,
        caller = outline.caller,
        peer = %client,
        request_id,
        "request"
    );
    response
}

/// The method as it is logged: of those that are no standard the client says how long they are.
fn shown_method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::PATCH
        | Method::OPTIONS
        | Method::CONNECT
        | Method::TRACE => method.as_str(),
        _ => "other",
    }
}

fn finish(outcome: Result<Reply, ApiError>, origin: Option<HeaderValue>, request_id: &str) -> HttpResponse {
    let mut response = respond(outcome);
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(
        REQUEST_ID,
        HeaderValue::from_str(request_id).expect("checked, or made of hexadecimal digits"),
    );
    response
}

/// Reads on for a while what a refused client still sends, and drops it: a connection that is closed on unread bytes is
/// reset, and the client would never see why. One that waits for `100 Continue` sends nothing.
fn linger(headers: &HeaderMap, mut incoming: Incoming) {
    if incoming.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(async move {
        let drop_frames = async {
            let mut left_bytes = LINGER_MAX_BYTES;
            while let Some(Ok(frame)) = incoming.frame().await {
                left_bytes = left_bytes.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left_bytes == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_MAX, drop_frames).await;
    });
}

/// The answer; the body is taken out of `incoming` when it is read whole.
async fn answer(
    app: Arc<App>,
    head: &Parts,
    incoming: &mut Option<Incoming>,
    source: Source,
    outline: &mut Outline,
) -> Result<Reply, ApiError> {
    let target_bytes = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > TARGET_MAX_BYTES {
        return Err(ApiError::target_too_long(TARGET_MAX_BYTES));
    }
    browser::check(head, &app.own_names, &app.config.allowed_origins)?;
    let (route, path_parameter) = match routes::find(&head.method, head.uri.path()) {
        Match::Route(route, parameter) => (route, parameter),
        Match::OtherMethods(_) if is_preflight(&app, &head.method, &head.headers) => {
            return Ok(preflight_reply());
        }
        Match::OtherMethods(allowed) => return Err(ApiError::method_not_allowed(&allowed)),
        Match::None => return Err(ApiError::not_found("This address")),
    };
    outline.route = route.path;

    match &route.access {
        Access::Public(handler) => {
            handler(read_call(app, route, path_parameter, head, incoming, source).await?).await
        }
        Access::SignedIn(handler) => {
            let caller = auth::authenticate(&app, &head.headers, &source).await?;
            caller.label().clone_into(&mut outline.caller);
            handler(caller, read_call(app, route, path_parameter, head, incoming, source).await?).await
        }
        Access::Scoped(right, handler) => {
            let caller = auth::authenticate(&app, &head.headers, &source).await?;
            caller.label().clone_into(&mut outline.caller);
            let caller = caller.granted(*right)?;
            let call = read_call(app, route, path_parameter, head, incoming, source).await?;
            caller.check_still_granted(&call.app.store.snapshot())?;
            handler(caller, call).await
        }
    }
}

/// Reads what the handler needs; of a route that is not public only after the caller was let in.
async fn read_call(
    app: Arc<App>,
    route: &Route,
    path_parameter: &str,
    head: &Parts,
    incoming: &mut Option<Incoming>,
    source: Source,
) -> Result<Call, ApiError> {
    let query = Query::parse(head.uri.query(), route.query)?;
    let limits = &app.config.limits;
    let body = match incoming {
        Some(incoming) => Body::read(&head.headers, incoming, limits.body_bytes, limits.body_timeout).await?,
        None => Body::default(),
    };
    *incoming = None;
    let is_head = head.method == Method::HEAD;
    let wanted = Wanted::read(&head.headers);
    let reveals = query.reveals()?;
    Ok(Call { path_parameter: path_parameter.to_owned(), query, body, wanted, source, is_head, reveals, app })
}

/// The client's request id where it is harmless, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let is_harmless = |id: &&str| {
        (1..=REQUEST_ID_MAX_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(is_harmless);
    sent.map_or_else(random_uuid, str::to_owned)
}

/// The `Origin` of a page that the configuration lets call the API.
fn allowed_origin(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let is_allowed = app.config.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
    is_allowed.then(|| origin.clone())
}

fn is_preflight(app: &App, method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && allowed_origin(app, headers).is_some()
}

fn preflight_reply() -> Reply {
    Reply::empty()
        .with_header(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, PUT, DELETE")
        .with_header(ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, X-Request-Id")
        .with_header(ACCESS_CONTROL_MAX_AGE, "600")
}
