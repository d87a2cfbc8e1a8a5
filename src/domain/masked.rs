//! Texts with a password somewhere inside: a proxy URL, or the `proxy=` option of a mount.
//!
//! Such a text is a secret as a whole; whoever may not read secrets sees its masked form.

use zeroize::Zeroizing;

use crate::domain::endpoint::password_range;
use crate::domain::option_list;
use crate::domain::secret::Secret;

const MASK: &str = "***";

/// A text that may contain a password, and the form of it without.
#[derive(Debug, Clone)]
pub struct MaskedText {
    full: Secret,
    masked: Option<String>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Proxy,
    MountOptions,
}

impl MaskedText {
    /// A proxy as `url_proxy` holds it: `scheme://user:password@host`, the scheme optional.
    pub fn proxy(text: &str) -> Self {
        Self::new(text, mask_password(text), Form::Proxy)
    }

    /// A list of mount options, where a `proxy=` or any URL may hold a password.
    pub fn mount_options(text: &str) -> Self {
        Self::new(text, mask_options(text), Form::MountOptions)
    }

    fn new(text: &str, masked: String, form: Form) -> Self {
        let masked = (masked != text).then_some(masked);
        Self { full: Secret::new(text.to_owned()), masked, form }
    }

    /// Whether there is a password to hide.
    pub fn holds_password(&self) -> bool {
        self.masked.is_some()
    }

    /// Whether a password was left out: this is a masked form, or has a piece of one, and is of no use on its own.
    pub fn lacks_password(&self) -> bool {
        self.full.expose().contains(":***@")
    }

    /// What holds its passwords: of a proxy the password, of mount options each option with one.
    pub fn parts_with_password(&self) -> Vec<Zeroizing<String>> {
        let text = self.full.expose();
        let part = |part: &str| Zeroizing::new(part.to_owned());
        match self.form {
            Form::Proxy => password_range(text).map(|range| part(&text[range])).into_iter().collect(),
            Form::MountOptions => {
                let items = option_list::split(text).into_iter();
                items.filter(|item| mask_options(item) != *item).map(part).collect()
            }
        }
    }

    /// Bytes of both forms.
    pub fn bytes(&self) -> usize {
        self.full.expose().len() + self.masked.as_ref().map_or(0, String::len)
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

/// Replaces the password of `[scheme://]user:password@rest`.
fn mask_password(text: &str) -> String {
    match password_range(text) {
        Some(range) => format!("{}{MASK}{}", &text[..range.start], &text[range.end..]),
        None => text.to_owned(),
    }
}

/// Masks each item of a list of mount options. Hiding too much does no harm here.
fn mask_options(text: &str) -> String {
    let items = option_list::split(text).into_iter().map(|item| {
        if !option_list::may_hold_password(item) {
            return item.to_owned();
        }
        let value = option_list::value_of(item);
        let beginning = &item[..item.len() - value.len()];
        if !value.contains('\\') {
            return format!("{beginning}{}", mask_password(value));
        }
        // A backslash can hide the colon or the @ that the password is found by.
        let plain = option_list::unescape(value);
        match mask_password(&plain) {
            masked if masked == *plain => item.to_owned(),
            masked => format!("{beginning}{}", option_list::escape(&masked)),
        }
    });
    items.collect::<Vec<String>>().join(",")
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
    fn a_password_is_hidden_whatever_surrounds_it() {
        check(&MaskedText::mount_options("proxy=u:p@ss,wo=rd@h,uid=1"), "proxy=u:***@h,uid=1");
        check(&MaskedText::mount_options("-o uid=5 -o proxy=u:p@h"), "-o uid=5 -o proxy=u:***@h");
        check(&MaskedText::mount_options("http://u:p,w=x@h"), "http://u:***@h");
        check(&MaskedText::mount_options("http://u:p=w@h,,=x"), "http://u:***@h,,=x");
        check(&MaskedText::mount_options(r"proxy=http://u:p\,x=1@h,b"), "proxy=http://u:***@h,b");
        check(&MaskedText::mount_options(r"proxy=http\072//u\072p\100h\,i,b"), r"proxy=http://u:***@h\,i,b");
        check(&MaskedText::mount_options(r"\proxy=u:p@h"), r"\proxy=u:***@h");
        check(&MaskedText::mount_options(r"use_cache=/a\,proxy=u:p,x@h"), r"use_cache=/a\,proxy=u:***@h");
        check(&MaskedText::mount_options(r"proxy=http://h\,i,b"), r"proxy=http://h\,i,b");
    }

    #[test]
    fn what_follows_a_whole_address_is_shown() {
        for text in [
            "url=http://minio:9000,use_cache=/volume1/@tmp",
            "url=https://h,use_sse=kmsid:x,use_cache=/volume1/@tmp",
        ] {
            check(&MaskedText::mount_options(text), text);
        }
        check(
            &MaskedText::mount_options("url=http://a,proxy=http://u:p@h"),
            "url=http://a,proxy=http://u:***@h",
        );
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
