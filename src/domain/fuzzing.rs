//! What has to hold for any filter, list of mount options and address; see [`crate::fuzzing`].

use std::sync::{Arc, LazyLock};

use crate::domain::address;
use crate::domain::connector::{Connector, ConnectorName, Settings};
use crate::domain::endpoint;
use crate::domain::listing::{Attribute as _, ConnectorAttribute, Filter, ListQuery, Page};
use crate::domain::masked::MaskedText;
use crate::domain::mount_options::MountOptions;
use crate::domain::option_list;
use crate::domain::provider::Provider;

/// Longest text that the reference of a pattern is asked about: it costs pattern times text.
const REFERENCE_MAX_CHARACTERS: usize = 256;
/// Beginning and end of a password; letters of both are in nothing else.
const PASSWORD_ENDS: [&str; 2] = ["QzHeadQz", "QzTailQz"];

/// Connectors to list: with every attribute, and with none that can be left out.
pub fn sample_connectors() -> &'static [Arc<Connector>] {
    static CONNECTORS: LazyLock<Vec<Arc<Connector>>> = LazyLock::new(|| {
        let names = ["backup", "Backup 2", "ünï_%\\", "a|b,c", "=x"];
        let connectors = names.into_iter().zip(1..).map(|(name, id)| {
            let text = (id % 2 == 1).then(|| format!("http://user:word@{name}.example.com:{id}"));
            sample(id, name, text)
        });
        connectors.collect()
    });
    &CONNECTORS
}

fn sample(id: u64, name: &str, text: Option<String>) -> Arc<Connector> {
    let settings = Settings {
        url: text.clone(),
        url_proxy: text.as_deref().map(MaskedText::proxy),
        provider: Provider::ALL[id as usize % Provider::ALL.len()],
        region: text.clone(),
        access_key: text,
        secret_key: None,
        options: None,
    };
    Arc::new(Connector {
        id,
        name: ConnectorName::from_stored(name.to_owned()),
        settings,
        secret_revision: 0,
    })
}

/// A filter: a byte for the attribute, the value, then on further lines a text to compare with. Each condition is the
/// opposite of its negation, and patterns mean what a slow but simple reading of them does.
pub fn filter(data: &[u8]) {
    let Some((attribute, rest)) = data.split_first() else { return };
    let attribute = ConnectorAttribute::ALL[usize::from(*attribute) % ConnectorAttribute::ALL.len()];
    let rest = String::from_utf8_lossy(rest);
    let (value, text) = rest.split_once('\n').unwrap_or((&rest, ""));
    // Whatever comes, it does not panic.
    let _ = Filter::parse(attribute, value);
    let operand = value.trim_start_matches(['!', '=', '<', '>', '~']);
    let mut connectors = sample_connectors().to_vec();
    connectors.push(sample(7, text, Some(text.to_owned())));
    for (sign, negation) in [("=", "!="), ("><", "!><"), ("~", "!~"), (">", "<="), ("<", ">=")] {
        let parsed = Filter::parse(attribute, &format!("{sign}{operand}"));
        let negated = Filter::parse(attribute, &format!("{negation}{operand}"));
        assert_eq!(parsed.is_ok(), negated.is_ok(), "{sign}{operand}");
        let (Ok(parsed), Ok(negated)) = (parsed, negated) else { continue };
        // What is unset is neither greater nor less.
        let is_order = sign == ">" || sign == "<";
        for connector in connectors.iter().filter(|connector| !is_order || connector.id % 2 == 1) {
            let (is_listed, is_listed_by_negation) = (lists(&parsed, connector), lists(&negated, connector));
            assert_ne!(is_listed, is_listed_by_negation, "{sign}{operand} {connector:?}");
        }
    }
    if text.chars().count() <= REFERENCE_MAX_CHARACTERS
        && let Ok(pattern) = Filter::parse(ConnectorAttribute::Name, &format!("~{operand}"))
    {
        assert_eq!(lists(&pattern, &sample(7, text, None)), is_like(operand, text), "{operand:?} {text:?}");
    }
}

fn lists(filter: &Filter<ConnectorAttribute>, connector: &Arc<Connector>) -> bool {
    let query = ListQuery {
        filters: vec![filter.clone()],
        order: Vec::new(),
        page: Page { limit: usize::MAX, offset: 0 },
    };
    let (count, _) = query.select([connector].into_iter()).expect("one text is within the budget");
    count == 1
}

