//! Where the values come from: flags, environment, file and defaults, and the typed form of what is in force.

use std::path::PathBuf;
use std::time::Duration;

use super::settings::{self, SETTINGS, Setting, Value, find};
use super::{
    AuditConfig, CloudConfig, Config, JobsConfig, Limits, LogConfig, TlsConfig, TrustedProxies, file,
};
use crate::credentials::FailureLimits;
use crate::domain::nearest;
use crate::store::StoreOptions;

/// A setting given by a flag: its key and its text.
pub type FlagValue = (&'static str, String);

/// The settings in force, each with where it comes from.
pub struct Settings {
    values: Vec<(&'static Setting, Value, Source)>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The configuration file.
    File,
    /// Nobody said otherwise.
    Default,
}

/// Puts the sources together. Environment variables that begin with `CONNECTORD_` and name no setting are refused,
/// so that a mistyped one is seen.
///
/// # Errors
/// Every problem found, each a sentence that says where and what would be right.
pub fn load(
    config_file: Option<&std::path::Path>,
    flags: &[FlagValue],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Vec<String>> {
    let mut problems = Vec::new();
    let from_file = match config_file {
        Some(path) => file::read(path).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        }),
        None => Vec::new(),
    };
    let mut from_environment = Vec::new();
    for (name, text) in environment.filter(|(name, _)| name.starts_with(settings::ENVIRONMENT_PREFIX)) {
        if settings::NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        match SETTINGS.iter().find(|setting| setting.environment_name() == name) {
            Some(setting) => match setting.parse_text(&text) {
                Ok(value) => from_environment.push((setting.key, value)),
                Err(advice) => problems.push(format!("environment: {name} is not valid: {advice}")),
            },
            None => problems.push(format!(
                "environment: {name} names no setting{}",
                nearest::suggest(&name, SETTINGS.iter().map(Setting::environment_name))
            )),
        }
    }
    let mut from_flags = Vec::new();
    for (key, text) in flags {
        match find(key).parse_text(text) {
            Ok(value) => from_flags.push((find(key).key, value)),
            Err(advice) => {
                problems.push(format!("command line: --{} is not valid: {advice}", key.replace('_', "-")))
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let layers =
        [(from_flags, Source::Flag), (from_environment, Source::Environment), (from_file, Source::File)];
    let values = SETTINGS.iter().map(|setting| {
        let given = layers.iter().find_map(|(values, source)| {
            let (_, value) = values.iter().find(|(key, _)| *key == setting.key)?;
            Some((value.clone(), source.clone()))
        });
        let (value, source) = given.unwrap_or_else(|| (setting.default_value(), Source::Default));
        (setting, value, source)
    });
    let settings = Settings { values: values.collect() };
    settings.tls().map_err(|problem| vec![problem])?;
    Ok(settings)
}

impl Settings {
    /// Each setting in force: key, value as TOML, source. No setting holds a secret, only paths to them.
    pub fn in_force(&self) -> impl Iterator<Item = (&'static str, String, &Source)> {
        self.values.iter().map(|(setting, value, source)| (setting.key, value.to_toml(), source))
    }

    /// The typed form.
    pub fn into_config(self) -> Config {
        let count = |key: &str| usize::try_from(self.integer(key)).expect("limits of settings fit");
        let count_of_failures = |key: &str| u32::try_from(self.integer(key)).expect("limits of settings fit");
        let seconds = |key: &str| Duration::from_secs(self.integer(key));
        Config {
            listen: self.text("listen").parse().expect("checked when it was parsed"),
            listen_unix: self.path("listen_unix"),
            tls: self.tls().expect("checked when it was loaded"),
            data_dir: PathBuf::from(self.text("data_dir")),
            admin_password_file: self.path("admin_password_file"),
            secret_key_file: self.path("secret_key_file"),
            log: LogConfig {
                level: self.text("log.level").parse().expect("checked when it was parsed"),
                is_json: self.text("log.format") == "json",
            },
            limits: Limits {
                connections: count("limits.connections"),
                connections_per_address: count("limits.connections_per_address"),
                header_bytes: count("limits.header_bytes"),
                header_lines: count("limits.header_lines"),
                body_bytes: count("limits.body_bytes"),
                header_timeout: seconds("limits.header_timeout_secs"),
                body_timeout: seconds("limits.body_timeout_secs"),
                request_timeout: seconds("limits.request_timeout_secs"),
                idle_timeout: seconds("limits.idle_timeout_secs"),
                answer_timeout: seconds("limits.answer_timeout_secs"),
                write_timeout: seconds("limits.write_timeout_secs"),
                drain_timeout: seconds("limits.drain_timeout_secs"),
                connectors_bytes: self.integer("limits.connectors_mib") * 1024 * 1024,
                unsent_bytes: count("limits.unsent_bytes"),
                list_items: count("limits.list_items"),
                failures: FailureLimits {
                    per_address: count_of_failures("limits.failures_per_address"),
                    per_user_and_address: count_of_failures("limits.failures_per_user_and_address"),
                    window: seconds("limits.failure_window_secs"),
                },
                trusted_proxies: TrustedProxies::parse(&self.texts("limits.trusted_proxies"))
                    .expect("checked when it was parsed"),
            },
            jobs: JobsConfig {
                parallel: count("jobs.parallel"),
                parallel_per_endpoint: count("jobs.parallel_per_endpoint"),
                queue_capacity: count("jobs.queue_capacity"),
                queue_capacity_per_caller: count("jobs.queue_capacity_per_caller"),
                keep: Duration::from_secs(self.integer("jobs.keep_hours") * 3600),
                keep_count: count("jobs.keep_count"),
            },
            cloud: CloudConfig {
                deadline: Duration::from_millis(self.integer("jobs.deadline_ms")),
                connect_timeout: Duration::from_millis(self.integer("jobs.connect_timeout_ms")),
                ca_file: self.path("cloud.ca_file"),
                proxy_from_environment: self.text("cloud.proxy_from_environment") == "yes",
            },
            store: StoreOptions { log_growth_bytes: self.integer("store.log_growth_kib") * 1024 },
            audit: AuditConfig {
                keep_count: count("audit.keep_count"),
                reveal_keep_count: count("audit.reveal_keep_count"),
                login_keep_count: count("audit.login_keep_count"),
                keep: Duration::from_secs(self.integer("audit.keep_days") * 24 * 3600),
            },
            allowed_origins: self.texts("browser.allowed_origins"),
            allowed_hosts: self.texts("browser.allowed_hosts"),
        }
    }

    /// # Errors
    /// Which of the files is not named.
    fn tls(&self) -> Result<TlsConfig, String> {
        let file = |key: &str| {
            self.path(key).ok_or_else(|| format!("tls = \"files\" needs {key}: the path of a PEM file"))
        };
        Ok(match self.text("tls") {
            "files" => TlsConfig::Files {
                certificate_file: file("tls_certificate_file")?,
                key_file: file("tls_key_file")?,
            },
            "self-signed" => TlsConfig::SelfSigned,
            _ => TlsConfig::Off,
        })
    }

    fn value(&self, key: &str) -> &Value {
        let found = self.values.iter().find(|(setting, ..)| setting.key == key);
        &found.unwrap_or_else(|| panic!("the table of settings has no {key}")).1
    }

    fn integer(&self, key: &str) -> u64 {
        match self.value(key) {
            Value::Integer(number) => *number,
            Value::Text(_) | Value::List(_) => panic!("{key} is no number in the table of settings"),
        }
    }

    fn text(&self, key: &str) -> &str {
        match self.value(key) {
            Value::Text(text) => text,
            Value::Integer(_) | Value::List(_) => panic!("{key} is no text in the table of settings"),
        }
    }

    fn texts(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Value::List(items) => items.clone(),
            Value::Integer(_) | Value::Text(_) => panic!("{key} is no list in the table of settings"),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::render_file;

    fn load_with(
        flags: &[FlagValue],
        environment: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<Settings, Vec<String>> {
        let path = std::env::temp_dir().join(format!(
            "connectord-{}-{:?}.toml",
            std::process::id(),
            std::thread::current().id()
        ));
        if let Some(text) = file {
            std::fs::write(&path, text).expect("written");
        }
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let result = load(file.map(|_| path.as_path()), flags, environment);
        let _ = std::fs::remove_file(&path);
        result
    }

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let shipped = include_str!("../../config/connectord.toml");
        assert_eq!(
            shipped,
            render_file(),
            "config/connectord.toml: make it anew with `connectord check-config --defaults`"
        );
        let settings = load_with(&[], &[], Some(shipped)).unwrap_or_else(|problems| panic!("{problems:?}"));
        for (setting, value, _) in &settings.values {
            assert_eq!(value, &setting.default_value(), "{}", setting.key);
        }
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file = Some("listen = '127.0.0.1:1'\ndata_dir = 'file'\n[log]\nlevel = 'warn'\n");
        let flags = [("listen", "127.0.0.1:3".to_owned())];
        let environment = [("CONNECTORD_LISTEN", "127.0.0.1:2"), ("CONNECTORD_DATA_DIR", "environment")];
        let config = load_with(&flags, &environment, file).map(Settings::into_config);
        let config = config.unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.data_dir, PathBuf::from("environment"));
        assert_eq!(config.log.level, tracing::Level::WARN);
        assert_eq!(config.limits.body_bytes, 65_536);
    }

    #[track_caller]
    fn check(file: &str, expected: &[&str]) {
        let Err(problems) = load_with(&[], &[], Some(file)) else { panic!("accepted: {file}") };
        let text = problems.join("\n");
        for part in expected {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_line_and_remedy() {
        check("\nlisten_ = 'x'\n", &["line 2", "listen_", "did you mean listen?"]);
        check("listen = 80\n", &["line 1", "listen", "a text in quotes"]);
        check("listen = 'localhost'\n", &["line 1", "127.0.0.1:8080"]);
        check("[limits]\n\nbody_bytes = 0\n", &["line 3", "limits.body_bytes", "1024"]);
        check("[limits]\nbody_bytes = '1'\n", &["line 2", "a whole number"]);
        check("[limit]\nbody_bytes = 1\n", &["line 1", "limit"]);
        check("[jobs]\nparallel = 8\nparallel = 9\n", &["line 3"]);
        check("[jobs\n", &["line 1"]);
        check("[jobs]\nparallel = = 9\n", &["line 2"]);
        check("[browser]\nallowed_origins = ['https://a/b']\n", &["line 2", "https://nas.example.com"]);
        check("[limits]\ntrusted_proxies = ['nginx']\n", &["line 2", "10.0.0.0/8", "unix"]);
        check("[limits]\ntrusted_proxies = ['::ffff:10.0.0.0/8']\n", &["line 2", "IPv4 as IPv4"]);
        check("jobs = 5\n", &["line 1", "jobs", "[jobs]"]);
        check("listen_unix = 'run/socket'\n", &["line 1", "begins with /"]);
    }

    #[test]
    fn keys_in_the_wrong_table_and_doubled_ones_are_told_their_place() {
        check("[browser]\nlisten = '127.0.0.1:1'\n", &["line 2", "write listen above the first [table]"]);
        check("trusted_proxies = []\n", &["line 1", "write trusted_proxies under [limits]"]);
        check("[browser]\ntrusted_proxies = []\n", &["line 2", "under [limits]"]);
        check("keep_count = 1\n", &["under [jobs]", "or write keep_count under [audit]"]);
        let again = "[limits] # first\nbody_bytes = 2048\n[browser]\n\n[limits]\nheader_lines = 50\n";
        check(again, &["line 5", "[limits] is there already, at line 1"]);
        let again = "[jobs]\nparallel = 8\n[limits]\n# parallel\n\n[cloud]\nca_file = 'a'\nca_file = 'b'\n";
        check(again, &["line 8", "ca_file is there already, at line 7"]);
    }

    #[test]
    fn tls_with_files_needs_both() {
        check("tls = 'files'\n", &["tls_certificate_file"]);
        check("tls = 'files'\ntls_certificate_file = 'c'\n", &["tls_key_file"]);
        check("tls = 'on'\n", &["off, files, self-signed"]);
        let file = "tls = 'files'\ntls_certificate_file = 'c'\ntls_key_file = 'k'\n";
        let config = load_with(&[], &[], Some(file)).map(Settings::into_config);
        let files = TlsConfig::Files { certificate_file: "c".into(), key_file: "k".into() };
        assert_eq!(config.unwrap_or_else(|problems| panic!("{problems:?}")).tls, files);
    }

    #[test]
    fn mistyped_variables_are_named() {
        let Err(problems) = load_with(&[], &[("CONNECTORD_LISTN", "x")], None) else { panic!("accepted") };
        assert!(problems[0].contains("CONNECTORD_LISTEN"), "{problems:?}");
    }
}
