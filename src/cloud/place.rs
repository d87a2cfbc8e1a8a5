//! Where a value in force comes from, for saying what to change.

/// Where a value in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The connector's attribute.
    pub attribute: Option<&'static str>,
    /// The same in a sentence.
    pub words: &'static str,
}

/// The attribute.
pub const URL: Place = Place { attribute: Some("url"), words: "url" };
/// The mount option in its place.
pub const URL_OPTION: Place = Place { attribute: Some("options"), words: "url= in options" };
/// Made of the region.
pub const REGION: Place =
    Place { attribute: Some("region"), words: "region, which is a part of the host where url is empty" };
/// Made of the account.
pub const ACCOUNT: Place = Place {
    attribute: Some("access_key"),
    words: "access_key, which is a part of the host where url is empty",
};
/// The provider's own.
pub const NO_PLACE: Place = Place { attribute: None, words: "the provider's own host name" };
/// The attribute.
pub const PROXY: Place = Place { attribute: Some("url_proxy"), words: "url_proxy" };
/// The mount option in its place.
pub const PROXY_OPTION: Place = Place { attribute: Some("options"), words: "proxy= in options" };
/// The environment.
pub const PROXY_ENVIRONMENT: Place =
    Place { attribute: None, words: "the proxy variables of connectord's environment" };
/// Where requests go after a sign-in.
pub const STORAGE: Place =
    Place { attribute: Some("url"), words: "the storage address that the server names" };
/// The region as the attribute says it.
pub const SIGNING_REGION: Place = Place { attribute: Some("region"), words: "region" };
/// The region as the mount option says it.
pub const REGION_OPTION: Place = Place { attribute: Some("options"), words: "endpoint= in options" };
