//! What all tests share on their way out: trusted certificates, name look-ups, addresses that none may reach.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::cloud::http::proxy::Proxy;
use crate::cloud::http::tls::Trust;
use crate::cloud::place::Place;
use crate::config::CloudConfig;
use crate::domain::address;

/// Name look-ups at once. One that nobody waits for any more goes on until the system gives up, which takes up to half a
/// minute: eight tests at once, each waiting a second, fill no more than these.
const LOOKUPS_AT_ONCE: usize = 256;

/// What all tests share on their way out.
pub struct Outside {
    pub(super) trust: Trust,
    own_listener: SocketAddr,
    lookups: Arc<Semaphore>,
    environment_proxy: Option<Matcher>,
}

impl Outside {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// What is wrong with the file of certificates.
    pub fn new(config: &CloudConfig, own_listener: SocketAddr) -> Result<Self, String> {
        Ok(Self {
            trust: Trust::new(config.ca_file.as_deref())?,
            own_listener,
            lookups: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
            environment_proxy: config.proxy_from_environment.then(Matcher::from_env),
        })
    }

    /// The proxy that the environment names for this address, where the configuration says that it counts; `Some(None)`
    /// where it names one that cannot be used.
    pub fn environment_proxy(&self, url: &Url, place: Place) -> Option<Option<Proxy>> {
        let target = url.as_str().parse().ok()?;
        let intercepted = self.environment_proxy.as_ref()?.intercept(&target)?;
        Some(Proxy::from_environment(&intercepted, place))
    }

    /// Whether a test must not go there: an address that none may reach, or the service itself.
    pub fn forbids(&self, address: IpAddr, port: u16) -> bool {
        address::is_forbidden(address) || self.is_own(address.to_canonical(), port)
    }

    /// The same for a host that is an address, in any spelling, or this machine by name.
    pub fn forbids_host(&self, url: &Url, port: u16) -> bool {
        let is_local_name = match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => false,
        };
        let local = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let local = local.into_iter().filter(|_| is_local_name);
        address::literal(url).into_iter().chain(local).any(|address| self.forbids(address, port))
    }

    /// Looks a name up, off the asynchronous threads.
    pub async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let found = (host.as_str(), 0).to_socket_addrs()?;
            io::Result::Ok(found.map(|address| address.ip()).collect())
        });
        found.await.map_err(io::Error::other)?
    }

    fn is_own(&self, address: IpAddr, port: u16) -> bool {
        let own = self.own_listener.ip().to_canonical();
        // An address can be bound where it is one of this machine's.
        let is_local = || UdpSocket::bind((address, 0)).is_ok();
        port == self.own_listener.port() && (address == own || (own.is_unspecified() && is_local()))
    }
}
