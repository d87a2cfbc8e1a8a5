//! The one shape of every error answer.

use hyper::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::credentials::Refused;
use crate::domain::listing::TooCostly;
use crate::domain::scope::Right;
use crate::domain::violation::{Reason, Violation, echo};
use crate::store::Unavailable;
use crate::turns::Busy;
use crate::unsent::NoRoom;

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong.
    pub body: ErrorBody,
    /// Headers that the status needs.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Error: sentences for people and the same for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// English sentences for people.
    messages: Vec<String>,
    /// Attribute name (or `base`) to what is wrong with it.
    details: BTreeMap<String, Vec<AttributeError>>,
}

/// What is wrong with one attribute.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttributeError {
    /// The rule that was broken, for example `blank` or `taken`.
    error: &'static str,
    /// The beginning of the value, where it is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The bound that was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let detail = AttributeError { error: code, value: None, count: None };
        let body = ErrorBody {
            messages: vec![message.into()],
            details: BTreeMap::from([("base".to_owned(), vec![detail])]),
        };
        Self { status, body, headers: Vec::new() }
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, HeaderValue::from_str(value).expect("header values of ours are ASCII")));
        self
    }

    /// 422 with every violation.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let messages = violations.iter().map(Violation::message).collect();
        let mut details: BTreeMap<String, Vec<AttributeError>> = BTreeMap::new();
        for violation in violations {
            let error = violation.code();
            let (value, count) = match violation.reason {
                Reason::Blank => (None, None),
                Reason::Taken(value) => (Some(echo(&value)), None),
                Reason::Invalid(value) => (value, None),
                Reason::TooLong(count) => (None, Some(count)),
                Reason::GreaterThanOrEqualTo { value, count }
                | Reason::LessThanOrEqualTo { value, count } => (Some(value), Some(count)),
            };
            details.entry(violation.attribute).or_default().push(AttributeError { error, value, count });
        }
        let body = ErrorBody { messages, details };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, body, headers: Vec::new() }
    }

    /// 404, naming what was looked for, for example `Cloud connector 'x'`.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} was not found"))
    }

    /// 405 with the methods that the address takes.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let allowed = allowed.join(", ");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", format!("This address takes only {allowed}"))
            .with_header(ALLOW, &allowed)
    }

    /// 401; a browser asks for user and password then.
    pub fn unauthorized() -> Self {
        let message = "Sign in with user and password, or send a valid API key";
        Self::new(StatusCode::UNAUTHORIZED, "invalid", message)
            .with_header(WWW_AUTHENTICATE, "Basic realm=\"connectord\", charset=\"UTF-8\"")
    }

    /// 429: there were too many failures before.
    pub fn too_many_failures(retry_after: Duration, is_of_claim: bool) -> Self {
        // Rounded up: at the named time there is room.
        let seconds = retry_after.as_millis().div_ceil(1000).max(1);
        let what =
            if is_of_claim { "with this name or API key from your address" } else { "from your address" };
        let message = format!("Too many failed sign-ins {what}; try again in {seconds} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "invalid", message)
            .with_header(RETRY_AFTER, &seconds.to_string())
    }

    /// 403, naming the missing right.
    pub fn lacks(right: Right) -> Self {
        let message = format!("API key lacks scope {} / {}", right.controller, right.action);
        Self::new(StatusCode::FORBIDDEN, "invalid", message)
    }

    /// 400 for a request that does not say clearly which host it is for.
    pub fn host_unclear() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid",
            "Send one Host header, with the name or address of this service",
        )
    }

    /// 421 for a host that this service does not go by (RFC 9110, section 15.5.20).
    pub fn other_host(host: &str) -> Self {
        let message = format!(
            "This service does not go by the name '{host}'. If it should, add the name to browser.allowed_hosts in its \
             configuration"
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, "invalid", message)
    }

    /// 403 for what a page of another site may not ask for.
    pub fn other_site() -> Self {
        let message = "A page of another site asked for this. If that site may, add its origin to \
                       browser.allowed_origins in the configuration";
        Self::new(StatusCode::FORBIDDEN, "invalid", message)
    }

    /// 400 for what is no JSON.
    pub fn malformed_json(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", format!("The body is not valid JSON: {reason}"))
    }

    /// 400 for http where https is spoken.
    pub fn needs_https() -> Self {
        let message = "This address speaks https: write https:// in place of http://";
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// 400 for a body that could not be read.
    pub fn body_broken() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", "The body broke off before its end")
    }

    /// 408 for a body that came too slowly.
    pub fn body_too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid", "The body did not arrive in time")
    }

    /// 413.
    pub fn body_too_large(limit_bytes: usize) -> Self {
        let message = format!("The body is larger than {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message)
    }

    /// 414.
    pub fn target_too_long(limit_bytes: usize) -> Self {
        let message = format!("The address is longer than {limit_bytes} bytes");
        Self::new(StatusCode::URI_TOO_LONG, "too_long", message)
    }

    /// 415.
    pub fn not_json() -> Self {
        let message = "Send the body as JSON, with the header Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", message)
    }

    /// 409: a literal `+` in an address stands for itself or for a space, and both names exist.
    pub fn ambiguous_name(names: &[(String, u64)]) -> Self {
        let named: Vec<String> = names.iter().map(|(name, id)| format!("'{name}' (id {id})")).collect();
        let message = format!(
            "The name fits {}: use the id, or send %2B for + and %20 for a space",
            named.join(" and ")
        );
        Self::new(StatusCode::CONFLICT, "taken", message)
    }

    /// 503 for now, with a plain reason.
    pub fn unavailable(reason: &str, retry_after_secs: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "invalid", reason)
            .with_header(RETRY_AFTER, &retry_after_secs.to_string())
    }

    /// 503 for a request that takes too long; it goes on, and may still do what it was to do.
    pub fn request_too_slow() -> Self {
        Self::unavailable("The request took too long; look whether it was done before you send it again", 5)
    }

    /// 500: a mistake of ours; the log says more under the request id.
    pub fn internal() -> Self {
        let message = "The service made a mistake; its log says more under the X-Request-Id of this answer";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "invalid", message)
    }
}

impl From<Vec<Violation>> for ApiError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::violations(violations)
    }
}

impl From<Violation> for ApiError {
    fn from(violation: Violation) -> Self {
        Self::violations(vec![violation])
    }
}

impl From<Unavailable> for ApiError {
    fn from(unavailable: Unavailable) -> Self {
        Self::unavailable(&unavailable.reason, 5)
    }
}

impl From<TooCostly> for ApiError {
    fn from(_: TooCostly) -> Self {
        let mut violation = Violation::new("base", Reason::Invalid(None));
        violation.advice = "its patterns take too long, use shorter ones or fewer %".to_owned();
        violation.into()
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wrong => Self::unauthorized(),
            Refused::Limited { retry_after, is_of_claim } => {
                Self::too_many_failures(retry_after, is_of_claim)
            }
            Refused::Busy => Busy.into(),
        }
    }
}

impl From<NoRoom> for ApiError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Now => Self::unavailable(
                "Answers that wait to be sent take all the memory that they may: read those that you asked for, ask for fewer \
                 items with limit and offset, or raise limits.unsent_bytes in the configuration",
                5,
            ),
            NoRoom::Ever(bytes) => {
                let message = format!(
                    "The answer would have more than {bytes} bytes: ask for fewer items with limit and offset, or raise \
                     limits.unsent_bytes in the configuration"
                );
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_long", message)
            }
        }
    }
}

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::unavailable("The service has too much to do at the moment", 2)
    }
}
