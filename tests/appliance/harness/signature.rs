//! Whether a request was signed with a secret: AWS Signature Version 4, by this file's own reading of it.

use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

use super::fault_server::http::Request;

/// Whether the `Authorization` header is what the secret makes of the request.
pub fn is_signed_with(request: &Request, secret: &str) -> bool {
    signature(request, secret).is_some_and(|(sent, made)| sent == made)
}

/// The signature that was sent, and the one that the secret makes. `None` where the request has no signature of this kind.
fn signature(request: &Request, secret: &str) -> Option<(String, String)> {
    let authorization = request.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ")?;
    let part = |name: &str| {
        authorization.split(',').find_map(|part| part.trim().strip_prefix(name)).map(str::to_owned)
    };
    let (credential, signed, sent) = (part("Credential=")?, part("SignedHeaders=")?, part("Signature=")?);
    // An access key may hold slashes; the scope's four words do not.
    let mut scope: Vec<&str> = credential.rsplitn(5, '/').take(4).collect();
    scope.reverse();
    let target = request
        .target
        .strip_prefix("http://")
        .map_or(request.target.as_str(), |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path: Vec<String> = path.split('/').map(canonical).collect();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut query: Vec<String> =
        pairs.map(|(name, value)| format!("{}={}", canonical(name), canonical(value))).collect();
    query.sort();
    let headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", request.header(name).trim())).collect();
    let payload = request.header("x-amz-content-sha256");
    let canonical_request = format!(
        "{}\n{}\n{}\n{headers}\n{signed}\n{payload}",
        request.method,
        path.join("/"),
        query.join("&")
    );
    let hash = hex::encode(Sha256::digest(canonical_request.as_bytes()));
    let date = request.header("x-amz-date");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hash}", scope.join("/"));
    let mut key = format!("AWS4{secret}").into_bytes();
    for word in &scope {
        key = mac(&key, word);
    }
    Some((sent, hex::encode(mac(&key, &to_sign))))
}

/// Every character but the unreserved ones in percents, once.
fn canonical(part: &str) -> String {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let decoded: Vec<u8> = percent_decode_str(part).collect();
    percent_encode(&decoded, &RESERVED).to_string()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
