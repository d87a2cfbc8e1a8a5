//! Settings: their kinds and values, and what follows from the table of them.

mod table;

use std::net::SocketAddr;

use url::Url;

use crate::config::trusted_proxies::TrustedProxies;
pub use table::SETTINGS;

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
