//! AWS Signature Version 4, by rust-s3's signing.

use hmac::{Hmac, Mac};
use hyper::Method;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use s3::creds::time::OffsetDateTime;
use s3::region::Region;
use s3::signing;
use sha2::Sha256;
use url::Url;

use crate::cloud::errand::Errand;
use crate::cloud::http::{Request, host_header};
use crate::cloud::verdict;
use crate::domain::verdict::Verdict;

/// SHA-256 of an empty body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A signed request without a body.
///
/// # Errors
/// An attribute has characters that cannot be sent.
pub fn sign(errand: &Errand<'_>, method: Method, url: Url) -> Result<Request, Verdict> {
    let unusable = |attribute: &'static str| move |_| verdict::attribute_unusable(attribute);
    let now = OffsetDateTime::now_utc();
    let mut headers = HeaderMap::new();
    let host =
        HeaderValue::from_str(&host_header(&url)).map_err(|_| verdict::url_invalid(errand.url_place))?;
    headers.insert(HOST, host);
    headers.insert(HeaderName::from_static("x-amz-content-sha256"), HeaderValue::from_static(EMPTY_SHA256));
    let date = HeaderValue::from_str(&long_date(&now)).expect("digits and two letters are a header's value");
    headers.insert(HeaderName::from_static("x-amz-date"), date);

    let region = Region::Custom { region: errand.signing_region().to_owned(), endpoint: url.to_string() };
    let canonical =
        signing::canonical_request(method.as_str(), &url, &headers, EMPTY_SHA256).map_err(unusable("url"))?;
    let to_sign = signing::string_to_sign(&now, &region, &canonical).map_err(unusable("region"))?;
    let key = signing::signing_key(&now, errand.secret_key.expose(), &region, "s3")
        .map_err(unusable("secret_key"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes any key length");
    mac.update(to_sign.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    errand.client.remember_signature(&signature);
    let signed_headers = signing::signed_header_string(&headers);
    let authorization =
        signing::authorization_header(errand.access_key, &now, &region, &signed_headers, &signature)
            .map_err(unusable("access_key"))?;
    let mut authorization = HeaderValue::from_str(&authorization).map_err(|_| {
        let is_sendable = |text: &str| HeaderValue::from_str(text).is_ok();
        verdict::attribute_unusable(if is_sendable(errand.access_key) { "region" } else { "access_key" })
    })?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    Ok(Request::new(method, url, headers, errand.url_place))
}

/// `20260501T120000Z`.
fn long_date(moment: &OffsetDateTime) -> String {
    let (date, time) = (moment.date(), moment.time());
    let (month, day) = (u8::from(date.month()), date.day());
    format!(
        "{:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        date.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
