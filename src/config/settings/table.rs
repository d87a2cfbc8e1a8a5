//! The table of settings: every key with its kind, limits, default and a sentence.

use super::{Kind, Setting};

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
