//! Sockets only: accepts connections under a cap, gives each request to the API, and drains at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, info, warn};

use crate::api;
use crate::app::App;
use crate::domain::client_address::ClientAddress;

/// What one connection may buffer: request targets up to 8 KiB, and the headers.
const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;
/// Pause after a failure to accept, such as no more file descriptors.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` ends, then lets running requests end within the drain timeout.
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(app.config.limits.connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // A client that has sent all it wants may close its side, and still wants the answer.
        .half_close(true)
        .header_read_timeout(app.config.limits.header_timeout)
        .max_buf_size(CONNECTION_BUFFER_BYTES);

    let write_timeout = app.config.limits.write_timeout;

    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut stop => break,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_PAUSE).await;
                continue;
            }
        };
        let (app, peer) = (Arc::clone(&app), ClientAddress::from_ip(peer.ip()));
        let service = service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, std::convert::Infallible>(api::handle(app, peer, request).await) }
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    info!("no new connections; waiting for running requests");
    if tokio::time::timeout(app.config.limits.drain_timeout, graceful.shutdown()).await.is_err() {
        warn!("some requests did not end in time and are cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}
