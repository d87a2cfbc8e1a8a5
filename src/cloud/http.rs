//! One bounded HTTP client: no redirects, no proxies from the environment, no answer over 4 MiB.

use reqwest::header::HeaderMap;
use reqwest::redirect;
use url::Url;

use crate::cloud::TestTimes;
use crate::cloud::verdict;
use crate::domain::connector::Settings;
use crate::domain::endpoint;
use crate::domain::job::Verdict;

/// A larger answer is refused while it is read. 4 MiB hold the names of tens of thousands of buckets.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// An answer, read whole.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where a redirect points to.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends one GET request.
///
/// # Errors
/// A verdict on what kept the answer from coming.
pub async fn get(
    settings: &Settings,
    times: TestTimes,
    url: &Url,
    headers: HeaderMap,
) -> Result<Answer, Verdict> {
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("connectord/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(times.connect_timeout)
        .timeout(times.deadline);
    if let Some(proxy) = &settings.url_proxy {
        let proxy =
            endpoint::parse_proxy(proxy.full().expose()).ok().and_then(|url| reqwest::Proxy::all(url).ok());
        builder = builder.proxy(proxy.ok_or_else(verdict::proxy_invalid)?);
    }
    let client = builder.build().map_err(|_| verdict::client_unavailable())?;
    let has_proxy = settings.url_proxy.is_some();
    let describe = |error: reqwest::Error| verdict::from_transport(&error, url, has_proxy, times);

    let mut response = client.get(url.clone()).headers(headers).send().await.map_err(describe)?;
    let location = response.headers().get(reqwest::header::LOCATION);
    let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            return Err(verdict::answer_too_large(ANSWER_MAX_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status().as_u16(), location, body })
}
