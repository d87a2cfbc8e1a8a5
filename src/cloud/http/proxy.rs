//! Proxies: `http` and `https` ones forward or open a tunnel (RFC 9110, section 9.3.6), `socks5` ones connect (RFC 1928).

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Uri};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio_socks::tcp::Socks5Stream;
use url::Url;
use zeroize::Zeroizing;

use crate::cloud::http::connect::{Peer, Stream};
use crate::cloud::place::Place;
use crate::cloud::verdict;
use crate::domain::endpoint;
use crate::domain::secret::Secret;
use crate::domain::verdict::Verdict;

/// The port of a SOCKS proxy that names none (RFC 1928).
const SOCKS_PORT: u16 = 1080;

/// A proxy in force.
pub struct Proxy {
    /// Without user and password.
    url: Url,
    credentials: Option<(Secret, Secret)>,
    place: Place,
}

/// What a SOCKS proxy is asked for.
pub enum SocksTarget {
    /// An address that was looked up here.
    Address(SocketAddr),
    /// A name that the proxy has to look up.
    Name(String, u16),
}

impl Proxy {
    /// From a URL that was checked, with user and password in it or not.
    pub fn new(url: &Url, place: Place) -> Self {
        let decode = |text: &str| Secret::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let credentials =
            has_credentials.then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
        let mut url = url.clone();
        // Neither fails for the schemes that were accepted.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self { url, credentials, place }
    }

    /// From the environment's variables; `None` where they name none that can be used.
    pub fn from_environment(intercepted: &Intercept, place: Place) -> Option<Self> {
        let uri = intercepted.uri();
        // "socks5h" differs in who looks names up, which is settled elsewhere.
        let scheme = uri.scheme_str()?.replace("socks5h", "socks5");
        let url = endpoint::parse_proxy(&format!("{scheme}://{}", uri.authority()?)).ok()?;
        let mut proxy = Self::new(&url, place);
        if let Some((user, password)) = intercepted.raw_auth() {
            proxy.credentials = Some((Secret::new(user.to_owned()), Secret::new(password.to_owned())));
        } else if let Some(basic) = intercepted.basic_auth() {
            let decoded = STANDARD.decode(basic.to_str().ok()?.strip_prefix("Basic ")?).ok()?;
            let decoded = Zeroizing::new(String::from_utf8(decoded).ok()?);
            let (user, password) = decoded.split_once(':')?;
            proxy.credentials = Some((Secret::new(user.to_owned()), Secret::new(password.to_owned())));
        }
        Some(proxy)
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The proxy itself, as the one who is talked to.
    pub fn peer(&self) -> Peer<'_> {
        let port = self.url.port_or_known_default().unwrap_or(SOCKS_PORT);
        let host = self.url.host_str().unwrap_or_default();
        Peer { is_proxy: true, is_behind_proxy: false, host, port, place: self.place }
    }

    /// Whether the proxy reads requests to this address and sends them on, as HTTP proxies do without encryption.
    pub fn forwards(&self, url: &Url) -> bool {
        url.scheme() == "http" && self.url.scheme() != "socks5"
    }

    /// Whether user and password, where there are any, can be sent: SOCKS takes 1 to 255 bytes of each (RFC 1929).
    pub fn has_usable_credentials(&self) -> bool {
        let is_usable = |text: &Secret| (1..=255).contains(&text.expose().len());
        let are_usable = |(user, password): &(Secret, Secret)| is_usable(user) && is_usable(password);
        self.url.scheme() != "socks5" || self.credentials.as_ref().is_none_or(are_usable)
    }

    pub fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// What the proxy is sent and might send back.
    pub fn secrets(&self) -> Vec<Zeroizing<String>> {
        let password =
            self.credentials.as_ref().map(|(_, password)| Zeroizing::new(password.expose().to_owned()));
        password.into_iter().chain(self.encoded_credentials()).collect()
    }

    fn encoded_credentials(&self) -> Option<Zeroizing<String>> {
        let (user, password) = self.credentials.as_ref()?;
        let pair = Zeroizing::new(format!("{}:{}", user.expose(), password.expose()));
        Some(Zeroizing::new(STANDARD.encode(pair.as_bytes())))
    }

    /// The header with user and password (RFC 7617).
    pub fn authorization(&self) -> Option<HeaderValue> {
        let value = Zeroizing::new(format!("Basic {}", self.encoded_credentials()?.as_str()));
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Asks an HTTP proxy for a tunnel to the server.
pub async fn open_tunnel(
    proxy: &Proxy,
    stream: Box<dyn Stream>,
    peer: &Peer<'_>,
) -> Result<Box<dyn Stream>, Verdict> {
    let not_a_proxy = || verdict::not_a_proxy(&proxy.peer());
    let authority = format!("{}:{}", peer.host, peer.port);
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(|_| not_a_proxy())?;
    let connection = tokio::spawn(connection.with_upgrades());
    let abort = AbortOnDrop(connection.abort_handle());
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse::<Uri>().map_err(|_| verdict::url_invalid(peer.place))?;
    let host = HeaderValue::from_str(&authority).map_err(|_| verdict::url_invalid(peer.place))?;
    request.headers_mut().insert(HOST, host);
    if let Some(authorization) = proxy.authorization() {
        request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
    }
    let response = sender.send_request(request).await.map_err(|_| not_a_proxy())?;
    if !response.status().is_success() {
        return Err(verdict::tunnel_refused(response.status().as_u16(), proxy, peer));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|_| not_a_proxy())?;
    drop(abort);
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// Asks a SOCKS proxy for a connection to the server.
pub async fn open_socks(
    proxy: &Proxy,
    stream: Box<dyn Stream>,
    target: SocksTarget,
    peer: &Peer<'_>,
) -> Result<Box<dyn Stream>, Verdict> {
    let credentials = proxy.credentials.as_ref().map(|(user, password)| (user.expose(), password.expose()));
    let opened = match (target, credentials) {
        (SocksTarget::Address(address), None) => Socks5Stream::connect_with_socket(stream, address).await,
        (SocksTarget::Address(address), Some((user, password))) => {
            Socks5Stream::connect_with_password_and_socket(stream, address, user, password).await
        }
        (SocksTarget::Name(name, port), None) => {
            Socks5Stream::connect_with_socket(stream, (name.as_str(), port)).await
        }
        (SocksTarget::Name(name, port), Some((user, password))) => {
            Socks5Stream::connect_with_password_and_socket(stream, (name.as_str(), port), user, password)
                .await
        }
    };
    match opened {
        Ok(stream) => Ok(Box::new(stream.into_inner())),
        Err(error) => Err(verdict::socks_failed(&error, proxy, peer)),
    }
}

/// Ends the task of a tunnel that was not opened.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
