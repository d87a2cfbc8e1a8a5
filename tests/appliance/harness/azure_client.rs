//! Fills accounts of the Azurite that tests/servers/azurite starts. It signs by the documentation of SharedKey and shares
//! no line with the service, so that the two check each other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::http::Client;

const VERSION: &str = "2021-08-06";

/// The account that every Azurite has, and its key, published by Microsoft.
pub const ACCOUNT: &str = "devstoreaccount1";
const WELL_KNOWN_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The key of an account, as tests/servers/azurite makes it up.
pub fn key(account: &str) -> String {
    if account == ACCOUNT {
        return WELL_KNOWN_KEY.to_owned();
    }
    BASE64.encode(format!("tests-only-account-{account}"))
}

/// Makes a container; one that is there stays.
pub fn put_container(address: &str, account: &str, name: &str) {
    let now = OffsetDateTime::now_utc().format(&Rfc2822).expect("a date").replace("+0000", "GMT");
    // The eleven lines are for standard headers, none of which is sent; the account stands twice, because it is in the
    // path as well.
    let signed = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{now}\nx-ms-version:{VERSION}\n/{account}/{account}/{name}\nrestype:container"
    );
    let key = BASE64.decode(key(account)).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length will do");
    mac.update(signed.as_bytes());
    let authorization = format!("SharedKey {account}:{}", BASE64.encode(mac.finalize().into_bytes()));
    let headers = [("x-ms-date", now.as_str()), ("x-ms-version", VERSION)];
    let client = Client::new(address, Some(&authorization));
    let answer = client.send("PUT", &format!("/{account}/{name}?restype=container"), &headers, b"");
    assert!(matches!(answer.status, 201 | 409), "{name}: {} {}", answer.status, answer.text());
}
