//! Sockets only: accepts connections under caps, gives each request to the API, and drains at the end.

mod connections;
mod listener;
mod repeats;
pub mod self_signed;
pub mod tls;
mod watched;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, info, warn};

use crate::api;
use crate::app::App;
use crate::config::Limits;
use crate::domain::client_address::ClientAddress;
use connections::{Activity, Connections, Full, Place};
use listener::Accepted;
pub use listener::{Listeners, connections_that_fit};
use repeats::Repeats;
use tls::Tls;
use watched::{Stream, Watched};

/// Pause after a failure to accept, such as no more file descriptors.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What every connection is served with.
struct Server {
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    http: http1::Builder,
}

/// Serves until `stop` ends, then lets running requests end within the drain timeout.
///
/// # Errors
/// Where the system does not hand over the listeners.
pub async fn serve(
    app: Arc<App>,
    listeners: Listeners,
    tls: Option<Arc<Tls>>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let listeners = listeners.start()?;
    let limits = &app.config.limits;
    let connections = Connections::new(
        connections_that_fit(limits.connections),
        limits.connections_per_address,
        limits.trusted_proxies.clone(),
    );
    let graceful = GracefulShutdown::new();
    let server = Arc::new(Server { app: Arc::clone(&app), tls, http: http(limits) });

    let accept = async {
        let mut failures = Repeats::default();
        loop {
            match listeners.accept().await {
                Ok(accepted) => {
                    let Some(place) = place(&connections, accepted.client()).await else { continue };
                    let connection = Arc::clone(&server).serve(accepted, place, graceful.watcher());
                    tokio::spawn(connection);
                }
                Err(error) => {
                    if let Some(times) = failures.count(Instant::now()) {
                        warn!(%error, times, "a connection could not be accepted");
                    }
                    tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
    drop(listeners);
    info!("no new connections; waiting for running requests");
    if tokio::time::timeout(app.config.limits.drain_timeout, graceful.shutdown()).await.is_err() {
        warn!("some requests did not end in time and are cut off");
    }
    Ok(())
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A client that has sent all it wants may close its side, and still wants the answer. The time for a header is
    // watched with everything else that a connection may do for too long.
    http.half_close(true)
        .header_read_timeout(None)
        .max_headers(limits.header_lines)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes);
    http
}

/// A place for a new connection; waits where requests are worked on over all of them.
async fn place(connections: &Arc<Connections>, client: ClientAddress) -> Option<Place> {
    loop {
        match connections.admit(client) {
            Ok(place) => return Some(place),
            Err(Full::Address) => {
                debug!(peer = %client, "a connection is refused: its address has as many as it may have");
                return None;
            }
            Err(Full::All) => connections.freed().await,
        }
    }
}

impl Server {
    async fn serve(self: Arc<Self>, accepted: Accepted, place: Place, watcher: Watcher) {
        let connection = Arc::clone(place.connection());
        tokio::select! {
            served = self.open(accepted, &place, watcher) => {
                if let Err(error) = served {
                    debug!(error, "a connection ended early");
                }
            }
            () = connection.closed() => debug!("a connection made room for another"),
        }
    }

    async fn open(&self, accepted: Accepted, place: &Place, watcher: Watcher) -> Result<(), String> {
        let client = accepted.client();
        let stream = match accepted {
            Accepted::Network(stream, _) => self.bound_writes(stream),
            Accepted::Unix(stream) => {
                return self.speak_http(self.bound_writes(stream), client, place, watcher).await;
            }
        };
        let Some(tls) = &self.tls else { return self.speak_http(stream, client, place, watcher).await };
        place.connection().turn_to(Activity::Head);
        let opened = tokio::time::timeout(self.app.config.limits.header_timeout, tls.accept(stream)).await;
        match opened.map_err(|_| "the TLS handshake took too long")?.map_err(|error| error.to_string())? {
            Ok(stream) => self.speak_http(stream, client, place, watcher).await,
            Err(stream) => self.refuse_plain(stream, place).await,
        }
    }

    fn bound_writes<S: AsyncRead + AsyncWrite>(&self, stream: S) -> std::pin::Pin<Box<TimeoutStream<S>>> {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.app.config.limits.write_timeout));
        Box::pin(stream)
    }

    async fn speak_http(
        &self,
        stream: impl Stream + 'static,
        client: ClientAddress,
        place: &Place,
        watcher: Watcher,
    ) -> Result<(), String> {
        let stream = Watched::new(stream, Arc::clone(place.connection()), self.app.config.limits.clone());
        let service = service_fn(|request| async {
            place.connection().begin(Activity::Working);
            let response = api::handle(Arc::clone(&self.app), client, request).await;
            place.connection().begin(Activity::Sending);
            Ok::<_, std::convert::Infallible>(response)
        });
        let served = watcher.watch(self.http.serve_connection(TokioIo::new(stream), service));
        served.await.map_err(|error| error.to_string())
    }

    /// Answers one request of a client that speaks http where https is spoken.
    async fn refuse_plain(&self, stream: tls::Timed, place: &Place) -> Result<(), String> {
        let stream = Watched::new(stream, Arc::clone(place.connection()), self.app.config.limits.clone());
        let service = service_fn(|request: Request<Incoming>| async {
            place.connection().begin(Activity::Sending);
            Ok::<_, std::convert::Infallible>(api::refuse_plain(request))
        });
        let mut http = self.http.clone();
        let served = http.keep_alive(false).serve_connection(TokioIo::new(stream), service);
        served.await.map_err(|error| error.to_string())
    }
}
