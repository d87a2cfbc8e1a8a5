//! https: the certificate in force, which can be changed while connections go on, and the handshake.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig, version};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use zeroize::Zeroizing;

/// A larger file holds no certificates.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Most certificates between the server's and an authority's.
const CHAIN_MAX: usize = 20;
/// The first byte of a TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Where a certificate and its private key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate, then those of its issuers.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// A certificate with its key, read and found to belong together.
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// The certificate in force.
pub struct Tls {
    in_force: ArcSwap<Identity>,
}

impl CertificateFiles {
    fn explain(&self, error: rustls::Error) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        if error == InconsistentKeys::KeyMismatch.into() {
            format!("the private key in {key} is not that of the certificate in {certificate}")
        } else {
            format!("the certificate in {certificate} with the key in {key} cannot be used: {error}")
        }
    }
}

impl Identity {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// Which of the files is wrong, and what is.
    pub fn read(files: &CertificateFiles) -> Result<Self, String> {
        let (shown, shown_key) = (files.certificate.display(), files.key.display());
        let text = read(&files.certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .take(CHAIN_MAX)
            .collect::<Result<_, _>>()
            .map_err(|_| format!("{shown} is no PEM file of certificates"))?;
        let Some(certificate) = chain.first().cloned() else {
            return Err(format!(
                "{shown} has no certificate; it needs a block that begins with -----BEGIN CERTIFICATE-----"
            ));
        };
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| {
            format!(
                "{shown_key} has no private key that can be read; it needs a block that begins with \
                 -----BEGIN PRIVATE KEY-----, without a password"
            )
        })?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(|error| files.explain(error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// The certificate itself.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(&self.certificate);
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
}

impl Tls {
    /// Begins with a certificate.
    pub fn new(identity: Identity) -> Self {
        Self { in_force: ArcSwap::from_pointee(identity) }
    }

    /// Takes another certificate for the connections to come; says whether it is another.
    pub fn replace(&self, identity: Identity) -> bool {
        let certificate = identity.certificate.clone();
        self.in_force.swap(Arc::new(identity)).certificate != certificate
    }

    /// Waits for what the client says first, and shakes hands; `Err` gives back a client that speaks plain HTTP.
    pub(super) async fn accept(&self, stream: Timed) -> io::Result<Result<TlsStream<Timed>, Timed>> {
        let mut first = [0];
        let count = stream.get_ref().peek(&mut first).await?;
        if count == 1 && first[0] != HANDSHAKE_RECORD && first[0].is_ascii_alphabetic() {
            return Ok(Err(stream));
        }
        let config = Arc::clone(&self.in_force.load().config);
        TlsAcceptor::from(config).accept(stream).await.map(Ok)
    }
}

/// A connection on which no write takes longer than its limit.
pub(super) type Timed = std::pin::Pin<Box<TimeoutStream<TcpStream>>>;

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let cannot = |error: io::Error| {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let advice =
            if is_denied { "; the user that the service runs as has to be able to read it" } else { "" };
        format!("{shown} cannot be read: {error}{advice}")
    };
    let file = File::open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    if size > FILE_MAX_BYTES {
        return Err(format!("{shown} is larger than {FILE_MAX_BYTES} bytes"));
    }
    // At once at its size: growing would leave copies of the key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1));
    file.take(FILE_MAX_BYTES).read_to_end(&mut content).map_err(cannot)?;
    Ok(content)
}
