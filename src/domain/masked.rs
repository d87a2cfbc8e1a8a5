//! Texts with a password somewhere inside: a proxy URL, or the `proxy=` option of a mount.
//!
//! Such a text is a secret as a whole; whoever may not read secrets sees its masked form.

use crate::domain::secret::Secret;

const MASK: &str = "***";

/// A text that may contain a password, and the form of it without.
#[derive(Debug, Clone)]
pub struct MaskedText {
    full: Secret,
    masked: Option<String>,
}

impl MaskedText {
    /// A proxy as `url_proxy` holds it: `scheme://user:password@host`, the scheme optional.
    pub fn proxy(text: &str) -> Self {
        Self::new(text, mask_password(text))
    }

    /// A list of mount options, where a `proxy=` or any URL may hold a password.
    pub fn mount_options(text: &str) -> Self {
        Self::new(text, mask_options(text))
    }

    fn new(text: &str, masked: String) -> Self {
        let masked = (masked != text).then_some(masked);
        Self { full: Secret::new(text.to_owned()), masked }
    }

    /// Whether there is a password to hide.
    pub fn holds_password(&self) -> bool {
        self.masked.is_some()
    }

    /// Whether the password was left out: this is a masked form, and of no use on its own.
    pub fn lacks_password(&self) -> bool {
        self.masked.is_none() && self.full.expose().contains(":***@")
    }

    /// The text as it was sent.
    pub fn full(&self) -> &Secret {
        &self.full
    }

    /// The text with `***` in the place of each password.
    pub fn masked(&self) -> &str {
        self.masked.as_deref().unwrap_or_else(|| self.full.expose())
    }

    /// What a caller may see.
    pub fn visible(&self, secrets_allowed: bool) -> &str {
        if secrets_allowed { self.full.expose() } else { self.masked() }
    }

    /// This text, or the saved one where this is only the masked form of it sent back.
    pub fn or_saved(self, saved: Option<&MaskedText>) -> MaskedText {
        match saved {
            Some(saved) if saved.masked.as_deref() == Some(self.full.expose()) => saved.clone(),
            Some(_) | None => self,
        }
    }
}

impl PartialEq for MaskedText {
    fn eq(&self, other: &Self) -> bool {
        self.full.matches(&other.full)
    }
}

/// Replaces the password of `[scheme://]user:password@rest`. The last `@` counts, so that a password
/// that holds one is hidden whole.
fn mask_password(text: &str) -> String {
    let is_scheme = |at: &usize| text[..*at].trim_start().bytes().all(|byte| byte.is_ascii_alphanumeric());
    let start = text.find("://").filter(is_scheme).map_or(0, |at| at + 3);
    let Some(end) = text.rfind('@').filter(|end| *end >= start) else {
        return text.to_owned();
    };
    match text[start..end].find(':') {
        Some(colon) => format!("{}{MASK}{}", &text[..=start + colon], &text[end..]),
        None => text.to_owned(),
    }
}

/// Masks each item of a list separated by commas. A password with a comma in it would be cut in two,
/// so an item takes in the items without a `=` after it up to one that brings the `@`.
fn mask_options(text: &str) -> String {
    let pieces: Vec<&str> = text.split(',').collect();
    let mut masked: Vec<String> = Vec::with_capacity(pieces.len());
    let mut next = 0;
    while next < pieces.len() {
        let is_proxy = pieces[next].split_once('=').is_some_and(|(name, _)| name.trim() == "proxy");
        let may_hold_password = is_proxy || pieces[next].contains("://");
        let mut last = next;
        if may_hold_password {
            let rest = &pieces[next + 1..];
            let unnamed = rest.iter().take_while(|piece| !piece.contains('=')).count();
            if let Some(at) = rest[..unnamed].iter().rposition(|piece| piece.contains('@')) {
                last = next + 1 + at;
            }
        }
        let item = pieces[next..=last].join(",");
        masked.push(match item.split_once('=') {
            Some((name, value)) if may_hold_password => format!("{name}={}", mask_password(value)),
            Some(_) | None => item,
        });
        next = last + 1;
    }
    masked.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(actual: &MaskedText, expected: &str) {
        assert_eq!(actual.masked(), expected);
    }

    #[test]
    fn passwords_of_proxies_are_hidden() {
        check(&MaskedText::proxy("http://u:p@h:1"), "http://u:***@h:1");
        check(&MaskedText::proxy("u:p@h"), "u:***@h");
        check(&MaskedText::proxy("socks5://u:a@b:c@h"), "socks5://u:***@h");
        check(&MaskedText::proxy("http://u@h"), "http://u@h");
        check(&MaskedText::proxy("http://h:80"), "http://h:80");
        check(&MaskedText::proxy("u:p@x://y"), "u:***@x://y");
    }

    #[test]
    fn passwords_in_mount_options_are_hidden() {
        check(&MaskedText::mount_options("a,proxy=http://u:p@h,b=1"), "a,proxy=http://u:***@h,b=1");
        check(&MaskedText::mount_options("proxy=u:p@h"), "proxy=u:***@h");
        check(&MaskedText::mount_options(" proxy = http://u:p@h"), " proxy = http://u:***@h");
        check(&MaskedText::mount_options("proxy=http://u:p,w@h,x"), "proxy=http://u:***@h,x");
        check(&MaskedText::mount_options("url=https://u:p@h"), "url=https://u:***@h");
        check(&MaskedText::mount_options("uid=5,mail=a:b@c"), "uid=5,mail=a:b@c");
    }

    #[test]
    fn the_masked_form_sent_back_keeps_the_saved_text() {
        let saved = MaskedText::proxy("http://u:p@h");
        let back = MaskedText::proxy("http://u:***@h").or_saved(Some(&saved));
        assert_eq!(back.full().expose(), "http://u:p@h");
        let other = MaskedText::proxy("http://u:***@evil").or_saved(Some(&saved));
        assert_eq!(other.full().expose(), "http://u:***@evil");
        assert!(other.lacks_password() && !back.lacks_password());
    }
}
