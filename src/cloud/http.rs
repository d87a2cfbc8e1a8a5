//! One bounded HTTP client for one test: no redirects, no answer over 4 MiB, nothing sent to a forbidden address.
//!
//! The connections are our own (`connect`, `proxy`, `tls`), so that a verdict knows at which step a request failed.

mod connect;
mod first_bytes;
mod outside;
mod proxy;
mod tls;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Method, Response, Uri};
use tokio::time::{Instant, timeout_at};
use url::Url;
use zeroize::Zeroizing;

use crate::cloud::place::Place;
use crate::cloud::{REQUESTS_AT_ONCE, verdict};
use crate::domain::verdict::Verdict;

use connect::Connection;
pub use connect::Peer;
pub use first_bytes::FirstBytes;
pub use outside::Outside;
pub use proxy::Proxy;
pub use tls::{CertificateChecks, SelfSigned};

/// A larger answer is refused while it is read. 4 MiB hold the names of tens of thousands of buckets.
const LIST_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The same for an answer that is no list.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// Longest wait for a connection to be ready for another request; else the next one opens its own.
const READY_MAX: Duration = Duration::from_millis(100);
/// Shorter texts are no secrets that an answer could give away: they are words.
const SECRET_MIN_BYTES: usize = 6;
/// Shorter texts are no part of a secret that an answer could give away: regions and hosts have such parts.
const SECRET_PART_MIN_BYTES: usize = 16;
/// Most signatures that are kept in mind: those of the requests under way, and more.
const SIGNATURES_KEPT: usize = 32;

/// How a test reaches its server.
pub struct Way {
    /// The proxy in between.
    pub proxy: Option<Proxy>,
    /// What of a certificate is checked.
    pub checks: CertificateChecks,
    /// Time until a request can be sent: look-up, connection, proxy and TLS together.
    pub connect_timeout: Duration,
    /// Longest time without a piece of an answer.
    pub answer_timeout: Duration,
    /// When everything has to be done.
    pub deadline: Instant,
}

/// A request.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to; the part before the path decides on the connection.
    pub url: Url,
    /// All headers but Host.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Where the address comes from.
    pub place: Place,
    /// Whether the answer is a list, which may be long.
    pub is_list: bool,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends the requests of one test, over as few connections as it can.
pub struct Client<'a> {
    outside: &'a Outside,
    way: Way,
    idle: Mutex<Vec<Connection>>,
    /// What was sent and must not be shown where a server sends it back.
    sent_secrets: Mutex<Vec<Zeroizing<String>>>,
    /// The same of signatures, which are many and good for one request each.
    sent_signatures: Mutex<VecDeque<String>>,
}

/// Why an exchange over a connection failed.
enum Broken {
    /// Before a byte of the answer came: over a connection that was used before, the request can be sent again.
    Unanswered(Verdict),
    /// Later.
    Answered(Verdict),
}

impl Request {
    /// A request without a body, for an answer that is no list.
    pub fn new(method: Method, url: Url, headers: HeaderMap, place: Place) -> Self {
        Self { method, url, headers, body: Bytes::new(), place, is_list: false }
    }

    /// The same for an answer that is a list.
    pub fn for_list(self) -> Self {
        Self { is_list: true, ..self }
    }
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the server's clock said when it answered (RFC 9110, section 6.6.1).
    pub fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header("date")?).ok()
    }

    /// Where a redirect points to.
    pub fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// The body, as far as it is text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body)
            .or_else(|error| std::str::from_utf8(&self.body[..error.valid_up_to()]))
            .unwrap_or_default()
    }
}

impl<'a> Client<'a> {
    /// Without a connection yet.
    pub fn new(outside: &'a Outside, way: Way) -> Self {
        let client = Self {
            outside,
            way,
            idle: Mutex::default(),
            sent_secrets: Mutex::default(),
            sent_signatures: Mutex::default(),
        };
        for secret in client.way.proxy.iter().flat_map(Proxy::secrets) {
            client.remember_secret(&secret);
        }
        client
    }

    /// Sends a request and reads its answer. A redirect is an answer like any other.
    ///
    /// # Errors
    /// A verdict on what kept the answer from coming.
    pub async fn send(&self, request: Request) -> Result<Answer, Verdict> {
        if let Some(mut connection) = self.take_idle(&request.url) {
            match self.exchange(&mut connection, &request).await {
                Ok(answer) => return self.finish(connection, &request, answer).await,
                // Closed while it was idle, most likely: once more, over a new one.
                Err(Broken::Unanswered(_)) => {}
                Err(Broken::Answered(verdict)) => return Err(verdict),
            }
        }
        let mut connection = self.connect(&request.url, request.place).await?;
        match self.exchange(&mut connection, &request).await {
            Ok(answer) => self.finish(connection, &request, answer).await,
            Err(Broken::Unanswered(verdict) | Broken::Answered(verdict)) => Err(verdict),
        }
    }

    /// Keeps the connection, and looks for answers that are not the server's own.
    async fn finish(
        &self,
        connection: Connection,
        request: &Request,
        answer: Answer,
    ) -> Result<Answer, Verdict> {
        self.keep(connection).await;
        if let Some(proxy) = self.way.proxy.as_ref().filter(|proxy| proxy.forwards(&request.url)) {
            verdict::check_forwarded(&answer, proxy, &self.peer(&request.url, request.place))?;
        }
        verdict::check_scheme(&request.url, &answer, request.place)?;
        Ok(answer)
    }

