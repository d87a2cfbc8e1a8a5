//! A cloud connector: a name, and what it takes to reach a cloud service.

mod changes;

use crate::domain::endpoint;
use crate::domain::masked::MaskedText;
use crate::domain::mount_options::MountOptions;
use crate::domain::patch::Patch;
use crate::domain::provider::{Provider, is_host_label};
use crate::domain::secret::Secret;
use crate::domain::violation::{Reason, Violation};

/// Longest connector name, in characters (code points).
pub const NAME_MAX_CHARACTERS: usize = 255;
/// Longest text attribute other than name and options, in characters.
pub const TEXT_MAX_CHARACTERS: usize = 1024;
/// Longest list of mount options, in characters.
pub const OPTIONS_MAX_CHARACTERS: usize = 4096;

/// A saved connector.
#[derive(Debug, Clone)]
pub struct Connector {
    /// Counts up from 1, never used twice.
    pub id: u64,
    /// Unique.
    pub name: ConnectorName,
    /// How to reach the service.
    pub settings: Settings,
    /// Goes up with each change of a secret key or password in the settings, so that it is known who saw which.
    pub secret_revision: u64,
}

impl Connector {
    /// Bytes of its texts: what it takes of memory besides what every connector does.
    pub fn text_bytes(&self) -> u64 {
        let Settings { url, url_proxy, provider: _, region, access_key, secret_key, options } =
            &self.settings;
        let texts = [url, region, access_key].into_iter().flatten().map(String::len);
        let masked = [url_proxy, options].into_iter().flatten().map(MaskedText::bytes);
        let secret = secret_key.iter().map(|secret| secret.expose().len());
        let bytes = self.name.as_str().len() + texts.chain(masked).chain(secret).sum::<usize>();
        bytes as u64
    }
}

/// How to reach a cloud service: everything of a connector that a test needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The endpoint as it was sent; checked by [`endpoint::parse_endpoint`].
    pub url: Option<String>,
    /// The proxy on the way to the endpoint.
    pub url_proxy: Option<MaskedText>,
    /// The kind of service.
    pub provider: Provider,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// The public half of the credentials.
    pub access_key: Option<String>,
    /// The secret half.
    pub secret_key: Option<Secret>,
    /// s3fs mount options, as they were sent.
    pub options: Option<MaskedText>,
}

/// A name that a connector may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectorName(String);

