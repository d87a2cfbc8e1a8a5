//! A token from Keystone, and the storage address that its catalogue names.

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cloud::errand::{Errand, SwiftAuth};
use crate::cloud::http::{Answer, Request};
use crate::cloud::verdict::{self, Service};
use crate::domain::secret::Secret;
use crate::domain::verdict::Verdict;

/// The domain of users and projects that name none.
const DEFAULT_DOMAIN: &str = "Default";

#[derive(Serialize)]
struct Body<'a> {
    auth: Auth<'a>,
}

#[derive(Serialize)]
struct Auth<'a> {
    identity: Identity<'a>,
    /// An application credential has its project in itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Password<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<ApplicationCredential<'a>>,
}

#[derive(Serialize)]
struct Password<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    domain: Named<'a>,
    password: &'a str,
}

#[derive(Serialize)]
struct ApplicationCredential<'a> {
    id: &'a str,
    secret: &'a str,
}

#[derive(Serialize)]
struct Scope<'a> {
    project: Project<'a>,
}

#[derive(Serialize)]
struct Project<'a> {
    name: &'a str,
    domain: Named<'a>,
}

#[derive(Serialize, Clone, Copy)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    catalog: Vec<CatalogEntry>,
}

#[derive(Deserialize)]
struct CatalogEntry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default)]
    region_id: Option<String>,
    /// The older name of the same; most catalogues have both.
    #[serde(default)]
    region: Option<String>,
    url: String,
}

impl Endpoint {
    fn region(&self) -> Option<&str> {
        self.region_id.as_deref().or(self.region.as_deref())
    }
}

/// Asks for a token; gives the storage address with it.
///
/// # Errors
/// What is wrong with the connector, and what to change.
pub async fn sign_in(errand: &Errand<'_>) -> Result<(String, Secret), Verdict> {
    let body = body(errand.access_key, errand.secret_key.expose())?;
    let mut url = errand.url.clone();
    let path = url.path().trim_end_matches('/').trim_end_matches("/auth/tokens").to_owned();
    url.set_path(&format!("{path}/auth/tokens"));
    // Zeroed when the last who needs it is done.
    let body = Bytes::from_owner(body);
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let request = Request { body, ..Request::new(Method::POST, url, headers, errand.url_place) }.for_list();
    read_sign_in(errand, &errand.client.send(request).await?)
}

/// The storage address and the token that the answer has.
pub fn read_sign_in(errand: &Errand<'_>, answer: &Answer) -> Result<(String, Secret), Verdict> {
    match answer.status {
        200 | 201 => read(errand, answer),
        401 => Err(verdict::credentials_wrong()),
        _ => Err(verdict::from_status(errand, answer, Service::Swift, None)),
    }
}

/// The request's body: `[domain/]project:user` with a password, or an application credential's ID with its secret.
fn body(access_key: &str, secret: &str) -> Result<Zeroizing<Vec<u8>>, Verdict> {
    let auth = match access_key.split_once(':') {
        None => Auth {
            identity: Identity {
                methods: ["application_credential"],
                password: None,
                application_credential: Some(ApplicationCredential { id: access_key, secret }),
            },
            scope: None,
        },
        Some((project, user)) => {
            let (domain, project) = project.split_once('/').unwrap_or((DEFAULT_DOMAIN, project));
            if domain.is_empty() || project.is_empty() || user.is_empty() {
                return Err(verdict::keystone_user_unclear());
            }
            let domain = Named { name: domain };
            let user = User { name: user, domain, password: secret };
            Auth {
                identity: Identity {
                    methods: ["password"],
                    password: Some(Password { user }),
                    application_credential: None,
                },
                scope: Some(Scope { project: Project { name: project, domain } }),
            }
        }
    };
    // At once at its size: growing would leave copies of the secret behind. Escapes make six bytes of one at most.
    let mut bytes = Zeroizing::new(Vec::with_capacity(512 + 6 * (access_key.len() + secret.len())));
    serde_json::to_writer(&mut *bytes, &Body { auth }).expect("texts have a JSON form");
    Ok(bytes)
}

fn read(errand: &Errand<'_>, answer: &Answer) -> Result<(String, Secret), Verdict> {
    let not_keystone = || verdict::not_the_service(errand, answer, Service::Swift);
    let token = Secret::new(answer.header("x-subject-token").ok_or_else(not_keystone)?.to_owned());
    errand.client.remember_secret(token.expose());
    let catalog =
        serde_json::from_slice::<TokenAnswer>(&answer.body).map_err(|_| not_keystone())?.token.catalog;
    let entries = catalog.into_iter().filter(|entry| entry.kind == "object-store");
    let endpoints: Vec<Endpoint> =
        entries.flat_map(|entry| entry.endpoints).filter(|endpoint| endpoint.interface == "public").collect();
    if endpoints.is_empty() {
        return Err(verdict::no_object_store(SwiftAuth::KeystoneVersion3));
    }
    let region = errand.region.as_deref();
    let fits = |endpoint: &Endpoint| region.is_none() || endpoint.region() == region;
    let named = endpoints.first().and_then(|endpoint| endpoint.region().map(str::to_owned));
    match endpoints.into_iter().find(fits) {
        Some(endpoint) => Ok((endpoint.url, token)),
        None => Err(verdict::region_wrong(errand, named.as_deref().and_then(|region| errand.shown(region)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_an_access_key_names() {
        let text =
            |access_key| body(access_key, "s").map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"));
        let scoped = text("storage:ann").expect("a body");
        assert!(
            scoped.contains(r#""user":{"name":"ann","domain":{"name":"Default"},"password":"s"}"#),
            "{scoped}"
        );
        assert!(scoped.contains(r#""project":{"name":"storage","domain":{"name":"Default"}}"#), "{scoped}");
        let scoped = text("home/storage:ann").expect("a body");
        assert_eq!(scoped.matches(r#""domain":{"name":"home"}"#).count(), 2, "{scoped}");
        let application = text("0123abcd").expect("a body");
        assert!(
            application.contains(r#""application_credential":{"id":"0123abcd","secret":"s"}"#),
            "{application}"
        );
        assert!(!application.contains("scope"), "{application}");
        for access_key in [":ann", "storage:", "/storage:ann", "home/:ann"] {
            assert!(text(access_key).is_err(), "{access_key}");
        }
    }
}
