//! Mount options: what s3fs takes after `-o`.
//!
//! A list is malformed only where no program could read it; an option that nobody knows is fine, and reported by
//! [`MountOptions::unknown`].

use crate::domain::endpoint::Advice;
use crate::domain::option_list;
use crate::domain::option_names;
use crate::domain::secret::Secret;

/// Most characters of an unknown name that are shown.
const SHOWN_MAX_CHARACTERS: usize = 64;

const NO_CONTROL: Advice = "leave out line ends, tabs and other control characters";
const NO_EMPTY: Advice = "write an option between two commas, or leave one of them out";
const NO_NAMELESS: Advice = "write the name of an option before each =";
const NO_SPACES: Advice =
    "separate options by commas, and write a comma or a backslash within a value with a backslash before it";
const NO_SIGNS: Advice = "write options as name or name=value, separated by commas; a comma within a value needs a backslash before it";

/// A list of mount options, in the order that they were sent.
#[derive(Debug, Clone)]
pub struct MountOptions {
    options: Vec<MountOption>,
}

/// One option: `name`, or `name=value`.
#[derive(Debug, Clone)]
pub struct MountOption {
    /// The name; letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What follows the `=`, without its backslashes. Any of them may hold a password.
    pub value: Option<Secret>,
}

impl MountOptions {
    /// Parses a list. Spaces around items and names, a comma at the end, and the `-o` of a command line before an item
    /// do no harm; an empty text is an empty list.
    ///
    /// # Errors
    /// What would be right; no piece of the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, Advice> {
        if text.chars().any(char::is_control) {
            return Err(NO_CONTROL);
        }
        let mut items = option_list::split(text);
        if items.last().is_some_and(|last| last.trim().is_empty()) {
            items.pop();
        }
        let options = items.into_iter().map(MountOption::parse).collect::<Result<_, _>>()?;
        Ok(Self { options })
    }
}

impl MountOptions {
    /// The options in the order that they were sent.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &MountOption> {
        self.options.iter()
    }

    /// The last option with one of these names, which for s3fs is the one in force.
    pub fn last_of(&self, names: &[&str]) -> Option<&MountOption> {
        self.iter().rfind(|option| names.contains(&option.name.as_str()))
    }

    /// The value of an option; of the last one, where there are several.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.last_of(&[name]).and_then(MountOption::text)
    }

    /// Names that no mount takes, each once and cut to a length that can be shown, with the known name that was maybe
    /// meant. Names are shown to people: parse the masked text for them, where no piece of a password can be one.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, Option<&'static str>)> {
        let is_first = |at: usize, name: &str| !self.options[..at].iter().any(|before| before.name == name);
        let unknown =
            self.options.iter().enumerate().filter(move |(at, option)| {
                !option_names::is_known(&option.name) && is_first(*at, &option.name)
            });
        // A name is ASCII, so that any cut is between two characters.
        unknown.map(|(_, option)| {
            let shown = option.name.get(..SHOWN_MAX_CHARACTERS).unwrap_or(&option.name);
            (shown, option_names::nearest_to(&option.name))
        })
    }

    /// Options that change how requests are sent or signed, but not those of a test.
    pub fn not_honoured(&self) -> impl Iterator<Item = &'static str> {
        option_names::NOT_HONOURED.iter().copied().filter(|name| match *name {
            // The last of the two is in force.
            "sigv2" => self.last_of(&["sigv2", "sigv4"]).is_some_and(|option| option.name == "sigv2"),
            "public_bucket" => self.value("public_bucket").is_some_and(|value| value != "0"),
            name => self.last_of(&[name]).is_some(),
        })
    }
}

