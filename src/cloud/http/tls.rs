//! TLS to servers and proxies: which certificates are trusted, and what of them is checked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

/// Most certificates of the configured file.
const CERTIFICATES_MAX: usize = 1000;

/// What of a certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateChecks {
    /// Who issued it, whether it is in time, and its name.
    All,
    /// All but its name: the mount option `ssl_verify_hostname=0`.
    Issuer,
    /// Nothing: the mount option `no_check_certificate`.
    Nothing,
}

/// The certificate signs itself, and nobody said that it is trusted.
#[derive(Debug)]
pub struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the certificate signs itself")
    }
}

impl std::error::Error for SelfSigned {}

/// Trusted certificates, as one client configuration for each set of checks.
pub struct Trust {
    all: Arc<ClientConfig>,
    issuer: Arc<ClientConfig>,
    nothing: Arc<ClientConfig>,
}

impl Trust {
    /// The public authorities, and the certificates of a file. One of those may be a server's own: such a server is
    /// trusted under the names in its certificate.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let own = ca_file.map_or_else(|| Ok(Vec::new()), read_certificates)?;
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // One that cannot be an authority may still be a server's own.
        roots.add_parsable_certificates(own.iter().cloned());
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| format!("no certificate can be checked: {error}"))?;
        let own = Arc::new(own);
        let configure = |checks| {
            let verifier = Verifier { usual: Arc::clone(&verifier), own: Arc::clone(&own), checks };
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            Ok::<_, String>(Arc::new(config))
        };
        Ok(Self {
            all: configure(CertificateChecks::All)?,
            issuer: configure(CertificateChecks::Issuer)?,
            nothing: configure(CertificateChecks::Nothing)?,
        })
    }

    pub fn config(&self, checks: CertificateChecks) -> Arc<ClientConfig> {
        Arc::clone(match checks {
            CertificateChecks::All => &self.all,
            CertificateChecks::Issuer => &self.issuer,
            CertificateChecks::Nothing => &self.nothing,
        })
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| format!("cloud.ca_file: {shown} cannot be read: {error}"))?;
    let certificates: Vec<_> = certificates
        .take(CERTIFICATES_MAX)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("cloud.ca_file: {shown} is no PEM file of certificates"))?;
    let is_certificate = |certificate: &CertificateDer<'_>| EndEntityCert::try_from(certificate).is_ok();
    match certificates.iter().position(|certificate| !is_certificate(certificate)) {
        _ if certificates.is_empty() => Err(format!(
            "cloud.ca_file: {shown} has no certificate; it needs a block that begins with -----BEGIN CERTIFICATE-----"
        )),
        Some(at) => Err(format!("cloud.ca_file: certificate {} in {shown} cannot be read", at + 1)),
        None => Ok(certificates),
    }
}

/// The usual checks, with the exceptions that somebody asked for.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    own: Arc<Vec<CertificateDer<'static>>>,
    checks: CertificateChecks,
}

impl Verifier {
    /// A certificate that stands itself in the configured file: its name is checked alone.
    fn verify_own(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        if self.checks == CertificateChecks::Issuer {
            return Ok(());
        }
        let valid = EndEntityCert::try_from(certificate)
            .map(|certificate| certificate.verify_is_valid_for_subject_name(name));
        match valid {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CertificateError::NotValidForName.into()),
            Err(_) => Err(CertificateError::BadEncoding.into()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library may add more")]
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.checks == CertificateChecks::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        if self.own.contains(end_entity) {
            return self.verify_own(end_entity, server_name).map(|()| ServerCertVerified::assertion());
        }
        let verified =
            self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(Error::InvalidCertificate(error)) = verified else { return verified };
        match error {
            // The name is looked at last: everything else holds.
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                if self.checks == CertificateChecks::Issuer =>
            {
                Ok(ServerCertVerified::assertion())
            }
            // What signs itself as an authority is refused for that by the checks.
            CertificateError::UnknownIssuer | CertificateError::Other(_) if signs_itself(end_entity) => {
                Err(CertificateError::Other(OtherError(Arc::new(SelfSigned))).into())
            }
            other => Err(other.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn signs_itself(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}
