//! A client that speaks https and trusts the certificates that a test names; certificates for tests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A certificate and its key, in files.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    pub fn at(directory: &Path) -> Self {
        Self { certificate: directory.join("certificate.pem"), key: directory.join("key.pem") }
    }

    /// Makes another certificate for localhost in these files.
    pub fn renew(&self) -> CertificateDer<'static> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(names).expect("parameters");
        let certificate = parameters.self_signed(&key).expect("signed");
        std::fs::write(&self.certificate, certificate.pem()).expect("written");
        std::fs::write(&self.key, key.serialize_pem()).expect("written");
        certificate.der().clone()
    }

    /// The settings that name them.
    pub fn settings(&self) -> String {
        format!(
            "tls = 'files'\ntls_certificate_file = '{}'\ntls_key_file = '{}'\n",
            self.certificate.display(),
            self.key.display()
        )
    }
}

pub fn read_certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}

/// As browsers show it.
pub fn fingerprint(certificate: &[u8]) -> String {
    let digest = Sha256::digest(certificate);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// A client that trusts these certificates.
pub fn client(roots: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    client_of_version(roots, &[&version::TLS13, &version::TLS12])
}

pub fn client_of_version(
    roots: &[CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut trusted = RootCertStore::empty();
    for root in roots {
        trusted.add(root.clone()).expect("a certificate");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A connection over which requests are sent one after another.
pub struct Connection(pub StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    pub fn open(address: &str, config: &Arc<ClientConfig>) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
        Ok(Self(StreamOwned::new(client, stream)))
    }

    /// The status of the answer, whose body is read.
    pub fn get(&mut self, target: &str) -> std::io::Result<u16> {
        write!(self.0, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        self.0.read_exact(&mut vec![0; length.unwrap_or(0)])?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| std::io::Error::other(head))
    }

    /// The certificate that the server showed.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().expect("shown")[0].clone()
    }
}
