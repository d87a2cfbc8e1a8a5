//! Certificates made in the test, of every wrong kind.

use std::sync::Arc;

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    NotYetValid,
    /// It is for other.example alone.
    OtherName,
    /// It is for clients, not for servers.
    ForClients,
}

/// An authority that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// As a file of authorities holds it.
    pub fn pem(&self) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(self.0.der());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// A server with a certificate of this authority for localhost, 127.0.0.1 and ::1.
    pub fn server(&self, flaw: Flaw) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters(flaw).signed_by(&key, &self.0).expect("a certificate");
        config(vec![certificate.der().clone()], &key)
    }
}

/// A server whose certificate is signed with its own key.
pub fn self_signed(flaw: Flaw) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters(flaw).self_signed(&key).expect("a certificate");
    config(vec![certificate.der().clone()], &key)
}

/// A fatal TLS alert, as a server sends it that does not like what it got.
pub fn alert(description: u8) -> Vec<u8> {
    vec![0x15, 3, 3, 0, 2, 2, description]
}

fn parameters(flaw: Flaw) -> CertificateParams {
    let names = match flaw {
        Flaw::OtherName => vec!["other.example".to_owned()],
        Flaw::None | Flaw::Expired | Flaw::NotYetValid | Flaw::ForClients => {
            ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
        }
    };
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "fault server");
    (params.not_before, params.not_after) = match flaw {
        Flaw::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        Flaw::NotYetValid => (date_time_ymd(2190, 1, 1), date_time_ymd(2191, 1, 1)),
        Flaw::None | Flaw::OtherName | Flaw::ForClients => {
            (date_time_ymd(2020, 1, 1), date_time_ymd(2190, 1, 1))
        }
    };
    if flaw == Flaw::ForClients {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }
    params
}

fn config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    Arc::new(config.expect("a certificate and its key"))
}