impl MountOption {
    fn parse(item: &str) -> Result<Self, Advice> {
        let item = option_list::bare(item);
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(option_list::unescape(value.trim_start()))),
            None => (item, None),
        };
        let is_sign = |character: char| !character.is_ascii_alphanumeric() && !"_-.".contains(character);
        match name {
            "" if value.is_none() => Err(NO_EMPTY),
            "" => Err(NO_NAMELESS),
            name if name.contains(char::is_whitespace) => Err(NO_SPACES),
            name if name.contains(is_sign) => Err(NO_SIGNS),
            _ if value.as_ref().is_some_and(|value| value.contains(char::is_control)) => Err(NO_CONTROL),
            name => {
                let value = value.map(|mut value| Secret::new(std::mem::take(&mut *value)));
                Ok(Self { name: name.to_owned(), value })
            }
        }
    }

    /// The value, to be shown to nobody.
    pub fn text(&self) -> Option<&str> {
        self.value.as_ref().map(Secret::expose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::masked::MaskedText;

    #[track_caller]
    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(text).unwrap_or_else(|advice| panic!("{text}: {advice}"))
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, Option<&str>)]) {
        let options = parse(text);
        let actual: Vec<_> = options.iter().map(|option| (option.name.as_str(), option.text())).collect();
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn lists_are_parsed() {
        check("", &[]);
        check("  ", &[]);
        check("text", &[("text", None)]);
        check("a,b=1", &[("a", None), ("b", Some("1"))]);
        check("b=1,a, ", &[("b", Some("1")), ("a", None)]);
        check(" a , b = 1 ,", &[("a", None), ("b", Some("1"))]);
        check("-o a,-ob=1,-o  c", &[("a", None), ("b", Some("1")), ("c", None)]);
        check("a=,b==,c=d=e", &[("a", Some("")), ("b", Some("=")), ("c", Some("d=e"))]);
        check(r"a=x\,y,b=x\\,c=\101", &[("a", Some("x,y")), ("b", Some(r"x\")), ("c", Some("A"))]);
        check("a=ü b", &[("a", Some("ü b"))]);
        check("x-systemd.automount,a-b", &[("x-systemd.automount", None), ("a-b", None)]);
        check("proxy=http://u:p,w=x@h,uid=5", &[("proxy", Some("http://u:p,w=x@h")), ("uid", Some("5"))]);
        check(
            "url=http://minio:9000,use_cache=/volume1/@tmp",
            &[("url", Some("http://minio:9000")), ("use_cache", Some("/volume1/@tmp"))],
        );
    }

    #[test]
    fn malformed_lists_are_refused() {
        let refused = [
            ("a\nb", NO_CONTROL),
            ("a,\u{7f}", NO_CONTROL),
            ("a\u{85}", NO_CONTROL),
            (r"a=\012", NO_CONTROL),
            (r"a=\000", NO_CONTROL),
            (",", NO_EMPTY),
            (",a", NO_EMPTY),
            ("a,,b", NO_EMPTY),
            ("a, ,b", NO_EMPTY),
            ("a,,", NO_EMPTY),
            ("-o", NO_EMPTY),
            ("=x", NO_NAMELESS),
            ("a, = x", NO_NAMELESS),
            ("a b", NO_SPACES),
            ("a b=1", NO_SPACES),
            ("-o a -o b=1", NO_SPACES),
            ("http://u:p@h", NO_SIGNS),
            ("proxy:http://u:p@h", NO_SIGNS),
            ("ü", NO_SIGNS),
            ("\"a\"", NO_SIGNS),
            (r"a\b", NO_SIGNS),
            ("a;b", NO_SIGNS),
        ];
        for (text, expected) in refused {
            assert_eq!(MountOptions::parse(text).err(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let options = parse("a=1,flag,b,a=2,b=3,off=0,off");
        assert_eq!(options.value("a"), Some("2"));
        assert_eq!(options.value("flag"), None);
        assert_eq!(options.value("missing"), None);
        assert_eq!(options.last_of(&["flag", "b"]).map(|option| option.name.as_str()), Some("b"));
    }

    #[test]
    fn unknown_options_are_named() {
        let long = "z".repeat(4000);
        let text = format!("uid=5,use_cash=/a,ro,text,use_cash,URL=x,x-a.b=1,{long}");
        let options = parse(&text);
        let unknown: Vec<_> = options.unknown().collect();
        let expected = [("use_cash", Some("use_cache")), ("text", None), ("URL", None), (&long[..64], None)];
        assert_eq!(unknown, expected);
    }

    #[test]
    fn no_piece_of_a_hidden_password_is_a_name() {
        let passwords =
            ["pa,ss=word", "pa,s1,s2=x,s3", "p@ss,wo=rd", ",a", "1234,b", "x=y,z", r"a\,b=c", r"\100a,b=c"];
        for password in passwords {
            for list in [
                format!("proxy=http://u:{password}@h,uid=5"),
                format!("tmpdir=/a,-oproxy=u:{password}@h"),
                format!("url=https://u:{password}@h/x,ro,typo"),
                format!("use_cache=/volume1/@tmp,proxy = socks5://u:{password}@h:1080,"),
            ] {
                let masked = MaskedText::mount_options(&list);
                assert!(masked.holds_password() && !masked.masked().contains(password), "{list}");
                let options = parse(masked.masked());
                let unknown: Vec<_> = options.unknown().map(|(name, _)| name).collect();
                assert!(unknown.is_empty() || unknown == ["typo"], "{list}: {unknown:?}");
                // Nor is it cut: the whole text has the same options as the masked one.
                let names = |options: &MountOptions| {
                    options.iter().map(|option| option.name.clone()).collect::<Vec<_>>()
                };
                assert_eq!(names(&parse(&list)), names(&options), "{list}");
            }
        }
        assert!(!format!("{:?}", parse("proxy=http://u:hunter2@h")).contains("hunter2"));
    }

    #[test]
    fn options_that_a_test_cannot_honour_are_named() {
        let cases: [(&str, &[&str]); 8] = [
            ("uid=5,use_cache=/a,url=http://h,sigv4,unknown", &[]),
            ("sigv2,iam_role=auto,passwd_file=/x,iam_role", &["iam_role", "passwd_file", "sigv2"]),
            ("sigv2,sigv4", &[]),
            ("sigv4,sigv2", &["sigv2"]),
            ("public_bucket=0", &[]),
            ("public_bucket=1", &["public_bucket"]),
            ("public_bucket=1,public_bucket=0", &[]),
            ("ecs,ssl_client_cert=a:b,ahbe_conf=/x", &["ahbe_conf", "ecs", "ssl_client_cert"]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).not_honoured().collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
