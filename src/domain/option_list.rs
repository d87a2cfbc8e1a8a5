//! How a list of mount options falls into its items: the same for those who read it and those who hide a password in it.
//!
//! libfuse cuts at every comma without a backslash before it (`process_real_option_group` in `lib/fuse_opt.c`). People
//! forget the backslash in a password. Cut there, one half would be shown and the other would look like an option, so
//! an item that may hold a password takes in what follows, as far as an `@` shows that it belongs to it.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::domain::endpoint::password_range;
use crate::domain::option_names;

/// The items of a list in their order, as they were sent; joined by commas they are the text again. Any text has items.
pub fn split(text: &str) -> Vec<&str> {
    // What is asked of each piece again and again is found out once: the time must not grow with the square of the text.
    let pieces: Vec<Piece> = cut(text).into_iter().map(|range| Piece::new(text, range)).collect();
    let mut rest = pieces.as_slice();
    let mut items = Vec::with_capacity(pieces.len());
    while let [first, following @ ..] = rest {
        let taken = if first.may_hold_password { taken_in(text, first, following) } else { 0 };
        let end = following[..taken].last().map_or(first.range.end, |last| last.range.end);
        items.push(&text[first.range.start..end]);
        rest = &following[taken..];
    }
    items
}

/// A text between two commas.
struct Piece {
    range: Range<usize>,
    has_at: bool,
    has_known_name: bool,
    may_hold_password: bool,
}

impl Piece {
    fn new(text: &str, range: Range<usize>) -> Self {
        let piece = &text[range.clone()];
        let has_known_name =
            bare(piece).split_once('=').is_some_and(|(name, _)| option_names::is_known(name.trim_end()));
        Self {
            range,
            has_at: unescape(piece).contains('@'),
            has_known_name,
            may_hold_password: may_hold_password(piece),
        }
    }
}

/// Cuts at every comma that has no backslash before it.
fn cut(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if byte == b',' && !is_escaped {
            pieces.push(start..at);
            start = at + 1;
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    pieces.push(start..text.len());
    pieces
}

/// Whether an item has `proxy…` in any spelling, or a URL, anywhere in it.
pub fn may_hold_password(item: &str) -> bool {
    let item = unescape(item);
    let is_proxy = |word: &str| {
        let name = word.trim_start_matches("-o");
        name.get(..5).is_some_and(|beginning| beginning.eq_ignore_ascii_case("proxy"))
    };
    item.contains("://") || item.split(',').any(|piece| piece.split_whitespace().any(is_proxy))
}

/// How many of the following pieces belong to an item that may hold a password.
fn taken_in(text: &str, first: &Piece, following: &[Piece]) -> usize {
    let value = unescape(value_of(&text[first.range.clone()]));
    // A whole address ends at the next option that s3fs knows; anything else may be the beginning of a password that
    // goes on beyond it.
    let candidates = if value.contains('@') || is_whole_address(&value) {
        following.iter().take_while(|piece| !piece.has_known_name).count()
    } else {
        following.len()
    };
    let Some(last) = following[..candidates].iter().rposition(|piece| piece.has_at) else { return 0 };
    let taken = last + 1;
    let end = following[last].range.end;
    // `url=https://host,use_cache=/volume1/@tmp`: no colon before the @, so there is no password to take in.
    if password_range(&unescape(value_of(&text[first.range.start..end]))).is_some() { taken } else { 0 }
}

/// Whether this is `[scheme://]host[:port][/path]`, where what follows the colon cannot be but a port.
fn is_whole_address(value: &str) -> bool {
    let value = value.trim();
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    // The colons within the brackets of an IPv6 address are none before a port.
    let (host, port, is_ipv6) = match authority.strip_prefix('[').and_then(|after| after.split_once(']')) {
        Some((host, port)) => (host, port, true),
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (host, port, false)
        }
    };
    let is_port =
        |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    let is_host_sign = |character: char| match is_ipv6 {
        true => character.is_ascii_hexdigit() || ".:".contains(character),
        false => character.is_alphanumeric() || "-._".contains(character),
    };
    !host.is_empty()
        && host.chars().all(is_host_sign)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// An item without spaces around it and without the `-o` of a command line before it.
pub fn bare(item: &str) -> &str {
    item.trim().trim_start_matches("-o").trim_start()
}

/// What follows the name of an item and its `=`; all of it where there is no name.
pub fn value_of(item: &str) -> &str {
    match item.split_once('=') {
        // In `http://user:pass=word@host` the `=` is a part of the password.
        Some((name, value)) if !name.contains([':', '/', '@', ',']) => value,
        Some(_) | None => item,
    }
}

/// Undoes the backslashes as libfuse does: three octal digits are a byte, anything else stands for itself.
pub fn unescape(text: &str) -> Zeroizing<String> {
    // With its whole capacity from the beginning it never moves and leaves nothing behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..] => {
                bytes.push((high - b'0') * 64 + (middle - b'0') * 8 + (low - b'0'));
                after
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                bytes.push(*byte);
                after
            }
            [] => return Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()),
        };
    }
}

