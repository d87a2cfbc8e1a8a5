//! Which certificate the service has, and when it is read anew.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tracing::{error, info};

use crate::config::TlsConfig;
use crate::server::self_signed::{self, Names};
use crate::server::tls::{CertificateFiles, Identity, Tls};
use crate::store::Layout;

/// How often the files are read without being asked to: programs that renew certificates forget to say so.
const REREAD_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Where the certificate comes from.
pub(super) struct Https {
    files: CertificateFiles,
    /// What it has to be valid for, where it is of the service's own making.
    own_names: Option<Names>,
}

impl Https {
    /// `None` where http is spoken.
    pub(super) fn new(config: &TlsConfig, layout: &Layout, listen: IpAddr) -> Option<Self> {
        match config {
            TlsConfig::Off => None,
            TlsConfig::Files { certificate_file, key_file } => {
                let files = CertificateFiles { certificate: certificate_file.clone(), key: key_file.clone() };
                Some(Self { files, own_names: None })
            }
            TlsConfig::SelfSigned => {
                let files = CertificateFiles { certificate: layout.tls_certificate(), key: layout.tls_key() };
                Some(Self { files, own_names: Some(Names::of_this_machine(listen)) })
            }
        }
    }

    /// Finds mistakes without making anything.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.own_names.is_some() { Ok(()) } else { self.read().map(drop) }
    }

    /// Reads the certificate for the first time.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(super) fn start(&self) -> Result<Arc<Tls>, String> {
        let identity = self.read()?;
        self.announce(&identity);
        Ok(Arc::new(Tls::new(identity)))
    }

    /// Reads the certificate anew on each signal and once a day; one that cannot be read changes nothing.
    pub(super) async fn keep_current(https: Option<(Self, Arc<Tls>)>, mut signal: Signal) {
        let https = https.map(|(https, tls)| (Arc::new(https), tls));
        let start = tokio::time::Instant::now() + REREAD_INTERVAL;
        let mut interval = tokio::time::interval_at(start, REREAD_INTERVAL);
        loop {
            let is_asked = tokio::select! {
                _ = signal.recv() => true,
                _ = interval.tick() => false,
            };
            match &https {
                Some((https, tls)) => {
                    let (https, tls) = (Arc::clone(https), Arc::clone(tls));
                    // Disks and keys take their time, and connections should not wait for them.
                    let reread = tokio::task::spawn_blocking(move || https.reread(&tls, is_asked));
                    if reread.await.is_err() {
                        error!("reading the certificate anew panicked, the old one stays in force");
                    }
                }
                None if is_asked => info!("SIGHUP: there is no certificate to read anew, tls is off"),
                None => {}
            }
        }
    }

    fn reread(&self, tls: &Tls, is_asked: bool) {
        match self.read() {
            Ok(identity) => {
                let fingerprint = identity.fingerprint();
                if tls.replace(identity) {
                    info!(fingerprint_sha256 = fingerprint, "another certificate is in force");
                } else if is_asked {
                    info!(fingerprint_sha256 = fingerprint, "the certificate was read anew, it is the same");
                }
            }
            Err(problem) => error!(problem, "the certificate was not changed, the old one stays in force"),
        }
    }

    fn read(&self) -> Result<Identity, String> {
        let read = match &self.own_names {
            Some(names) => self_signed::ensure(&self.files, names),
            None => Identity::read(&self.files),
        };
        read.map_err(|problem| format!("tls: {problem}"))
    }

    fn announce(&self, identity: &Identity) {
        let names = self.own_names.as_ref().map(|names| names.covered_by(identity).join(" "));
        info!(
            path = %self.files.certificate.display(),
            fingerprint_sha256 = identity.fingerprint(),
            is_self_signed = self.own_names.is_some(),
            names,
            "https is spoken with this certificate; compare the fingerprint with what a browser shows"
        );
        if let Some(address) = self.own_names.as_ref().and_then(|names| names.missed_address(identity)) {
            info!(
                address,
                "the certificate is not for this machine's address; use one of its names, or remove its file and start again"
            );
        }
    }
}
