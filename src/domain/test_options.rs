//! What of a connector's mount options a test of it uses.

use std::time::Duration;

use crate::domain::endpoint::{self, Advice};
use crate::domain::mount_options::{MountOption, MountOptions};
use crate::domain::secret::Secret;

/// Longest timeout that can be meant, in seconds: a day.
const TIMEOUT_MAX_SECONDS: u64 = 86_400;
/// Longest name of a region.
const REGION_MAX_CHARACTERS: usize = 64;

const NO_VALUE: Advice = "write its name alone, without = and a value";
const SECONDS: Advice = "write a whole number of seconds up to 86400; 0 is for no limit of its own";
const HOST_CHECK: Advice = "write 0, where the certificate may be of another host, or 1";
const REGION: Advice = "write the name of a region such as us-east-1";

/// The options that change a test, checked.
#[derive(Debug)]
pub struct TestOptions {
    /// The endpoint, in the place of the connector's; checked by [`endpoint::parse_endpoint`].
    pub url: Option<String>,
    /// The proxy, in the place of the connector's; checked by [`endpoint::parse_proxy`].
    pub proxy: Option<Secret>,
    /// The region that requests are signed for, in the place of the connector's.
    pub region: Option<String>,
    /// Whether a bucket is named in the path of a request, instead of in its host.
    pub uses_path_style: bool,
    /// Whether the service's certificate has to be one that is trusted.
    pub checks_certificate: bool,
    /// Whether the service's certificate has to be one of its host.
    pub checks_host_name: bool,
    /// Time to connect.
    pub connect_timeout: Option<Duration>,
    /// Time that the service may send nothing.
    pub answer_timeout: Option<Duration>,
}

