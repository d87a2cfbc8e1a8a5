//! Configuration: flags, environment, file and defaults, in this order, into one validated [`Config`].
//!
//! One table ([`settings::SETTINGS`]) has every key with its kind, limits, default and a sentence. Parsing, messages,
//! the environment's names, `check-config` and `config/connectord.toml` all come from it.

mod file;
mod load;
mod settings;
mod trusted_proxies;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::credentials::FailureLimits;
use crate::store::StoreOptions;

pub use load::{FlagValue, Settings, Source, load};
pub use settings::render_file;
pub use trusted_proxies::TrustedProxies;

/// Everything that can be configured, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Unix socket to listen on as well.
    pub listen_unix: Option<PathBuf>,
    /// Whether the address speaks https, and by which certificate.
    pub tls: TlsConfig,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// First password of the user `admin`.
    pub admin_password_file: Option<PathBuf>,
    /// Key file, where it is not in the data directory.
    pub secret_key_file: Option<PathBuf>,
    /// The log.
    pub log: LogConfig,
    /// Limits of the HTTP server and the API.
    pub limits: Limits,
    /// Test jobs.
    pub jobs: JobsConfig,
    /// How tests reach the cloud.
    pub cloud: CloudConfig,
    /// The store.
    pub store: StoreOptions,
    /// The audit trail.
    pub audit: AuditConfig,
    /// Origins whose pages may call the API from a browser.
    pub allowed_origins: Vec<String>,
    /// Names that this service goes by, besides those of the local network.
    pub allowed_hosts: Vec<String>,
}

/// Whether the address speaks https, and by which certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// http.
    Off,
    /// A certificate that somebody else makes and renews.
    Files {
        /// The certificate, and those of its issuers.
        certificate_file: PathBuf,
        /// Its private key.
        key_file: PathBuf,
    },
    /// A certificate of the service's own making.
    SelfSigned,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is shown.
    pub level: tracing::Level,
    /// JSON lines instead of text.
    pub is_json: bool,
}

/// Limits of the HTTP server and the API.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Of these, connections of one address.
    pub connections_per_address: usize,
    /// Size of a request's header.
    pub header_bytes: usize,
    /// Lines of a request's header.
    pub header_lines: usize,
    /// Size of a request body.
    pub body_bytes: usize,
    /// Time for the header of a request.
    pub header_timeout: Duration,
    /// Time for the body of a request.
    pub body_timeout: Duration,
    /// Time from the end of a request's header to the beginning of its answer.
    pub request_timeout: Duration,
    /// Time between an answer and the next request.
    pub idle_timeout: Duration,
    /// Time for sending an answer.
    pub answer_timeout: Duration,
    /// Time that a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// Time for the requests that run when the service is stopped.
    pub drain_timeout: Duration,
    /// Bytes of the texts of all connectors.
    pub connectors_bytes: u64,
    /// Bytes of answers that are made and not yet sent.
    pub unsent_bytes: usize,
    /// Items in one list.
    pub list_items: usize,
    /// Failed sign-ins.
    pub failures: FailureLimits,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: TrustedProxies,
}

/// Test jobs.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// Jobs that run at once.
    pub parallel: usize,
    /// Of these, jobs against one host and port.
    pub parallel_per_endpoint: usize,
    /// Jobs that wait.
    pub queue_capacity: usize,
    /// Of these, jobs of one caller.
    pub queue_capacity_per_caller: usize,
    /// How long ended jobs are kept.
    pub keep: Duration,
    /// How many ended jobs are kept.
    pub keep_count: usize,
}

/// The audit trail.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// How many events of changes are kept.
    pub keep_count: usize,
    /// How many events of secrets that were shown are kept.
    pub reveal_keep_count: usize,
    /// How many events of refused logins are kept.
    pub login_keep_count: usize,
    /// How long events are kept.
    pub keep: Duration,
}

/// How tests reach the cloud.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Time for one test.
    pub deadline: Duration,
    /// Of this, time to connect.
    pub connect_timeout: Duration,
    /// Certificates that are trusted besides the public authorities'.
    pub ca_file: Option<PathBuf>,
    /// Whether connectors without a proxy of their own use the one that the environment names.
    pub proxy_from_environment: bool,
}