/// The reference for patterns: which beginnings of the text fit which beginnings of the pattern.
fn is_like(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().map(|character| character.to_ascii_lowercase()).collect();
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    let mut pattern = pattern.chars().peekable();
    while let Some(mut sign) = pattern.next() {
        let escaped = (sign == '\\').then(|| pattern.next_if(|next| "%_\\".contains(*next))).flatten();
        sign = escaped.unwrap_or(sign).to_ascii_lowercase();
        let before = fits.clone();
        for end in 0..=text.len() {
            fits[end] = match sign {
                '%' if escaped.is_none() => before[end] || (end > 0 && fits[end - 1]),
                '_' if escaped.is_none() => end > 0 && before[end - 1],
                literal => end > 0 && before[end - 1] && text[end - 1] == literal,
            };
        }
    }
    fits[text.len()]
}

/// A list of mount options, then on two further lines what stands in a password and what stands behind the option with
/// it. No piece of the password is shown, wherever it stands.
pub fn mount_options(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (before, middle, after) = (line(), line(), line());
    check_options(before);
    if PASSWORD_ENDS.iter().any(|end| before.contains(end) || after.contains(end)) {
        return;
    }
    // A backslash at the end would make the option with the password a part of another one's value.
    let before = before.trim_end_matches('\\');
    let [head, tail] = PASSWORD_ENDS;
    let password = format!("{head}{middle}{tail}");
    let escaped = option_list::escape(&password);
    // Somebody who knows of no backslashes; with an @ inside nobody could tell where the password ends.
    let unescaped = password.replace(['@', '\\'], "");
    let names = ["proxy=", "url=", "-o proxy="];
    let name = names[data.len() % names.len()];
    for password in [escaped, unescaped] {
        let option = format!("{name}http://user:{password}@proxy.example.com:3128");
        check_hidden(&format!("{before},{option}"));
        check_hidden(&format!("{before},{option},{after}"));
    }
}

fn check_options(text: &str) {
    assert_eq!(option_list::split(text).join(","), text);
    let masked = MaskedText::mount_options(text);
    // Masked once more it may hide more, as what belongs to a password is then told by other signs, but nothing comes back.
    let again = MaskedText::mount_options(masked.masked());
    assert!(!masked.holds_password() || again.masked().contains("***"), "masked twice: {text}");
    let Ok(options) = MountOptions::parse(text) else { return };
    if let Ok(used) = options.for_test() {
        assert!(used.url.is_none_or(|url| endpoint::parse_endpoint(&url).is_ok()));
        assert!(used.proxy.is_none_or(|proxy| endpoint::parse_proxy(proxy.expose()).is_ok()));
    }
    for (name, nearest) in options.unknown() {
        assert!(name.is_ascii() && (1..=64).contains(&name.len()) && nearest != Some(name), "{name}");
    }
    assert!(options.not_honoured().all(|name| options.last_of(&[name]).is_some()));
}

fn check_hidden(text: &str) {
    let masked = MaskedText::mount_options(text);
    let shows = |shown: &str| PASSWORD_ENDS.iter().any(|end| shown.contains(end));
    assert!(masked.holds_password() && !shows(masked.masked()), "{text} as {}", masked.masked());
    let options = MountOptions::parse(masked.masked());
    let names = options.iter().flat_map(MountOptions::unknown);
    names.for_each(|(name, _)| assert!(!shows(name), "{name}"));
}

/// An endpoint or a proxy: what is accepted has a host, is the same when it is read again, and without its password is
/// the same but for that.
pub fn endpoint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = endpoint::parse_endpoint(&text) {
        assert!(url.host_str().is_some_and(|host| !host.is_empty()) && url.port() != Some(0));
        assert!(url.username().is_empty() && url.password().is_none());
        assert_eq!(endpoint::parse_endpoint(url.as_str()).as_ref(), Ok(&url));
        let literal = address::literal(&url);
        if let Some(address) = literal {
            // However it is written, it is judged as what is connected to.
            assert_eq!(address::is_forbidden(address), address::is_forbidden(address.to_canonical()));
        }
    }
    let masked = MaskedText::proxy(&text);
    assert_eq!(MaskedText::proxy(masked.masked()).masked(), masked.masked());
    let Ok(url) = endpoint::parse_proxy(&text) else { return };
    assert_eq!(endpoint::parse_proxy(url.as_str()).as_ref(), Ok(&url));
    // A password of three stars is what a masked form has.
    if url.password().is_some_and(|password| password != "***") {
        let mut expected = url;
        expected.set_password(Some("***")).expect("an accepted proxy has a host");
        assert!(masked.holds_password());
        // Of an @ in a path that leads back to its beginning more is masked than the password.
        let (user, _) = text.rsplit_once('@').expect("something is before the host");
        if !user.split_once("://").map_or(user, |(_, user)| user).contains('/') {
            assert_eq!(endpoint::parse_proxy(masked.masked()).as_ref(), Ok(&expected), "{text}");
        }
    }
}
