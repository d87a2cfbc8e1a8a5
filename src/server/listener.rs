//! What the service listens on: an address of the network, and a Unix socket for a reverse proxy.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::domain::client_address::ClientAddress;

/// Connections that wait to be accepted; of more, the system lets clients try again after a second.
const BACKLOG: i32 = 1024;
/// Owner and group, whom the reverse proxy's user belongs to.
const SOCKET_MODE: u32 = 0o660;
/// Open files besides connections: the store's, those of tests, and what the program itself needs.
const OTHER_FILES: usize = 256;

/// Everything that is listened on.
pub struct Listeners {
    address: SocketAddr,
    network: std::net::TcpListener,
    unix: Option<(UnixListener, SocketFile)>,
}

/// The same, once the runtime has it.
pub(super) struct Accepting {
    network: tokio::net::TcpListener,
    unix: Option<(tokio::net::UnixListener, SocketFile)>,
}

/// A connection that was accepted.
pub(super) enum Accepted {
    /// From the network.
    Network(tokio::net::TcpStream, ClientAddress),
    /// By the Unix socket.
    Unix(tokio::net::UnixStream),
}

impl Listeners {
    /// Listens.
    ///
    /// # Errors
    /// What cannot be listened on, and what to do.
    pub fn bind(listen: SocketAddr, listen_unix: Option<&Path>) -> Result<Self, String> {
        let failed = |error: io::Error| {
            format!("cannot listen on {listen}: {error}; choose another address with --listen")
        };
        let network = std::net::TcpListener::bind(listen).map_err(failed)?;
        // The library has a smaller backlog; to listen again only changes it.
        rustix::net::listen(&network, BACKLOG).map_err(|error| failed(error.into()))?;
        let address = network.local_addr().map_err(failed)?;
        let unix = listen_unix.map(bind_unix).transpose()?;
        Ok(Self { address, network, unix })
    }

    /// The address of the network, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands over to the runtime.
    pub(super) fn start(self) -> io::Result<Accepting> {
        self.network.set_nonblocking(true)?;
        let network = tokio::net::TcpListener::from_std(self.network)?;
        let unix = self.unix.map(|(listener, file)| {
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>((tokio::net::UnixListener::from_std(listener)?, file))
        });
        Ok(Accepting { network, unix: unix.transpose()? })
    }
}

impl Accepting {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let by_unix = async {
            match &self.unix {
                Some((listener, _)) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.network.accept() => {
                let (stream, peer) = accepted?;
                // One that was reset meanwhile may refuse; its first read says so.
                let _ = stream.set_nodelay(true);
                Ok(Accepted::Network(stream, ClientAddress::from_ip(peer.ip())))
            }
            accepted = by_unix => Ok(Accepted::Unix(accepted?.0)),
        }
    }
}

impl Accepted {
    pub(super) fn client(&self) -> ClientAddress {
        match self {
            Accepted::Network(_, client) => *client,
            Accepted::Unix(_) => ClientAddress::UnixSocket,
        }
    }
}

/// The file of a Unix socket, which goes with it.
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number: another process may have replaced the file.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "the socket's file could not be removed");
        }
    }
}

fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), String> {
    let shown = path.display();
    let failed = |error: io::Error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let advice =
            if is_missing { "; its directory is not there, make it or name another path" } else { "" };
        format!("listen_unix: cannot listen on {shown}: {error}{advice}")
    };
    remove_stale_socket(path)?;
    // Made with the process's mask, which lets nobody else in, and opened to the group then.
    let listener = UnixListener::bind(path).map_err(failed)?;
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok((listener, file))
}

/// Removes the socket of a process that ended without doing so.
fn remove_stale_socket(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(format!(
            "listen_unix: {shown} is there and is no socket; name another path, or remove it"
        ));
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            Err(format!("listen_unix: another process listens on {shown}; stop it, or name another path"))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| format!("listen_unix: the old socket {shown} cannot be removed: {error}")),
        Err(error) => Err(format!("listen_unix: the old socket {shown} cannot be looked at: {error}")),
    }
}

/// Lets this process open as many files as it may, and says how many connections that is enough for.
pub fn connections_that_fit(configured: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(files) = files.and_then(|files| usize::try_from(files).ok()) else { return configured };
    let fit = files.saturating_sub(OTHER_FILES).max(files / 2);
    if fit < configured {
        warn!(
            files,
            connections = fit,
            "the system lets this process open too few files for limits.connections: fewer are served at once; raise LimitNOFILE of the unit, or ulimit -n"
        );
    }
    fit.min(configured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let path = std::env::temp_dir().join(format!("connectord-socket-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        // A process that died: the file stays.
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        let (listener, file) = bind_unix(&path).expect("the stale one is replaced");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        let refusal = bind_unix(&path).map(|_| ()).expect_err("refused");
        assert!(refusal.contains("another process"), "{refusal}");
        drop((listener, file));
        assert!(!path.exists());

        let (_listener, file) = bind_unix(&path).expect("bound");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "somebody's").expect("written");
        drop(file);
        let refusal = bind_unix(&path).map(|_| ()).expect_err("refused");
        assert!(refusal.contains("no socket"), "{refusal}");
        fs::remove_file(&path).expect("still there");
        let refusal = bind_unix(&path.join("socket")).map(|_| ()).expect_err("refused");
        assert!(refusal.contains("directory is not there"), "{refusal}");
    }
}