/// An option with an unusable value: its name, and what would be right.
pub type Unusable = (&'static str, Advice);

impl MountOptions {
    /// What a test uses. Where an option is there several times the last one counts, whatever the others are.
    ///
    /// # Errors
    /// The first unusable option; its value is not repeated.
    pub fn for_test(&self) -> Result<TestOptions, Unusable> {
        Ok(TestOptions {
            // To s3fs both are one: the last of them is where it connects.
            url: self.checked(&["url", "host"], check_url)?.map(str::to_owned),
            proxy: self.checked(&["proxy"], check_proxy)?.map(|proxy| Secret::new(proxy.to_owned())),
            region: self.checked(&["endpoint", "region"], check_region)?.map(str::to_owned),
            uses_path_style: self.switch("use_path_request_style")?,
            checks_certificate: !self.switch("no_check_certificate")?,
            checks_host_name: self.checked(&["ssl_verify_hostname"], check_host_check)? != Some("0"),
            connect_timeout: self.seconds("connect_timeout")?,
            answer_timeout: self.seconds("readwrite_timeout")?,
        })
    }

    /// The value in force of an option with one of these names. Without a value it is checked like an empty one.
    fn checked(
        &self,
        names: &[&'static str],
        check: impl Fn(&str) -> Result<(), Advice>,
    ) -> Result<Option<&str>, Unusable> {
        let Some(option) = self.last_of(names) else {
            return Ok(None);
        };
        let value = option.text().unwrap_or_default();
        let name = names.iter().find(|name| **name == option.name).copied().unwrap_or_default();
        check(value).map(|()| Some(value)).map_err(|advice| (name, advice))
    }

    fn switch(&self, name: &'static str) -> Result<bool, Unusable> {
        let option = self.last_of(&[name]);
        match option.and_then(MountOption::text) {
            // s3fs does not know it as an option then, and does not mount: on or off would both be a guess.
            Some(_) => Err((name, NO_VALUE)),
            None => Ok(option.is_some()),
        }
    }

    fn seconds(&self, name: &'static str) -> Result<Option<Duration>, Unusable> {
        let check = |value: &str| parse_seconds(value).map(|_| ()).ok_or(SECONDS);
        // To curl, which s3fs gives it to, 0 is its own default.
        Ok(self.checked(&[name], check)?.and_then(parse_seconds).filter(|time| !time.is_zero()))
    }
}

fn check_url(value: &str) -> Result<(), Advice> {
    endpoint::parse_endpoint(value).map(|_| ())
}

fn check_proxy(value: &str) -> Result<(), Advice> {
    endpoint::parse_proxy(value).map(|_| ())
}

/// A region stands between slashes in what is signed, so it has none, and nothing that a header cannot have.
fn check_region(value: &str) -> Result<(), Advice> {
    let is_right = value.len() <= REGION_MAX_CHARACTERS
        && value.bytes().all(|byte| byte.is_ascii_graphic() && !b"/,".contains(&byte));
    if is_right && !value.is_empty() { Ok(()) } else { Err(REGION) }
}

/// 2 is the default as the manual page has it, though the parser of s3fs takes only 0 and 1.
fn check_host_check(value: &str) -> Result<(), Advice> {
    if matches!(value, "0" | "1" | "2") { Ok(()) } else { Err(HOST_CHECK) }
}

fn parse_seconds(value: &str) -> Option<Duration> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse().ok().filter(|seconds| is_number && *seconds <= TIMEOUT_MAX_SECONDS);
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn for_test(text: &str) -> Result<TestOptions, Unusable> {
        MountOptions::parse(text).expect(text).for_test()
    }

    #[test]
    fn without_options_nothing_is_changed() {
        for text in ["", "uid=5,allow_other,unknown=x,use_cache=/a"] {
            let options = for_test(text).expect(text);
            assert!(options.url.is_none() && options.proxy.is_none() && options.region.is_none());
            assert!(options.checks_certificate && options.checks_host_name && !options.uses_path_style);
            assert!(options.connect_timeout.is_none() && options.answer_timeout.is_none());
        }
    }

    #[test]
    fn options_are_read() {
        let options = for_test(
            "url=http://a,host=https://b:9000/,proxy=http://u:p\\,w@h,region=x,endpoint=eu-west-1,\
             use_path_request_style,no_check_certificate,ssl_verify_hostname=0,connect_timeout=5,\
             readwrite_timeout=86400",
        )
        .expect("usable");
        assert_eq!(options.url.as_deref(), Some("https://b:9000/"));
        assert_eq!(options.proxy.as_ref().map(Secret::expose), Some("http://u:p,w@h"));
        assert_eq!(options.region.as_deref(), Some("eu-west-1"));
        assert!(options.uses_path_style && !options.checks_certificate && !options.checks_host_name);
        assert_eq!(options.connect_timeout, Some(Duration::from_secs(5)));
        assert_eq!(options.answer_timeout, Some(Duration::from_secs(86_400)));
        assert!(!format!("{options:?}").contains("p,w"));
    }

    #[test]
    fn the_last_one_counts() {
        let options = for_test("connect_timeout=x,connect_timeout=7,endpoint=,region=r,url=,url=http://h");
        let options = options.expect("usable");
        assert_eq!(options.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(options.region.as_deref(), Some("r"));
        assert_eq!(options.url.as_deref(), Some("http://h"));
        for (value, expected) in [("0", false), ("1", true), ("2", true)] {
            let options = for_test(&format!("ssl_verify_hostname={value}")).expect(value);
            assert_eq!(options.checks_host_name, expected);
        }
    }

    #[test]
    fn unusable_values_are_refused() {
        let cases: [(&'static str, &[&str]); 10] = [
            ("url", &["", "=", "=ftp://x", "=http://u:hunter2@h", "=http://h?x", "=http://h:0"]),
            ("host", &["", "=ftp://x"]),
            ("proxy", &["", "=", "=ftp://u:hunter2@h", "=http://h/path", "=socks4://h"]),
            ("endpoint", &["", "=", "=a/b", "=a b", "=ü", "=a\\,b"]),
            ("region", &["", "=a/aws4_request"]),
            ("use_path_request_style", &["=", "=0", "=1", "=no"]),
            ("no_check_certificate", &["=", "=0", "=1", "=false"]),
            ("ssl_verify_hostname", &["", "=", "=3", "=no", "=-1", "=00"]),
            ("connect_timeout", &["", "=", "=x", "=-1", "=+5", "=1.5", "=86401", "=99999999999999999999"]),
            ("readwrite_timeout", &["", "=5s"]),
        ];
        for (name, values) in cases {
            for value in values {
                let (refused, advice) = for_test(&format!("{name}{value}")).expect_err(value);
                assert_eq!(refused, name, "{value}");
                assert!(!advice.is_empty() && !advice.contains("hunter2"));
            }
        }
    }
}
