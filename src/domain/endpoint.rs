//! Rules for the two addresses of a connector: the service's endpoint and the proxy on the way to it.

use std::ops::Range;

use url::Url;

/// Why an address is refused: the end of the sentence "Url is invalid: …".
pub type Advice = &'static str;

/// Parses an endpoint: an `http` or `https` URL, or a host with an optional port (then https).
///
/// # Errors
/// Says what would be right where the text is anything else, or has a user, a query or a fragment.
pub fn parse_endpoint(text: &str) -> Result<Url, Advice> {
    let url = parse_address(text, "https", &["http", "https"]).ok_or(
        "write an http or https URL such as https://s3.example.com, or a host with an optional port",
    )?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave user and password out, they belong into access_key and secret_key");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("leave out everything from ? or # on");
    }
    Ok(url)
}

/// Parses a proxy: an `http`, `https` or `socks5` URL, or a host with an optional port (then http).
/// User and password are allowed.
///
/// # Errors
/// Says what would be right where the text is anything else.
pub fn parse_proxy(text: &str) -> Result<Url, Advice> {
    const ADVICE: Advice = "write an http, https or socks5 URL such as http://proxy.example.com:3128, or a host with an optional port";
    let url = parse_address(text, "http", &["http", "https", "socks5"]).ok_or(ADVICE)?;
    let bare = url.query().is_none() && url.fragment().is_none() && matches!(url.path(), "" | "/");
    if bare { Ok(url) } else { Err(ADVICE) }
}

fn parse_address(text: &str, default_scheme: &str, schemes: &[&str]) -> Option<Url> {
    // The URL parser drops tabs and line ends and trims spaces: what it would not see is refused here.
    if text.chars().any(|character| character.is_whitespace() || character.is_control() || character == '\\')
    {
        return None;
    }
    let url = match text.split_once("://") {
        // The URL parser also takes "http:////host" and drops the extra slashes.
        Some((_, rest)) if rest.starts_with('/') => return None,
        Some(_) => Url::parse(text).ok()?,
        None => {
            let url = Url::parse(&format!("{default_scheme}://{text}")).ok()?;
            let is_host_alone = matches!(url.path(), "" | "/") && !text.starts_with('/');
            is_host_alone.then_some(url)?
        }
    };
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    (schemes.contains(&url.scheme()) && has_host && url.port() != Some(0)).then_some(url)
}

/// Where the password of `[scheme://]user:password@rest` is, in any text. The last `@` counts, so that a password that
/// holds one is found whole.
pub fn password_range(text: &str) -> Option<Range<usize>> {
    let is_scheme = |at: &usize| text[..*at].trim_start().bytes().all(|byte| byte.is_ascii_alphanumeric());
    let start = text.find("://").filter(is_scheme).map_or(0, |at| at + 3);
    let end = text.rfind('@').filter(|end| *end >= start)?;
    text[start..end].find(':').map(|colon| start + colon + 1..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let accepted = [
            ("text", "https://text/"),
            ("localhost:9000", "https://localhost:9000/"),
            ("http://10.0.0.2:9000", "http://10.0.0.2:9000/"),
            ("https://swift.example.com/auth/v1.0", "https://swift.example.com/auth/v1.0"),
            ("https://[::1]:9000/", "https://[::1]:9000/"),
            ("HTTPS://Example.com", "https://example.com/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
        ];
        for (text, expected) in accepted {
            assert_eq!(parse_endpoint(text).map(String::from), Ok(expected.to_owned()), "{text}");
        }
        let refused = [
            "",
            " ",
            "ftp://x",
            "http://",
            "http:///x",
            "http://u:p@h",
            "http://u@h",
            "http://h?a",
            "http://h#a",
            "h/path",
            "http://h:99999",
            "http://h:0",
            "a b",
            "http://h\n",
            "://h",
            "http:////h",
            "//h",
            "javascript:x",
            "http://h\\@evil",
            "u:p@h",
        ];
        for text in refused {
            assert!(parse_endpoint(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn proxies() {
        for text in
            ["proxy", "proxy:3128", "http://u:p@h:1", "https://h", "socks5://u:p@h:1080", "u:p@h:3128"]
        {
            assert!(parse_proxy(text).is_ok(), "{text:?} was refused");
        }
        for text in ["ftp://h", "socks4://h", "http://h/path", "http://h?x", "h/path", ""] {
            assert!(parse_proxy(text).is_err(), "{text:?} was accepted");
        }
    }
}