/// Puts a backslash before what would have a meaning in a list.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace(',', "\\,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text), expected, "{text}");
        assert_eq!(split(text).join(","), text);
    }

    #[test]
    fn lists_fall_into_items() {
        check("", &[""]);
        check(",", &["", ""]);
        check("a,b=1,,c", &["a", "b=1", "", "c"]);
        check(r"use_cache=/a\,b,c", &[r"use_cache=/a\,b", "c"]);
        check(r"a=\\,b", &[r"a=\\", "b"]);
        check(r"a=\\\,b", &[r"a=\\\,b"]);
        check(r"a\", &[r"a\"]);
        check("ü=ö,ä", &["ü=ö", "ä"]);
    }

    #[test]
    fn a_password_is_not_cut() {
        check("proxy=http://u:p,w@h,x", &["proxy=http://u:p,w@h", "x"]);
        check("proxy=http://u:pa,ss=word@h,uid=1", &["proxy=http://u:pa,ss=word@h", "uid=1"]);
        check("proxy=http://u:p@ss,wo=rd@h,uid=1", &["proxy=http://u:p@ss,wo=rd@h", "uid=1"]);
        check("proxy=http://u:1234,56@h,x", &["proxy=http://u:1234,56@h", "x"]);
        check("proxy=http://u:1234,ro@h", &["proxy=http://u:1234,ro@h"]);
        check("proxy=http://u:p,uid=5@h", &["proxy=http://u:p,uid=5@h"]);
        // A bracket alone is none of an IPv6 address.
        check("proxy=http://u:p],uid=5@h", &["proxy=http://u:p],uid=5@h"]);
        check("proxy=http://[u:p],uid=5@h", &["proxy=http://[u:p],uid=5@h"]);
        check("http://u:p,w=x@h", &["http://u:p,w=x@h"]);
        check(r"proxy=http://u:p\100a,b@h,x", &[r"proxy=http://u:p\100a,b@h", "x"]);
        check(r"proxy=u:p,b\100h,x", &[r"proxy=u:p,b\100h", "x"]);
        check(r"use_cache=/a\,proxy=u:p,x@h,y", &[r"use_cache=/a\,proxy=u:p,x@h", "y"]);
        check("-o uid=5 -o proxy=u:p,w@h", &["-o uid=5 -o proxy=u:p,w@h"]);
    }

    #[test]
    fn an_address_without_a_password_takes_nothing_in() {
        let after = [
            "url=https://h",
            "url=https://h/",
            "url=http://h:9000",
            "url=http://[::1]:9000/a:b",
            "url=http://[fe80::1]",
            "proxy=h",
            "proxy=h:3128",
            "proxy=http://u:p@h:3128",
        ];
        for address in after {
            for rest in ["use_cache=/volume1/@tmp", "proxy=http://u:p@h", "endpoint=a,instance_name=a:b@c"] {
                let text = format!("{address},use_path_request_stile,{rest}");
                let items = split(&text);
                assert_eq!(items[..2], [address, "use_path_request_stile"], "{text}");
                assert_eq!(items[2..].join(","), rest);
            }
        }
        for text in ["proxy=,uid=u:p@h", "proxy=http://,uid=u:p@h", "proxy=u:,uid=p@h", "proxy=u:p,uid=p@h"] {
            check(text, &[text]);
        }
        check("url=https://h,unknown=/@tmp", &["url=https://h", "unknown=/@tmp"]);
        check("url=https://u@h,unknown=/@tmp", &["url=https://u@h", "unknown=/@tmp"]);
    }

    #[test]
    fn backslashes_are_undone() {
        let cases = [
            (r"a\,b", "a,b"),
            (r"a\\b", r"a\b"),
            (r"a\", r"a\"),
            (r"\a\1\12", "a112"),
            (r"\100\054\134", r"@,\"),
            (r"\400", "400"),
            (r"\303\274", "ü"),
            (r"\ü", "ü"),
            (r"\377", "\u{fffd}"),
        ];
        for (text, expected) in cases {
            assert_eq!(*unescape(text), expected, "{text}");
        }
        for text in ["", "a,b", r"a\b", r"\,\\"] {
            assert_eq!(*unescape(&escape(text)), text);
            assert_eq!(cut(&escape(text)).len(), 1);
        }
    }
}
