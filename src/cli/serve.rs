//! `connectord serve`: opens everything, says that it is ready, and closes everything in order.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::app::App;
use crate::cli::https::Https;
use crate::cli::{Failure, check_owner, first_start, key_place, print, restored_place};
use crate::cloud::Cloud;
use crate::config::{Config, LogConfig};
use crate::server::tls::Tls;
use crate::server::{self, Listeners};
use crate::store::{DataDirectory, OpenError, Store};

/// Longest wait for threads that still work when everything else has ended.
const RUNTIME_SHUTDOWN_MAX: Duration = Duration::from_secs(1);

pub(super) fn run(config: Config) -> Result<(), Failure> {
    start_log(config.log);
    if rustix::process::geteuid().is_root() {
        check_owner(&config.data_dir)?;
    }
    let runtime =
        Runtime::new().map_err(|error| Failure::machine(format!("cannot start threads: {error}")))?;
    // Before anything that may take long: unheard, this signal ends the process.
    let hangup = {
        let _inside = runtime.enter();
        signal(SignalKind::hangup()).map_err(|error| Failure::machine(format!("cannot serve: {error}")))?
    };
    let directory = DataDirectory::lock(&config.data_dir).map_err(OpenError::from)?;
    // Before anything is made: a port that is in use should not cost a first start.
    let listeners =
        Listeners::bind(config.listen, config.listen_unix.as_deref()).map_err(Failure::machine)?;
    let address = listeners.address();
    let cloud = Cloud::new(config.cloud.clone(), address).map_err(Failure::usage)?;
    let https = Https::new(&config.tls, &directory, address.ip());
    https.as_ref().map_or(Ok(()), Https::check).map_err(Failure::usage)?;
    restored_place::check(&directory)?;
    // Read before anything is made: a mistake in it should not leave half a first start.
    let password = match first_start::configured_password(config.admin_password_file.as_deref()) {
        // It is for the first start alone, and may well be gone after it.
        Err(failure) if directory.commit_log().exists() => {
            warn!(
                reason = failure.messages.join("; "),
                "the file with the first password is not used any more"
            );
            None
        }
        read => read?,
    };
    let store = Store::open(directory, &key_place(&config), config.store)?;
    first_start::ensure_admin(&store, password)?;
    let https = https.map(|https| https.start().map(|tls| (https, tls)));
    let https = https.transpose().map_err(Failure::machine)?;
    let app = Arc::new(App::new(config, Arc::new(store), cloud));
    let result = runtime.block_on(serve(Arc::clone(&app), listeners, https, hangup));
    // A name look-up of a test that was stopped may still run; nobody waits for it.
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_MAX);
    app.store.close();
    info!("stopped");
    result
}

async fn serve(
    app: Arc<App>,
    listeners: Listeners,
    https: Option<(Https, Arc<Tls>)>,
    hangup: Signal,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::machine(format!("cannot serve: {error}"));
    let address = listeners.address();
    let tls = https.as_ref().map(|(_, tls)| Arc::clone(tls));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let certificate = tokio::spawn(Https::keep_current(https, hangup));
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify(sd_notify::NotifyState::Stopping);
    };
    app.jobs.resume().await;
    let (end_housekeeping, housekeeping_end) = oneshot::channel::<()>();
    let housekeeping = tokio::spawn({
        let app = Arc::clone(&app);
        async move { app.keep_house(housekeeping_end).await }
    });
    announce(&app.config, address, tls.is_some());
    let served = server::serve(Arc::clone(&app), listeners, tls, stop).await;
    certificate.abort();
    drop(end_housekeeping);
    if housekeeping.await.is_err() {
        error!("keeping house panicked");
    }
    app.jobs.stop().await;
    app.store_last_uses().await;
    app.audit.keep_house(&app.store).await;
    served.map_err(failed)
}

/// Says that the service is ready: one line on standard output, whatever the log level, and the service manager.
fn announce(config: &Config, address: SocketAddr, is_https: bool) {
    if !is_https && !address.ip().is_loopback() {
        warn!(
            %address,
            "passwords and secrets travel unencrypted over the network; set tls = \"self-signed\" or \"files\", or listen on 127.0.0.1 and put a proxy with TLS in front"
        );
    }
    if let Some(path) = &config.listen_unix {
        info!(path = %path.display(), "serving on a Unix socket, to the service's user and group");
    }
    let scheme = if is_https { "https" } else { "http" };
    info!(%address, scheme, data_dir = %config.data_dir.display(), version = env!("CARGO_PKG_VERSION"), "serving");
    print(&format!("listening on {scheme}://{address}\n"));
    notify(sd_notify::NotifyState::Ready);
}

fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager could not be told");
    }
}

/// Standard error, or nothing where that cannot be written: a full disk under the log must not end the service.
struct LogOutput;

impl Write for LogOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Text or JSON lines on standard error; panics are logged like everything else.
pub(super) fn start_log(log: LogConfig) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(log.level)
        .with_writer(|| LogOutput)
        .log_internal_errors(false);
    // A second start of the log in one process is impossible: this runs once.
    if log.is_json {
        lines.json().flatten_event(true).with_current_span(false).init();
    } else {
        lines.with_ansi(io::stderr().is_terminal()).with_target(false).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        error!(place, message, "panic");
    }));
}
