//! Opens a connection step by step: look-up, connection, proxy, TLS, HTTP; a failure belongs to its step.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::cloud::http::first_bytes::FirstBytes;
use crate::cloud::http::proxy::{self, Proxy};
use crate::cloud::http::{CertificateChecks, Client};
use crate::cloud::place::Place;
use crate::cloud::verdict;
use crate::domain::address;
use crate::domain::verdict::Verdict;

/// Most bytes of the head of an answer.
const ANSWER_HEAD_MAX_BYTES: usize = 64 * 1024;
/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Whom a step talks to, for saying so.
#[derive(Debug, Clone)]
pub struct Peer<'a> {
    /// The proxy itself, or the server.
    pub is_proxy: bool,
    /// Whether a proxy stands between.
    pub is_behind_proxy: bool,
    /// The name or address.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// Where the address comes from.
    pub place: Place,
}

impl<'a> Peer<'a> {
    /// The server of an address, maybe behind a proxy.
    pub fn server(url: &'a Url, place: Place, proxy: Option<&Proxy>) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Self { is_proxy: false, is_behind_proxy: proxy.is_some(), host, port, place }
    }
}

/// A stream of bytes, whatever it goes through.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection that speaks HTTP/1; it ends when it is dropped.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    first_bytes: FirstBytes,
    is_forwarded: bool,
    origin: String,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    pub fn sender(&mut self) -> &mut SendRequest<Full<Bytes>> {
        &mut self.sender
    }

    /// What the server's first bytes were.
    pub fn first_bytes(&self) -> &FirstBytes {
        &self.first_bytes
    }

    /// Whether a proxy reads the requests, and sends them on.
    pub fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub fn leads_to(&self, url: &Url) -> bool {
        self.origin == origin(url)
    }
}

