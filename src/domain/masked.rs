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
            Some(saved) if self.is_masked_form_of(saved) => saved.clone(),
            Some(_) | None => self,
        }
    }

    /// Whether this is what is shown of the other to those who may not read it.
    pub fn is_masked_form_of(&self, other: &MaskedText) -> bool {
        other.masked.as_deref() == Some(self.full.expose())
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

/// Masks each item of a list separated by commas. A password may hold commas, which cut it: an item that may hold one
/// takes in what follows, as far as an `@` shows that it belongs to it. Hiding too much does no harm here.
fn mask_options(text: &str) -> String {
    let pieces: Vec<&str> = text.split(',').collect();
    let mut masked: Vec<String> = Vec::with_capacity(pieces.len());
    let mut next = 0;
    while next < pieces.len() {
        let piece = pieces[next];
        if !may_hold_password(piece) {
            masked.push(piece.to_owned());
            next += 1;
            continue;
        }
        let rest = &pieces[next + 1..];
        // With its own `@` the item is complete, but for pieces that are no options of their own.
        let candidates = if piece.contains('@') {
            rest.iter().take_while(|piece| !piece.contains('=')).count()
        } else {
            rest.len()
        };
        let taken = rest[..candidates].iter().rposition(|piece| piece.contains('@')).map_or(0, |at| at + 1);
        let item = pieces[next..=next + taken].join(",");
        let value_at = item.find('=').map_or(0, |at| at + 1);
        masked.push(format!("{}{}", &item[..value_at], mask_password(&item[value_at..])));
        next += taken + 1;
    }
    masked.join(",")
}

/// `proxy=…` in all its spellings, and anything with a URL.
fn may_hold_password(piece: &str) -> bool {
    let name = piece.trim_start().trim_start_matches("-o").trim_start().to_ascii_lowercase();
    name.starts_with("proxy") || piece.contains("://")
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
        check(&MaskedText::mount_options("proxy=http://u:pa,ss=word@h,uid=1"), "proxy=http://u:***@h,uid=1");
        check(&MaskedText::mount_options("proxy=http://u:a,b=c@d,e@h"), "proxy=http://u:***@h");
        check(&MaskedText::mount_options("PROXY=u:p@h"), "PROXY=u:***@h");
        check(&MaskedText::mount_options("-oproxy=u:p@h"), "-oproxy=u:***@h");
        check(&MaskedText::mount_options("-o proxy=u:p@h"), "-o proxy=u:***@h");
        check(&MaskedText::mount_options("http://u:p@h"), "http://u:***@h");
        check(&MaskedText::mount_options("proxy:http://u:p@h"), "proxy:***@h");
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
