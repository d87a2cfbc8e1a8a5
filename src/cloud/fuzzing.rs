//! What has to hold for any answer of a cloud service; see [`crate::fuzzing`].
//!
//! An answer is written as a line with the status and maybe the provider, lines with headers, an empty line, the body.

use std::sync::LazyLock;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::cloud::errand::{Errand, SwiftAuth};
use crate::cloud::http::{Answer, Outside};
use crate::cloud::paging::{BUCKETS_MAX, Next, Page};
use crate::cloud::s3::answer::{self, Mark};
use crate::cloud::swift::keystone;
use crate::cloud::{Progress, azure, s3, swift};
use crate::config::CloudConfig;
use crate::domain::bucket::Bucket;
use crate::domain::connector::Settings;
use crate::domain::job::Task;
use crate::domain::provider::Provider;
use crate::domain::secret::Secret;
use crate::domain::verdict::Verdict;

/// What was sent, and must not be shown where a server sends it back. In lower case: a host name would be.
const SECRET: &str = "wjalrxutnfemi-k7mdeng";
/// A verdict is a few sentences, whatever was answered.
const VERDICT_MAX_CHARACTERS: usize = 1024;

static CONFIG: LazyLock<CloudConfig> = LazyLock::new(|| CloudConfig {
    deadline: Duration::from_secs(30),
    connect_timeout: Duration::from_secs(5),
    ca_file: None,
    proxy_from_environment: false,
});

static OUTSIDE: LazyLock<Outside> = LazyLock::new(|| {
    Outside::new(&CONFIG, ([127, 0, 0, 1], 1).into()).expect("no file of certificates, so none is wrong")
});

/// The answer to ListBuckets, GetBucketLocation and HeadBucket.
pub fn s3_answer(data: &[u8]) {
    let (provider, answer) = read(data);
    let (provider, url) = match provider {
        // Without a url the host is Amazon's, which proves more.
        Some(Provider::AmazonAwsS3) => (Provider::AmazonAwsS3, None),
        Some(Provider::OpenstackSwift) => (Provider::OpenstackSwift, Some("http://swift.example.com:8080")),
        Some(_) | None => (Provider::GenericS3, Some("https://s3.example.com/path")),
    };
    with_errand(provider, url, |errand| {
        let page = answer::read_page(errand, &answer).map(|page| Page {
            buckets: page.buckets,
            next: match page.next {
                Next::Mark(Mark::Token(text) | Mark::Marker(text)) => Next::Mark(text),
                Next::Unknown => Next::Unknown,
                Next::End => Next::End,
            },
        });
        check_page(page);
        if let Some(location) = answer::read_location(errand, &answer) {
            assert!(errand.shown(&location).is_some(), "{location}");
        }
        let mut bucket = Bucket::named("bucket".to_owned());
        s3::read_head(errand, &answer, &mut bucket);
        check_bucket(&bucket);
    });
}

/// The answer to List Containers.
pub fn azure_answer(data: &[u8]) {
    let (_, answer) = read(data);
    with_errand(Provider::Azure, None, |errand| check_page(azure::read_answer(errand, &answer)));
}

/// The answers to both ways of signing in, and to the list of containers.
pub fn swift_answer(data: &[u8]) {
    let (_, answer) = read(data);
    let version_1 = Some("https://swift.example.com/auth/v1.0");
    with_errand(Provider::OpenstackSwift, version_1, |errand| {
        check_page(swift::read_answer(errand, &answer));
        check_sign_in(errand, SwiftAuth::Version1, swift::read_sign_in(errand, &answer));
    });
    with_errand(Provider::OpenstackSwift, Some("https://swift.example.com/v3"), |errand| {
        check_sign_in(errand, SwiftAuth::KeystoneVersion3, keystone::read_sign_in(errand, &answer));
    });
}

fn read(data: &[u8]) -> (Option<Provider>, Answer) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((data, &[][..]), |end| (&data[..end], &data[end + 2..]));
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let status =
        words.next().and_then(|word| word.parse().ok()).filter(|status| (100..1000).contains(status));
    let headers = lines.filter_map(|line| line.split_once(": ")).filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?))
    });
    let headers = HeaderMap::from_iter(headers);
    let answer = Answer { status: status.unwrap_or(200), headers, body: body.to_vec() };
    (words.next().and_then(Provider::parse), answer)
}

fn with_errand(provider: Provider, url: Option<&str>, check: impl FnOnce(&Errand<'_>)) {
    let settings = Settings {
        url: url.map(str::to_owned),
        url_proxy: None,
        provider,
        region: None,
        access_key: Some("account".to_owned()),
        secret_key: Some(Secret::new(SECRET.to_owned())),
        options: None,
    };
    let task = Task { settings, probe_buckets: Vec::new() };
    let progress = Progress::default();
    let errand = Errand::new(&CONFIG, &OUTSIDE, &task, &progress, Instant::now() + CONFIG.deadline);
    check(&errand.unwrap_or_else(|verdict| panic!("the sample is usable: {verdict}")));
}

fn check_page(page: Result<Page<String>, Verdict>) {
    match page {
        Ok(page) => {
            assert!(page.buckets.len() <= BUCKETS_MAX + 1);
            page.buckets.iter().for_each(check_bucket);
            if let Next::Mark(mark) = page.next {
                assert!(mark.len() <= 4096);
            }
        }
        Err(verdict) => check_verdict(&verdict),
    }
}

fn check_bucket(bucket: &Bucket) {
    assert!(bucket.location.as_ref().is_none_or(|location| location.len() <= 48 && !shows_secret(location)));
}

fn check_sign_in(errand: &Errand<'_>, auth: SwiftAuth, signed_in: Result<(String, Secret), Verdict>) {
    let account = signed_in.and_then(|(storage_url, token)| swift::open(errand, auth, &storage_url, token));
    match account {
        // Wherever the server sends a test: to no address that is forbidden, and not out of encryption.
        Ok(account) => assert!(account.url.scheme() == "https" && !errand.client.forbids(&account.url)),
        Err(verdict) => check_verdict(&verdict),
    }
}

fn check_verdict(verdict: &Verdict) {
    let text = verdict.to_string();
    assert!(text.chars().count() <= VERDICT_MAX_CHARACTERS && !text.chars().any(char::is_control), "{text}");
    assert!(!shows_secret(&text), "{text}");
}

fn shows_secret(text: &str) -> bool {
    text.to_ascii_lowercase().contains(SECRET)
}