impl Client<'_> {
    /// Opens a connection for requests to this address.
    ///
    /// # Errors
    /// A verdict on the step that failed.
    pub(super) async fn connect(&self, url: &Url, place: Place) -> Result<Connection, Verdict> {
        let peer = self.peer(url, place);
        if self.outside.forbids_host(url, peer.port) {
            return Err(verdict::address_forbidden(&peer));
        }
        let until = self.way.deadline.min(Instant::now() + self.way.connect_timeout);
        let (stream, is_forwarded) = match &self.way.proxy {
            None => (Box::new(self.dial(&peer, until).await?) as Box<dyn Stream>, false),
            Some(proxy) => (self.through(proxy, url, &peer, until).await?, proxy.forwards(url)),
        };
        let stream = match url.scheme() {
            "https" => self.encrypt(stream, &peer, self.way.checks, until).await?,
            _ => stream,
        };
        let (stream, first_bytes) = FirstBytes::watch(stream);
        let handshake = http1::Builder::new()
            .max_buf_size(ANSWER_HEAD_MAX_BYTES)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream));
        let (sender, connection) =
            handshake.await.map_err(|error| verdict::exchange_broken(&error, &peer, &first_bytes))?;
        let task = tokio::spawn(async move {
            // How it ended is told to who sent a request.
            let _ = connection.await;
        });
        Ok(Connection { sender, first_bytes, is_forwarded, origin: origin(url), task: task.abort_handle() })
    }

    /// A connection to the proxy, and through it to the server where the proxy does not forward.
    async fn through(
        &self,
        proxy: &Proxy,
        url: &Url,
        peer: &Peer<'_>,
        until: Instant,
    ) -> Result<Box<dyn Stream>, Verdict> {
        let proxy_peer = proxy.peer();
        if self.outside.forbids_host(proxy.url(), proxy_peer.port) {
            return Err(verdict::address_forbidden(&proxy_peer));
        }
        let stream: Box<dyn Stream> = Box::new(self.dial(&proxy_peer, until).await?);
        let stream = match proxy.url().scheme() {
            // The exceptions of the mount options are for the server, not for its proxy.
            "https" => self.encrypt(stream, &proxy_peer, CertificateChecks::All, until).await?,
            _ => stream,
        };
        let opened = async {
            if proxy.url().scheme() == "socks5" {
                let target = self.socks_target(url, peer, until).await?;
                proxy::open_socks(proxy, stream, target, peer).await
            } else if proxy.forwards(url) {
                Ok(stream)
            } else {
                proxy::open_tunnel(proxy, stream, peer).await
            }
        };
        let timed_out = |_| verdict::proxy_timed_out(proxy, peer, self.way.connect_timeout);
        timeout_at(until, opened).await.map_err(timed_out)?
    }

    /// As curl does with `socks5`, names are looked up here; where that finds none, or takes half of the time, the proxy
    /// is given the name.
    async fn socks_target(
        &self,
        url: &Url,
        peer: &Peer<'_>,
        until: Instant,
    ) -> Result<proxy::SocksTarget, Verdict> {
        let half = until.saturating_duration_since(Instant::now()) / 2;
        let found = match address::literal(url) {
            Some(address) => vec![address],
            None => match timeout(half, self.outside.look_up(peer.host)).await {
                Ok(found) => found.unwrap_or_default(),
                Err(_) => Vec::new(),
            },
        };
        if found.iter().any(|address| self.outside.forbids(*address, peer.port)) {
            return Err(verdict::address_forbidden(peer));
        }
        Ok(match found.first() {
            Some(address) => proxy::SocksTarget::Address(SocketAddr::new(*address, peer.port)),
            None => proxy::SocksTarget::Name(peer.host.to_owned(), peer.port),
        })
    }

    /// Looks the name up, checks every address, and connects to the first that answers.
    async fn dial(&self, peer: &Peer<'_>, until: Instant) -> Result<TcpStream, Verdict> {
        let began = Instant::now();
        let found = match host_address(peer.host) {
            Some(address) => vec![address],
            None => timeout_at(until, self.outside.look_up(peer.host))
                .await
                .map_err(|_| verdict::name_lookup_timed_out(peer, until - began))?
                .map_err(|_| verdict::name_not_found(peer))?,
        };
        if found.iter().any(|address| self.outside.forbids(*address, peer.port)) {
            return Err(verdict::address_forbidden(peer));
        }
        let mut failed = verdict::name_not_found(peer);
        let tried = found.len().min(ADDRESSES_MAX);
        for (at, address) in found.into_iter().take(tried).enumerate() {
            // What is left of the time is shared by the addresses that are left.
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / u32::try_from(tried - at).unwrap_or(1);
            match timeout_at(now + share, TcpStream::connect((address, peer.port))).await {
                Ok(Ok(stream)) => {
                    // Requests are written at once: waiting to fill packets only costs time.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                    failed = verdict::connect_timed_out(peer, now.elapsed());
                }
                Ok(Err(error)) => failed = verdict::connect_failed(peer, &error),
                Err(_) => failed = verdict::connect_timed_out(peer, until - began),
            }
        }
        Err(failed)
    }

    async fn encrypt(
        &self,
        stream: Box<dyn Stream>,
        peer: &Peer<'_>,
        checks: CertificateChecks,
        until: Instant,
    ) -> Result<Box<dyn Stream>, Verdict> {
        let name = match host_address(peer.host) {
            Some(address) => ServerName::from(address),
            None => ServerName::try_from(peer.host.trim_end_matches('.').to_owned())
                .map_err(|_| verdict::url_invalid(peer.place))?,
        };
        let (stream, first_bytes) = FirstBytes::watch(stream);
        let connector = TlsConnector::from(self.outside.trust.config(checks));
        match timeout_at(until, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(verdict::tls_failed(&error, peer, &first_bytes)),
            Err(_) => Err(verdict::tls_timed_out(peer, self.way.connect_timeout)),
        }
    }
}

/// The host of a URL as an address; IPv6 stands in brackets there.
fn host_address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
