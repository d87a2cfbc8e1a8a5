//! The table of settings, and what follows from it.

use std::net::SocketAddr;

use url::Url;

use crate::config::trusted_proxies::TrustedProxies;

/// What every variable of the environment begins with.
pub const ENVIRONMENT_PREFIX: &str = "CONNECTORD_";
/// Variables with the prefix that are not settings: the path of the file itself.
pub const NOT_SETTINGS: [&str; 1] = ["CONNECTORD_CONFIG"];

/// One key of the configuration.
pub struct Setting {
    /// `key` or `table.key`.
    pub key: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// As text; a list is empty.
    pub default: &'static str,
    /// A sentence for the file.
    pub sentence: &'static str,
}

/// What values a setting takes.
pub enum Kind {
    /// An address and a port.
    Address,
    /// A path; empty means none.
    Path,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range.
    Integer(u64, u64),
    /// Web origins.
    Origins,
    /// Names of hosts.
    HostNames,
    /// Addresses and networks of proxies.
    Proxies,
}

/// A value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// Texts.
    List(Vec<String>),
}

const fn setting(key: &'static str, kind: Kind, default: &'static str, sentence: &'static str) -> Setting {
    Setting { key, kind, default, sentence }
}

/// Every setting, in the order of the file: those without a table first.
pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        Kind::Address,
        "127.0.0.1:8080",
        "Address and port to listen on; port 0 picks a free one.",
    ),
    setting(
        "listen_unix",
        Kind::Path,
        "",
        "Unix socket to listen on as well, without TLS, for a reverse proxy of this machine in the service's group.",
    ),
    setting(
        "tls",
        Kind::Word(&["off", "files", "self-signed"]),
        "off",
        "Whether the address speaks https: with the certificate of the two files below, or with one made by the service.",
    ),
    setting(
        "tls_certificate_file",
        Kind::Path,
        "",
        "PEM file of the certificate and those of its issuers, for tls = \"files\"; read anew on SIGHUP and every day.",
    ),
    setting(
        "tls_key_file",
        Kind::Path,
        "",
        "PEM file of the certificate's private key, for tls = \"files\".",
    ),
    setting(
        "data_dir",
        Kind::Path,
        "./connectord-data",
        "Directory with everything that is kept; its folder sled is the backup.",
    ),
    setting(
        "admin_password_file",
        Kind::Path,
        "",
        "File with the first password of the user admin, read at the first start; empty: one is made up.",
    ),
    setting(
        "secret_key_file",
        Kind::Path,
        "",
        "File with the key that opens the saved secrets; empty: the systemd credential secret-key, else secret.key in data_dir, made at the first start.",
    ),
    setting(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "Least important level that is logged.",
    ),
    setting("log.format", Kind::Word(&["text", "json"]), "text", "Form of the lines on standard error."),
    setting(
        "limits.connections",
        Kind::Integer(1, 100_000),
        "1024",
        "Connections at once; for more, one makes room: the slowest to send its request, then the longest idle.",
    ),
    setting(
        "limits.connections_per_address",
        Kind::Integer(1, 100_000),
        "256",
        "Of these, connections of one IPv4 address or IPv6 /64 network; those of trusted_proxies and the Unix socket are not counted.",
    ),
    setting(
        "limits.header_bytes",
        Kind::Integer(16_384, 1_048_576),
        "65536",
        "Size of a request's header; more is answered 431.",
    ),
    setting(
        "limits.header_lines",
        Kind::Integer(16, 1000),
        "100",
        "Lines of a request's header; more are answered 431.",
    ),
    setting("limits.body_bytes", Kind::Integer(1024, 16_777_216), "65536", "Size of a request body."),
    setting(
        "limits.header_timeout_secs",
        Kind::Integer(1, 3600),
        "10",
        "Time for the header of a request, on a new connection with the TLS handshake.",
    ),
    setting("limits.body_timeout_secs", Kind::Integer(1, 3600), "10", "Time for the body of a request."),
    setting(
        "limits.request_timeout_secs",
        Kind::Integer(1, 3600),
        "60",
        "Time for a request in all, from the end of its header to the beginning of its answer; then 503.",
    ),
    setting(
        "limits.idle_timeout_secs",
        Kind::Integer(1, 3600),
        "60",
        "Time that a connection may wait for its next request.",
    ),
    setting("limits.answer_timeout_secs", Kind::Integer(1, 86_400), "600", "Time for sending an answer."),
    setting(
        "limits.write_timeout_secs",
        Kind::Integer(1, 3600),
        "10",
        "Time that a client may take nothing of an answer.",
    ),
    setting(
        "limits.unsent_bytes",
        Kind::Integer(1_048_576, 1_073_741_824),
        "67108864",
        "Memory for answers that wait to be sent, a quarter of it for one user or API key; more are answered 503, small ones never.",
    ),
    setting(
        "limits.drain_timeout_secs",
        Kind::Integer(0, 3600),
        "10",
        "Time that running requests get when the service is stopped.",
    ),
    setting(
        "limits.failures_per_address",
        Kind::Integer(1, 1_000_000),
        "100",
        "Failed sign-ins in failure_window_secs from one address (IPv6: one /64); then one more each window / limit.",
    ),
    setting(
        "limits.failures_per_user_and_address",
        Kind::Integer(1, 1_000_000),
        "10",
        "Of these, with one user name or API key. Never from all addresses: that would let anybody lock a user out.",
    ),
    setting(
        "limits.failure_window_secs",
        Kind::Integer(1, 86_400),
        "300",
        "Time in which failures are forgotten.",
    ),
    setting(
        "limits.trusted_proxies",
        Kind::Proxies,
        "",
        "Reverse proxies whose X-Forwarded-For counts, for example [\"127.0.0.1\", \"10.0.0.0/8\"]; \"unix\" is the Unix socket.",
    ),
    setting("limits.list_items", Kind::Integer(1, 1_000_000), "10000", "Items in one list answer."),
    setting(
        "limits.connectors_mib",
        Kind::Integer(1, 1_048_576),
        "512",
        "Texts of all connectors in MiB; long ones take up to three times as much memory in all.",
    ),
    setting("jobs.parallel", Kind::Integer(1, 1024), "8", "Tests that run at once."),
    setting(
        "jobs.parallel_per_endpoint",
        Kind::Integer(1, 1024),
        "2",
        "Of these, tests against one host and port.",
    ),
    setting("jobs.queue_capacity", Kind::Integer(1, 100_000), "1024", "Tests that wait; more are refused."),
    setting(
        "jobs.queue_capacity_per_caller",
        Kind::Integer(1, 100_000),
        "128",
        "Of these, tests of one user or API key.",
    ),
    setting("jobs.deadline_ms", Kind::Integer(100, 600_000), "30000", "Time for one test, from its start."),
    setting("jobs.connect_timeout_ms", Kind::Integer(100, 600_000), "5000", "Of this, time to connect."),
    setting("jobs.keep_hours", Kind::Integer(1, 8760), "24", "How long ended tests are kept."),
    setting("jobs.keep_count", Kind::Integer(1, 1_000_000), "10000", "How many ended tests are kept."),
    setting(
        "cloud.ca_file",
        Kind::Path,
        "",
        "PEM file of certificates that tests trust besides the public authorities': a private authority's, or a server's own.",
    ),
    setting(
        "cloud.proxy_from_environment",
        Kind::Word(&["no", "yes"]),
        "no",
        "Whether connectors without a proxy of their own use the one in https_proxy, http_proxy, all_proxy, but for no_proxy.",
    ),
    setting(
        "store.log_growth_kib",
        Kind::Integer(1, 16_777_216),
        "8192",
        "The commit log is rewritten when it is larger than twice what is kept and so many KiB.",
    ),
    setting(
        "audit.keep_count",
        Kind::Integer(1, 1_000_000),
        "10000",
        "How many events of the audit trail are kept that tell of changes.",
    ),
    setting(
        "audit.reveal_keep_count",
        Kind::Integer(1, 1_000_000),
        "10000",
        "How many are kept that tell of secrets that were shown.",
    ),
    setting(
        "audit.login_keep_count",
        Kind::Integer(1, 1_000_000),
        "1000",
        "How many are kept that tell of refused logins.",
    ),
    setting("audit.keep_days", Kind::Integer(1, 3650), "365", "How long all of these are kept."),
    setting(
        "browser.allowed_origins",
        Kind::Origins,
        "",
        "Other origins whose pages may call the API, for example [\"https://nas.example.com\"].",
    ),
    setting(
        "browser.allowed_hosts",
        Kind::HostNames,
        "",
        "Names that this service goes by, besides addresses, the machine's name and those of the local network (.local, .lan, …).",
    ),
];

