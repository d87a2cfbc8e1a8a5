//! One test, with all that is in force put together: the connector's attributes, its mount options, the configuration.

use tokio::time::Instant;
use url::{Host, Url};

use crate::cloud::http::{CertificateChecks, Client, Outside, Proxy, Way};
use crate::cloud::place::{
    ACCOUNT, NO_PLACE, PROXY, PROXY_ENVIRONMENT, PROXY_OPTION, Place, REGION, REGION_OPTION, SIGNING_REGION,
    URL, URL_OPTION,
};
use crate::cloud::{Progress, verdict};
use crate::config::CloudConfig;
use crate::domain::connector::Settings;
use crate::domain::endpoint;
use crate::domain::job::Task;
use crate::domain::mount_options::MountOptions;
use crate::domain::provider::{DEFAULT_REGION, Provider};
use crate::domain::secret::Secret;
use crate::domain::test_options::TestOptions;
use crate::domain::verdict::Verdict;

/// One test.
pub struct Errand<'a> {
    /// What is spoken.
    pub protocol: Protocol,
    /// The kind of service.
    pub provider: Provider,
    /// The endpoint.
    pub url: Url,
    /// Where the endpoint comes from.
    pub url_place: Place,
    /// The region, where one is set.
    pub region: Option<String>,
    /// Where the region comes from.
    pub region_place: Place,
    /// The public half of the credentials.
    pub access_key: &'a str,
    /// The secret half.
    pub secret_key: &'a Secret,
    /// Whether buckets are named in the path alone.
    pub uses_path_style: bool,
    /// Buckets to ask for one by one, where the key may not list them.
    pub probe_buckets: &'a [String],
    /// Sends the requests.
    pub client: Client<'a>,
    /// How far the test is.
    pub progress: &'a Progress,
    /// When the test has to be done.
    pub deadline: Instant,
}

/// What is spoken with the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Amazon S3's.
    S3,
    /// Azure's Blob service.
    Azure,
    /// OpenStack Swift's own.
    Swift(SwiftAuth),
}

/// How Swift's token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwiftAuth {
    /// `X-Auth-User` and `X-Auth-Key`.
    Version1,
    /// Keystone's Identity API.
    KeystoneVersion3,
}

impl<'a> Errand<'a> {
    /// Puts everything together.
    ///
    /// # Errors
    /// What is missing, or cannot be used.
    pub fn new(
        config: &CloudConfig,
        outside: &'a Outside,
        task: &'a Task,
        progress: &'a Progress,
        deadline: Instant,
    ) -> Result<Self, Verdict> {
        let settings = &task.settings;
        let options = test_options(settings)?;
        let (url, url_place) = effective_url(settings, &options)?;
        let protocol = protocol_of(settings.provider, &url, url_place)?;
        let proxy = effective_proxy(settings, &options, outside, &url)?;
        let missing = verdict::attribute_missing;
        let access_key = settings.access_key.as_deref().ok_or_else(|| missing("access_key"))?;
        let secret_key = settings.secret_key.as_ref().ok_or_else(|| missing("secret_key"))?;
        // Options can shorten what the configuration allows, never lengthen it.
        let connect_timeout =
            options.connect_timeout.unwrap_or(config.connect_timeout).min(config.connect_timeout);
        let way = Way {
            proxy,
            checks: match (options.checks_certificate, options.checks_host_name) {
                (false, _) => CertificateChecks::Nothing,
                (true, false) => CertificateChecks::Issuer,
                (true, true) => CertificateChecks::All,
            },
            connect_timeout,
            answer_timeout: options.answer_timeout.unwrap_or(config.deadline).min(config.deadline),
            deadline,
        };
        let client = Client::new(outside, way);
        client.remember_secret(secret_key.expose());
        Ok(Self {
            protocol,
            provider: settings.provider,
            url,
            url_place,
            region_place: if options.region.is_some() { REGION_OPTION } else { SIGNING_REGION },
            region: options.region.or_else(|| settings.region.clone()),
            access_key,
            secret_key,
            uses_path_style: options.uses_path_style,
            probe_buckets: &task.probe_buckets,
            client,
            progress,
            deadline,
        })
    }

    /// The region that requests are signed for.
    pub fn signing_region(&self) -> &str {
        self.region.as_deref().unwrap_or(DEFAULT_REGION)
    }

    /// Who answered, at the beginning of a sentence: where a proxy forwards, nobody can tell which of the two it was.
    pub fn answerer(&self) -> &'static str {
        match self.client.is_forwarded(&self.url) {
            true => "The proxy, or the server behind it,",
            false => "The server",
        }
    }

    /// A word that the server sent, where it can be shown: short, of plain characters, and nothing that was sent to the
    /// server, which it might send back.
    pub fn shown<'t>(&self, word: &'t str) -> Option<&'t str> {
        const WORD_MAX_BYTES: usize = 48;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_short = (1..=WORD_MAX_BYTES).contains(&word.len());
        (is_short && word.bytes().all(is_plain) && !self.client.has_sent(word)).then_some(word)
    }
}