impl ConnectorName {
    /// Checks a name: 1 to 255 characters, not all digits (that is an id), not `-`, `.` or `..` (these have
    /// a meaning in a path), no control characters, no space at either end.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let refuse = |advice: &str| Err(Violation::invalid("name", text, advice));
        if text.is_empty() {
            return Err(Violation::new("name", Reason::Blank));
        }
        if text.chars().count() > NAME_MAX_CHARACTERS {
            return Err(Violation::new("name", Reason::TooLong(NAME_MAX_CHARACTERS as u64)));
        }
        if text.trim() != text {
            return refuse("leave out the space at the beginning or the end");
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return refuse("add something other than digits, a number alone is an id");
        }
        if matches!(text, "-" | "." | "..") {
            return refuse("this name has a meaning in addresses, choose another");
        }
        if text.chars().any(char::is_control) {
            return refuse("leave out line ends, tabs and other control characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// A name that was checked when it was stored, maybe by older rules.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request says about each attribute of a connector, parsed one by one.
#[derive(Debug, Default)]
pub struct ConnectorPatch {
    /// See [`Connector::name`].
    pub name: Patch<ConnectorName>,
    /// See [`Settings::url`].
    pub url: Patch<String>,
    /// See [`Settings::url_proxy`].
    pub url_proxy: Patch<MaskedText>,
    /// Cleared means the default, `generic_s3`.
    pub provider: Patch<Provider>,
    /// See [`Settings::region`].
    pub region: Patch<String>,
    /// See [`Settings::access_key`].
    pub access_key: Patch<String>,
    /// See [`Settings::secret_key`].
    pub secret_key: Patch<Secret>,
    /// See [`Settings::options`].
    pub options: Patch<MaskedText>,
}

impl ConnectorPatch {
    /// Whether the patch brings a text of its own where it, or the saved one, hides a password. Whether the two are the
    /// same must not be seen by who may not read the saved one.
    pub fn replaces_hidden_text(&self, saved: &Settings) -> bool {
        let replaces = |patch: &Patch<MaskedText>, saved: Option<&MaskedText>| match patch {
            Patch::Set(text) if saved.is_some_and(|saved| text.is_masked_form_of(saved)) => false,
            Patch::Set(text) => text.holds_password() || saved.is_some_and(MaskedText::holds_password),
            Patch::Keep | Patch::Clear => false,
        };
        replaces(&self.url_proxy, saved.url_proxy.as_ref()) || replaces(&self.options, saved.options.as_ref())
    }

    /// The settings after this patch. A masked form sent back keeps the saved text.
    pub fn apply_settings(self, before: Option<&Settings>) -> Settings {
        let keep_masked = |patch: Patch<MaskedText>, saved: Option<&MaskedText>| match patch {
            Patch::Set(text) => Some(text.or_saved(saved)),
            Patch::Keep => saved.cloned(),
            Patch::Clear => None,
        };
        let provider = self.provider.apply(before.map(|settings| settings.provider));
        Settings {
            url: self.url.apply(before.and_then(|settings| settings.url.clone())),
            url_proxy: keep_masked(self.url_proxy, before.and_then(|settings| settings.url_proxy.as_ref())),
            provider: provider.unwrap_or(Provider::GenericS3),
            region: self.region.apply(before.and_then(|settings| settings.region.clone())),
            access_key: self.access_key.apply(before.and_then(|settings| settings.access_key.clone())),
            secret_key: self.secret_key.apply(before.and_then(|settings| settings.secret_key.clone())),
            options: keep_masked(self.options, before.and_then(|settings| settings.options.as_ref())),
        }
    }
}

impl Settings {
    /// Rules that concern more than one attribute.
    pub fn violations(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.url.is_none() && !self.provider.has_well_known_endpoint() {
            let mut violation = Violation::new("url", Reason::Blank);
            violation.advice = format!("{} has no well-known endpoint", self.provider.name());
            violations.push(violation);
        }
        let region = self.region.as_deref().filter(|region| !is_host_label(region));
        if let (None, true, Some(region)) = (&self.url, self.provider.has_region_in_endpoint(), region) {
            let advice = "without a url the region is a part of the host name: letters, digits and hyphens";
            violations.push(Violation::invalid("region", region, advice));
        }
        let account = self.access_key.as_deref().filter(|account| !is_host_label(account));
        if let (None, Provider::Azure, Some(account)) = (&self.url, self.provider, account) {
            let advice = "without a url the account is a part of the host name: letters, digits and hyphens";
            violations.push(Violation::invalid("access_key", account, advice));
        }
        for (attribute, text) in [("url_proxy", &self.url_proxy), ("options", &self.options)] {
            if text.as_ref().is_some_and(MaskedText::lacks_password) {
                let advice = "the password in it is hidden as ***, send it whole";
                violations.push(Violation::invalid_secret(attribute, advice));
            }
        }
        violations
    }

    /// Whether a secret that belongs to `self` would go to another place, or be used in another way, with `other`.
    pub fn leads_elsewhere(&self, other: &Settings) -> bool {
        self.provider != other.provider
            || self.url != other.url
            || self.url_proxy != other.url_proxy
            || self.access_key != other.access_key
            || self.options != other.options
    }

    /// Whether a password in the proxy or the options of `self` is used with `other`.
    pub fn shares_password(&self, other: &Settings) -> bool {
        let shares = |own: &Option<MaskedText>, used: &Option<MaskedText>| {
            own.as_ref().is_some_and(MaskedText::holds_password) && own == used
        };
        shares(&self.url_proxy, &other.url_proxy) || shares(&self.options, &other.options)
    }
}

/// Checks the length of a text attribute.
///
/// # Errors
/// `too_long` with the limit.
pub fn parse_text(attribute: &str, text: &str, limit: usize) -> Result<String, Violation> {
    if text.chars().count() > limit {
        return Err(Violation::new(attribute, Reason::TooLong(limit as u64)));
    }
    Ok(text.to_owned())
}

/// Checks an endpoint.
///
/// # Errors
/// `too_long`, or `invalid` with advice.
pub fn parse_url(text: &str) -> Result<String, Violation> {
    let text = parse_text("url", text, TEXT_MAX_CHARACTERS)?;
    match endpoint::parse_endpoint(&text) {
        Ok(_) => Ok(text),
        // Somebody may have put a password into the URL: such a text is not repeated.
        Err(advice) if text.contains(['@', '?']) => Err(Violation::invalid_secret("url", advice)),
        Err(advice) => Err(Violation::invalid("url", &text, advice)),
    }
}

/// Checks a proxy. The text may hold a password, so it is never repeated.
///
/// # Errors
/// `too_long`, or `invalid` with advice.
pub fn parse_url_proxy(text: &str) -> Result<MaskedText, Violation> {
    let text = parse_text("url_proxy", text, TEXT_MAX_CHARACTERS)?;
    endpoint::parse_proxy(&text).map_err(|advice| Violation::invalid_secret("url_proxy", advice))?;
    Ok(MaskedText::proxy(&text))
}

/// Checks the form of a list of mount options; unknown ones are fine. The text may hold a password, so it is never
/// repeated.
///
/// # Errors
/// `too_long`, or `invalid` with advice.
pub fn parse_options(text: &str) -> Result<MaskedText, Violation> {
    let text = parse_text("options", text, OPTIONS_MAX_CHARACTERS)?;
    MountOptions::parse(&text).map_err(|advice| Violation::invalid_secret("options", advice))?;
    Ok(MaskedText::mount_options(&text))
}

/// Checks the name of a provider.
///
/// # Errors
/// `invalid`, with the names that would be right.
pub fn parse_provider(text: &str) -> Result<Provider, Violation> {
    Provider::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Provider::ALL.iter().map(|provider| provider.name()).collect();
        Violation::invalid("provider", text, format!("use one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<(), &str>) {
        let actual = ConnectorName::parse(name).map(|_| ()).map_err(|violation| violation.code());
        assert_eq!(actual, expected, "{name:?}");
    }

    #[test]
    fn names() {
        check("text", Ok(()));
        check("a b/c+d%e\"f'ü", Ok(()));
        check(&"ü".repeat(255), Ok(()));
        check("１２３", Ok(()));
        check("...", Ok(()));
        check("", Err("blank"));
        check(&"ü".repeat(256), Err("too_long"));
        for name in ["12", "-", ".", "..", " a", "a ", "a\u{a0}", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            check(name, Err("invalid"));
        }
    }

    #[test]
    fn options() {
        for text in ["text", "", "a,b=1,", "proxy=http://u:hunter2,x@h", "-o allow_other,uid=5"] {
            let parsed = parse_options(text).expect(text);
            assert_eq!(parsed.full().expose(), text);
        }
        for text in ["a,,b", "=hunter2", "a\nb", "proxy:http://u:hunter2@h"] {
            let violation = parse_options(text).expect_err(text);
            assert_eq!(violation.reason, Reason::Invalid(None));
            assert!(!violation.message().contains("hunter2"));
        }
        let violation = parse_options(&"a".repeat(4097)).expect_err("too long");
        assert_eq!(violation.code(), "too_long");
    }

    #[test]
    fn a_password_in_a_refused_url_is_not_repeated() {
        let violation = parse_url("http://user:hunter2@host").expect_err("refused");
        assert_eq!(violation.reason, Reason::Invalid(None));
    }
}
