//! Verdicts on connectors that cannot be used as they are: nothing was sent.

use crate::cloud::http::Peer;
use crate::cloud::place::Place;
use crate::domain::verdict::{Stage, Verdict};

fn verdict(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Verdict {
    Verdict::new(Stage::Configuration, code, message, hint)
}

/// An attribute that the test needs is empty.
pub fn attribute_missing(attribute: &str) -> Verdict {
    let message = format!("The connector has no {attribute}.");
    verdict("attribute_missing", message, format!("Fill in {attribute}.")).about(attribute)
}

/// An attribute has characters that no request can carry.
pub fn attribute_unusable(attribute: &str) -> Verdict {
    let message = format!("{attribute} has characters that cannot be sent.");
    verdict("attribute_unusable", message, format!("Correct {attribute}: type it anew.")).about(attribute)
}

/// Keystone cannot tell whom the access key names.
pub fn keystone_user_unclear() -> Verdict {
    verdict(
        "attribute_unusable",
        "access_key does not name a project and a user.",
        "Write project:user, or domain/project:user, or the ID of an application credential into access_key.",
    )
    .about("access_key")
}

/// The endpoint cannot be understood.
pub fn url_invalid(place: Place) -> Verdict {
    let message = format!("The address in {} cannot be used.", place.words);
    let hint = "Write an http or https URL such as https://s3.example.com.";
    verdict("url_invalid", message, hint).at(place)
}

/// The proxy cannot be understood.
pub fn proxy_invalid(place: Place) -> Verdict {
    let message = format!("The address of the proxy in {} cannot be used.", place.words);
    let hint = "Write an http, https or socks5 URL such as http://proxy.example.com:3128.";
    verdict("proxy_invalid", message, hint).at(place)
}

/// The list of mount options cannot be read. New ones are refused; this one is older than that rule.
pub fn options_malformed(advice: &str) -> Verdict {
    verdict(
        "options_malformed",
        "The list of mount options cannot be read.",
        format!("In options, {advice}."),
    )
    .about("options")
}

/// A mount option that a test uses has a value that it cannot have.
pub fn option_invalid(name: &str, advice: &str) -> Verdict {
    let message = format!("The mount option {name} has a value that cannot be used.");
    verdict("option_invalid", message, format!("For {name} in options, {advice}.")).about("options")
}

/// Note: nobody knows this mount option.
pub fn option_unknown(name: &str, nearest: Option<&str>) -> Verdict {
    let message = format!("The mount option {name} is not known; it is kept, and a test does not use it.");
    let hint = match nearest {
        Some(nearest) => format!("Perhaps {nearest} was meant."),
        None => "If it is for the mount helper, leave it as it is.".to_owned(),
    };
    verdict("option_unknown", message, hint).about("options")
}

/// Note: a mount with this option differs from the test.
pub fn option_not_honoured(name: &str) -> Verdict {
    let message = match name {
        "sigv2" => "The mount option sigv2 is not followed by a test, which signs with version 4.".to_owned(),
        name => format!(
            "The mount option {name} is not followed by a test, which uses access_key and secret_key."
        ),
    };
    let hint = format!("Keep in mind that a mount with {name} may behave otherwise.");
    verdict("option_not_honoured", message, hint).about("options")
}

/// Azure's account keys are base64.
pub fn secret_key_not_base64() -> Verdict {
    verdict(
        "secret_key_not_base64",
        "secret_key is no Azure account key: those are base64 text.",
        "Copy one of the two access keys of the storage account into secret_key, whole, with the = at its end.",
    )
    .about("secret_key")
}

/// Identity API 2 has been gone for years.
pub fn keystone_version_2(place: Place) -> Verdict {
    verdict(
        "auth_version_not_supported",
        "The url names version 2 of OpenStack's Identity API, which no longer exists.",
        "Write the url with /v3 at its end, or that of Swift's own sign-in with /auth/v1.0.",
    )
    .at(place)
}

/// A test must not go there.
pub fn address_forbidden(peer: &Peer<'_>) -> Verdict {
    let message = format!(
        "{}, port {}, is an address that tests never reach: link-local, cloud metadata, reserved, or this service.",
        peer.host, peer.port
    );
    let hint = format!("Write the address of the {} into {}.", kind_of(peer), peer.place.words);
    verdict("address_forbidden", message, hint).at(peer.place)
}

/// The storage address that Swift or Keystone named is one that a test must not reach.
pub fn storage_url_forbidden(place: Place) -> Verdict {
    verdict(
        "address_forbidden",
        "The server names a storage address that tests never reach: link-local, cloud metadata, reserved, or this service.",
        "Correct the storage address in the server's own configuration or catalogue.",
    )
    .at(place)
}

/// The storage address would carry the token in clear although the sign-in was encrypted.
pub fn storage_url_in_clear(place: Place) -> Verdict {
    verdict(
        "storage_url_in_clear",
        "The server was asked by https, but names a storage address without encryption; the token is not sent there.",
        "Correct the storage address on the server (in Swift's tempauth: storage_url_scheme = https).",
    )
    .at(place)
}

fn kind_of(peer: &Peer<'_>) -> &'static str {
    if peer.is_proxy { "proxy" } else { "storage service" }
}
