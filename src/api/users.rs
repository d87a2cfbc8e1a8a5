//! Who is asking, and what that caller may do: for programs and pages that show only what would be let through.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::reply::Reply;
use crate::api::request::Call;
use crate::api::routes::Answer;
use crate::domain::audit_event::CallerId;
use crate::domain::scope::{ALL_RIGHTS, Right};
use crate::domain::timestamp::Timestamp;

/// The caller.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CurrentUser")]
pub struct CurrentUserView<'a> {
    /// ID of the user: who signed in, or the owner of the API key.
    id: u64,
    /// Name of the user.
    name: &'a str,
    /// What was sent.
    credential: CredentialKind,
    /// The API key, where one was sent.
    api_key: Option<CurrentKeyView<'a>>,
    /// Every scope that the caller holds, one by one: wildcards stand for those that they grant.
    scopes: Vec<GrantedScopeView>,
    /// Every scope that an API key can be given.
    all_scopes: Vec<KnownScopeView>,
}

/// Kind of credential.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CredentialKind {
    /// User and password: everything is allowed.
    Password,
    /// An API key: what its scopes allow.
    ApiKey,
}

/// The API key that was sent.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CurrentApiKey")]
struct CurrentKeyView<'a> {
    id: u64,
    name: Option<&'a str>,
    /// When the key stops working.
    expires_at: Option<String>,
}

/// A scope without wildcards.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GrantedScope")]
struct GrantedScopeView {
    controller: &'static str,
    action: &'static str,
}

/// A scope that there is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KnownScope")]
struct KnownScopeView {
    controller: &'static str,
    action: &'static str,
    /// Whether no wildcard grants it.
    explicit: bool,
    /// What it is for.
    summary: &'static str,
}

impl From<&Right> for KnownScopeView {
    fn from(right: &Right) -> Self {
        let Right { controller, action, is_explicit, summary } = *right;
        Self { controller, action, explicit: is_explicit, summary }
    }
}

/// Shows the caller.
pub fn me(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let index = call.app.store.snapshot();
        // Whoever was let in can be gone by now.
        let user = index.users().get(caller.user_id()).ok_or_else(ApiError::unauthorized)?;
        let (credential, key) = match caller.id() {
            CallerId::User(_) | CallerId::CommandLine => (CredentialKind::Password, None),
            CallerId::Key(id) => {
                let key = index.api_keys().get(id).ok_or_else(ApiError::unauthorized)?;
                (CredentialKind::ApiKey, Some(key))
            }
        };
        let api_key = key.map(|key| CurrentKeyView {
            id: key.id,
            name: key.name.as_deref(),
            expires_at: key.expires_at.map(Timestamp::to_rfc3339),
        });
        let held = ALL_RIGHTS.iter().filter(|right| caller.rights().holds(**right));
        let view = CurrentUserView {
            id: user.id,
            name: &user.name,
            credential,
            api_key,
            scopes: held
                .map(|right| GrantedScopeView { controller: right.controller, action: right.action })
                .collect(),
            all_scopes: ALL_RIGHTS.iter().map(KnownScopeView::from).collect(),
        };
        Ok(Reply::json(StatusCode::OK, &view))
    })
}