    /// Whether a proxy reads requests to this address and sends them on.
    pub fn is_forwarded(&self, url: &Url) -> bool {
        self.way.proxy.as_ref().is_some_and(|proxy| proxy.forwards(url))
    }

    /// Whether the address is one that no test may reach, as far as it can be told without a look-up.
    pub fn forbids(&self, url: &Url) -> bool {
        self.outside.forbids_host(url, url.port_or_known_default().unwrap_or_default())
    }

    /// Keeps in mind a secret that was sent, or is about to be.
    pub fn remember_secret(&self, secret: &str) {
        if secret.len() >= SECRET_MIN_BYTES {
            let mut secrets = self.sent_secrets.lock().unwrap_or_else(PoisonError::into_inner);
            secrets.push(Zeroizing::new(secret.to_ascii_lowercase()));
        }
    }

    /// Keeps a signature in mind while its request is under way.
    pub fn remember_signature(&self, signature: &str) {
        let mut signatures = self.sent_signatures.lock().unwrap_or_else(PoisonError::into_inner);
        signatures.push_back(signature.to_ascii_lowercase());
        if signatures.len() > SIGNATURES_KEPT {
            signatures.pop_front();
        }
    }

    /// Whether a text has a secret in it that was sent, or is a large part of one. Letters may have changed their case on
    /// the way, as those of a host name do.
    pub fn has_sent(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let gives_away = |secret: &str| {
            text.contains(secret) || (text.len() >= SECRET_PART_MIN_BYTES && secret.contains(text.as_str()))
        };
        let secrets = self.sent_secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let signatures = self.sent_signatures.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().any(|secret| gives_away(secret))
            || signatures.iter().any(|signature| gives_away(signature))
    }

    /// The same for a host name, whose labels may each be a secret.
    pub fn has_sent_host(&self, host: &str) -> bool {
        self.has_sent(host) || host.split('.').any(|label| self.has_sent(label))
    }

    async fn exchange(&self, connection: &mut Connection, request: &Request) -> Result<Answer, Broken> {
        let peer = self.peer(&request.url, request.place);
        let message = self.message(connection, request).map_err(Broken::Answered)?;
        let began = Instant::now();
        match timeout_at(self.answer_until(), connection.sender().send_request(message)).await {
            Ok(Ok(response)) => self.read(response, request, &peer).await.map_err(Broken::Answered),
            Ok(Err(error)) => {
                let broken = verdict::exchange_broken(&error, &peer, connection.first_bytes());
                Err(Broken::Unanswered(broken))
            }
            Err(_) => Err(Broken::Answered(verdict::answer_timed_out(&peer, began.elapsed()))),
        }
    }

    async fn read(
        &self,
        response: Response<Incoming>,
        request: &Request,
        peer: &Peer<'_>,
    ) -> Result<Answer, Verdict> {
        let limit_bytes = if request.is_list { LIST_MAX_BYTES } else { ANSWER_MAX_BYTES };
        let began = Instant::now();
        let (parts, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        loop {
            let frame = timeout_at(self.answer_until(), incoming.frame()).await;
            let frame = frame.map_err(|_| verdict::answer_timed_out(peer, began.elapsed()))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| verdict::answer_cut_off(peer))?;
            let Ok(data) = frame.into_data() else { continue };
            if body.len() + data.len() > limit_bytes {
                return Err(verdict::answer_too_large(peer, limit_bytes));
            }
            body.extend_from_slice(&data);
        }
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    fn message(
        &self,
        connection: &Connection,
        request: &Request,
    ) -> Result<hyper::Request<Full<Bytes>>, Verdict> {
        let unusable = || verdict::url_invalid(request.place);
        let url = &request.url;
        // A proxy that forwards is told the whole address (RFC 9112, section 3.2.2).
        let target = if connection.is_forwarded() { url.as_str() } else { &url[url::Position::BeforePath..] };
        let target: Uri = target.parse().map_err(|_| unusable())?;
        let mut message = hyper::Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = target;
        *message.headers_mut() = request.headers.clone();
        let headers = message.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&host_header(url)).map_err(|_| unusable())?);
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("connectord/", env!("CARGO_PKG_VERSION"))));
        let proxy = self.way.proxy.as_ref().filter(|_| connection.is_forwarded());
        if let Some(authorization) = proxy.and_then(Proxy::authorization) {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        Ok(message)
    }

    /// Keeps a connection for the next request, where the server leaves it open.
    async fn keep(&self, mut connection: Connection) {
        let ready = tokio::time::timeout(READY_MAX, connection.sender().ready()).await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(ready, Ok(Ok(()))) && idle.len() < REQUESTS_AT_ONCE {
            idle.push(connection);
        }
    }

    fn take_idle(&self, url: &Url) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        let at = idle.iter().position(|connection| connection.leads_to(url) && connection.is_ready())?;
        Some(idle.swap_remove(at))
    }

    fn peer<'p>(&self, url: &'p Url, place: Place) -> Peer<'p> {
        Peer::server(url, place, self.way.proxy.as_ref())
    }

    fn answer_until(&self) -> Instant {
        self.way.deadline.min(Instant::now() + self.way.answer_timeout)
    }
}

/// The Host header: the port only where it is not the scheme's own.
pub fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An address with these parameters; a space is sent as `%20`, which every server reads.
pub fn with_query(address: &Url, parameters: &[(&str, &str)]) -> Url {
    let mut url = address.clone();
    if !parameters.is_empty() {
        url.query_pairs_mut().clear().extend_pairs(parameters);
    }
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    url
}