/// The endpoint in force, before anything else of a test is looked at; `None` where a test could not tell either.
pub fn endpoint_in_force(settings: &Settings) -> Option<Url> {
    let options = test_options(settings).ok()?;
    effective_url(settings, &options).ok().map(|(url, _)| url)
}

/// The endpoint in force, and where it comes from.
fn effective_url(settings: &Settings, options: &TestOptions) -> Result<(Url, Place), Verdict> {
    let (text, place) = match (&options.url, &settings.url) {
        (Some(url), _) => (url.clone(), URL_OPTION),
        (None, Some(url)) => (url.clone(), URL),
        (None, None) => {
            let access_key = settings.access_key.as_deref();
            let well_known = settings.provider.well_known_endpoint(settings.region.as_deref(), access_key);
            let place = if settings.provider == Provider::Azure {
                ACCOUNT
            } else if settings.provider.has_region_in_endpoint() {
                REGION
            } else {
                NO_PLACE
            };
            let missing = if place == ACCOUNT { "access_key" } else { "url" };
            (well_known.ok_or_else(|| verdict::attribute_missing(missing))?, place)
        }
    };
    let mut url = endpoint::parse_endpoint(&text).map_err(|_| verdict::url_invalid(place))?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    if settings.provider == Provider::Azure {
        add_account(&mut url, settings.access_key.as_deref().unwrap_or_default());
    }
    Ok((url, place))
}

/// What is to be known of the mount options: names that nobody knows, and what a test cannot do. Taken from the masked
/// form, so that no piece of a password is ever taken for a name.
pub fn notes_on_options(settings: &Settings) -> Vec<Verdict> {
    const NOTES_MAX: usize = 8;
    let Some(options) = settings.options.as_ref().and_then(|text| MountOptions::parse(text.masked()).ok())
    else {
        return Vec::new();
    };
    let unknown = options.unknown().map(|(name, nearest)| verdict::option_unknown(name, nearest));
    let not_honoured = options.not_honoured().map(verdict::option_not_honoured);
    unknown.chain(not_honoured).take(NOTES_MAX).collect()
}

fn test_options(settings: &Settings) -> Result<TestOptions, Verdict> {
    let text = settings.options.as_ref().map(|text| text.full().expose()).unwrap_or_default();
    let options = MountOptions::parse(text).map_err(verdict::options_malformed)?;
    options.for_test().map_err(|(name, advice)| verdict::option_invalid(name, advice))
}

fn effective_proxy(
    settings: &Settings,
    options: &TestOptions,
    outside: &Outside,
    url: &Url,
) -> Result<Option<Proxy>, Verdict> {
    let own = settings.url_proxy.as_ref().map(|text| (text.full(), PROXY));
    match options.proxy.as_ref().map(|proxy| (proxy, PROXY_OPTION)).or(own) {
        Some((proxy, place)) => {
            let url = endpoint::parse_proxy(proxy.expose()).map_err(|_| verdict::proxy_invalid(place))?;
            let proxy = Proxy::new(&url, place);
            proxy.has_usable_credentials().then_some(Some(proxy)).ok_or_else(|| verdict::proxy_invalid(place))
        }
        // Where the environment names one that cannot be used, going without would not be what was asked for.
        None => match outside.environment_proxy(url, PROXY_ENVIRONMENT) {
            Some(None) => Err(verdict::proxy_invalid(PROXY_ENVIRONMENT)),
            Some(proxy) => Ok(proxy),
            None => Ok(None),
        },
    }
}

fn protocol_of(provider: Provider, url: &Url, place: Place) -> Result<Protocol, Verdict> {
    let path = url.path().trim_end_matches('/');
    Ok(match provider {
        Provider::Azure => Protocol::Azure,
        Provider::OpenstackSwift if path.ends_with("/v2.0") => {
            return Err(verdict::keystone_version_2(place));
        }
        Provider::OpenstackSwift if path.ends_with("/v3") || path.ends_with("/v3/auth/tokens") => {
            Protocol::Swift(SwiftAuth::KeystoneVersion3)
        }
        // The last two are Ceph's.
        Provider::OpenstackSwift
            if ["/v1.0", "/auth/v1", "/auth/1.0", "/auth"].iter().any(|end| path.ends_with(end)) =>
        {
            Protocol::Swift(SwiftAuth::Version1)
        }
        Provider::GenericS3
        | Provider::AmazonAwsS3
        | Provider::CloudianHyperstore
        | Provider::ScalityRing
        | Provider::DellEmcEcs
        | Provider::GoogleCloudStorage
        | Provider::OpenstackSwift
        | Provider::Wasabi
        | Provider::QuantumActivescale
        | Provider::DatacoreSwarm => Protocol::S3,
    })
}

/// Storage emulators and appliances that are reached by address have the account in the path: added where it is missing.
fn add_account(url: &mut Url, account: &str) {
    let is_by_address = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    if is_by_address
        && url.path() == "/"
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.clear().push(account).push("");
    }
}