/// The setting with this key, which is one of the program's own.
pub fn find(key: &str) -> &'static Setting {
    let found = SETTINGS.iter().find(|setting| setting.key == key);
    found.unwrap_or_else(|| panic!("the table of settings has no {key}"))
}

impl Setting {
    /// `log.level` as `CONNECTORD_LOG_LEVEL`.
    pub fn environment_name(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The value where nobody said otherwise.
    pub fn default_value(&self) -> Value {
        self.parse_text(self.default).unwrap_or_else(|advice| panic!("the default of {}: {advice}", self.key))
    }

    /// Parses a flag's or a variable's text; lists are separated by commas there.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse_text(&self, text: &str) -> Result<Value, String> {
        let value = match self.kind {
            Kind::Integer(..) => Value::Integer(text.parse().map_err(|_| self.advice())?),
            Kind::Origins | Kind::HostNames | Kind::Proxies => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::List(items.map(str::to_owned).collect())
            }
            Kind::Address | Kind::Path | Kind::Word(_) => Value::Text(text.to_owned()),
        };
        self.check(value)
    }

    /// Checks a value of the right type.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(&self, value: Value) -> Result<Value, String> {
        let is_right = match (&self.kind, &value) {
            (Kind::Address, Value::Text(text)) => text.parse::<SocketAddr>().is_ok(),
            (Kind::Path, Value::Text(text)) => {
                let is_fit = match self.key {
                    "data_dir" => !text.is_empty(),
                    // The proxy has another working directory.
                    "listen_unix" => text.is_empty() || text.starts_with('/'),
                    _ => true,
                };
                is_fit && !text.contains('\0')
            }
            (Kind::Word(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Kind::Integer(least, most), Value::Integer(number)) => (*least..=*most).contains(number),
            (Kind::Origins, Value::List(items)) => items.iter().all(|item| is_origin(item)),
            (Kind::HostNames, Value::List(items)) => items.iter().all(|item| is_host_name(item)),
            (Kind::Proxies, Value::List(items)) => TrustedProxies::parse(items).is_some(),
            (
                Kind::Address
                | Kind::Path
                | Kind::Word(_)
                | Kind::Integer(..)
                | Kind::Origins
                | Kind::HostNames
                | Kind::Proxies,
                _,
            ) => false,
        };
        if is_right { Ok(value) } else { Err(self.advice()) }
    }

    /// What would be right, as the end of a sentence.
    pub fn advice(&self) -> String {
        match self.kind {
            Kind::Address => {
                "write an IP address and a port as a text in quotes, such as \"127.0.0.1:8080\"".to_owned()
            }
            Kind::Path if self.key == "listen_unix" => {
                "write a path that begins with / as a text in quotes".to_owned()
            }
            Kind::Path => "write a path as a text in quotes".to_owned(),
            Kind::Word(words) => format!("write one of {} as a text in quotes", words.join(", ")),
            Kind::Integer(least, most) => format!("write a whole number from {least} to {most}"),
            Kind::Origins => {
                "write a list of origins such as [\"https://nas.example.com\"], without a path".to_owned()
            }
            Kind::HostNames => {
                "write a list of names such as [\"nas.example.com\"], without scheme and port".to_owned()
            }
            Kind::Proxies => {
                "write a list of addresses and networks such as [\"127.0.0.1\", \"10.0.0.0/8\"], or \"unix\"; IPv4 as IPv4, \
                 not as ::ffff:10.0.0.0/8"
                    .to_owned()
            }
        }
    }
}

fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

/// RFC 1123, section 2.1.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

impl Value {
    /// As it would stand in the file.
    pub fn to_toml(&self) -> String {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        match self {
            Value::Text(text) => quote(text),
            Value::Integer(number) => number.to_string(),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The text of `config/connectord.toml`.
pub fn render_file() -> String {
    let mut text = String::from(
        "# Configuration of connectord. Every key is here with its default; a file may leave out any of them.\n\
         # Flags of the command line and CONNECTORD_… variables of the environment come before this file,\n\
         # for example CONNECTORD_LOG_LEVEL. Check a changed file with: connectord check-config --config FILE\n",
    );
    let mut table = "";
    for setting in SETTINGS {
        let (in_table, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if in_table != table {
            text.push_str(&format!("\n[{in_table}]\n"));
            table = in_table;
        } else {
            text.push('\n');
        }
        let range = match setting.kind {
            Kind::Integer(least, most) => format!(" ({least} to {most})"),
            Kind::Word(words) => format!(" ({})", words.join(", ")),
            Kind::Address | Kind::Path | Kind::Origins | Kind::HostNames | Kind::Proxies => String::new(),
        };
        text.push_str(&format!(
            "# {}{range}\n{name} = {}\n",
            setting.sentence,
            setting.default_value().to_toml()
        ));
    }
    text
}
