//! The API keys of the current user.

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::auth::Caller;
use crate::api::document_rules::{add_scope_rules, moment_or_nothing};
use crate::api::error::ApiError;
use crate::api::list_query;
use crate::api::reply::Reply;
use crate::api::request::{Call, Field};
use crate::api::routes::Answer;
use crate::app::App;
use crate::audit::{Who, api_key_subject};
use crate::credentials::generate_key;
use crate::domain::api_key::{ApiKey, KEYS_PER_USER_MAX, NAME_MAX_CHARACTERS, SCOPES_MAX};
use crate::domain::audit_event::AuditKind;
use crate::domain::connector::parse_text;
use crate::domain::patch::Patch;
use crate::domain::scope::{ALL_RIGHTS, RightSet, Scope, UnknownPart};
use crate::domain::timestamp::Timestamp;
use crate::domain::violation::{Reason, Violation};
use crate::store::{Index, Transaction};

/// An API key as it is sent. Attributes left out keep their value.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "ApiKeyBody")]
pub struct ApiKeyBody {
    /// For people.
    #[schemars(length(max = NAME_MAX_CHARACTERS))]
    name: Field<String>,
    /// What the key may do; a key without scopes may do nothing.
    #[schemars(length(max = SCOPES_MAX))]
    api_key_scopes: Field<Vec<ScopeBody>>,
    /// When the key stops working, as RFC 3339.
    #[schemars(schema_with = "moment_or_nothing")]
    expires_at: Field<String>,
}

/// A scope as it is sent: names, or `*` for any.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "Map<String, Value>")]
#[schemars(rename = "ApiKeyScope", transform = add_scope_rules, !try_from)]
pub struct ScopeBody {
    controller: String,
    action: String,
}

/// By itself serde would take a list of two texts for a scope too.
impl TryFrom<Map<String, Value>> for ScopeBody {
    type Error = &'static str;

    fn try_from(mut attributes: Map<String, Value>) -> Result<Self, Self::Error> {
        let mut text = |name| match attributes.remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) | None => Err("a scope has a controller and an action"),
        };
        Ok(Self { controller: text("controller")?, action: text("action")? })
    }
}

/// An API key as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKeyFull")]
pub struct ApiKeyView<'a> {
    id: u64,
    /// Stars and the last four characters; the whole key right after its creation, this once.
    key: String,
    name: Option<&'a str>,
    api_key_scopes: Vec<ScopeBody>,
    /// When the key stops working.
    expires_at: Option<String>,
    /// When the key last worked.
    last_used_at: Option<String>,
}

impl<'a> ApiKeyView<'a> {
    fn new(key: &'a ApiKey, shown_key: String, app: &App) -> Self {
        let last_used_at = app.credentials.last_used(key.id).max(key.last_used_at);
        let scopes = key
            .scopes
            .iter()
            .map(|scope| ScopeBody { controller: scope.controller.clone(), action: scope.action.clone() });
        Self {
            id: key.id,
            key: shown_key,
            name: key.name.as_deref(),
            api_key_scopes: scopes.collect(),
            expires_at: key.expires_at.map(Timestamp::to_rfc3339),
            last_used_at: last_used_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A list of API keys.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKeyCollection")]
pub struct ApiKeyListView<'a> {
    /// How many there are, before limit and offset.
    count: usize,
    api_keys: Vec<ApiKeyView<'a>>,
}

/// The parsed attributes of a body.
#[derive(Default)]
struct KeyPatch {
    name: Patch<String>,
    scopes: Patch<Vec<Scope>>,
    expires_at: Patch<Timestamp>,
}

impl ApiKeyBody {
    /// Parses every attribute; an end has to be later than `now`.
    fn into_patch(self, now: Timestamp) -> Result<KeyPatch, Vec<Violation>> {
        let mut violations = Vec::new();
        let advice = "send a list of {\"controller\": …, \"action\": …}";
        let mut scope_violations = Vec::new();
        let patch = KeyPatch {
            name: self.name.into_text_patch("name", &mut violations, |text| {
                parse_text("name", text, NAME_MAX_CHARACTERS)
            }),
            scopes: self.api_key_scopes.into_patch("api_key_scopes", advice, &mut violations, |scopes| {
                parse_scopes(&scopes, &mut scope_violations).map(Patch::Set)
            }),
            expires_at: self.expires_at.into_text_patch("expires_at", &mut violations, |text| {
                let advice = "send a moment as RFC 3339, such as 2030-01-31T00:00:00Z";
                let moment = Timestamp::parse_rfc3339(text);
                let moment = moment.ok_or_else(|| Violation::invalid("expires_at", text, advice))?;
                check_future(moment, now).map(|()| moment)
            }),
        };
        violations.extend(scope_violations);
        if violations.is_empty() { Ok(patch) } else { Err(violations) }
    }
}

fn parse_scopes(sent: &[ScopeBody], violations: &mut Vec<Violation>) -> Result<Vec<Scope>, Violation> {
    if sent.len() > SCOPES_MAX {
        let mut violation = Violation::new("api_key_scopes", Reason::TooLong(SCOPES_MAX as u64));
        violation.advice = format!("send at most {SCOPES_MAX} scopes");
        return Err(violation);
    }
    let mut scopes = Vec::new();
    for ScopeBody { controller, action } in sent {
        match Scope::parse(controller, action) {
            Ok(scope) if scopes.contains(&scope) => {}
            Ok(scope) => scopes.push(scope),
            Err(unknown) => {
                let advice = match unknown {
                    UnknownPart::Controller => {
                        known_names("a controller", ALL_RIGHTS.iter().map(|right| right.controller))
                    }
                    UnknownPart::Action => {
                        let of_controller = ALL_RIGHTS.iter().filter(|right| right.controller == controller);
                        known_names("an action of this controller", of_controller.map(|right| right.action))
                    }
                };
                violations.push(Violation::invalid(
                    "api_key_scopes",
                    &format!("{controller} / {action}"),
                    advice,
                ));
            }
        }
    }
    Ok(scopes)
}

fn known_names<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    match names.as_slice() {
        [] => "name the controller of this action".to_owned(),
        names => format!("{what} is {} or *", names.join(", ")),
    }
}

/// Lists the keys.
pub fn index(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let page = list_query::parse_page(&call.query, call.app.config.limits.list_items)?;
        let snapshot = call.app.store.snapshot();
        let own: Vec<_> = snapshot.api_keys().iter().filter(|key| key.user_id == caller.user_id()).collect();
        let shown = own.iter().skip(page.offset).take(page.limit);
        let api_keys = shown.map(|key| ApiKeyView::new(key, key.masked(), &call.app)).collect();
        Reply::list(&caller, &call, &ApiKeyListView { count: own.len(), api_keys })
    })
}

/// Makes a key; it is shown whole this once.
pub fn create(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let body: ApiKeyBody = call.body.parse()?;
        let patch = body.into_patch(call.app.store.snapshot().now())?;
        let scopes = patch.scopes.apply(None).unwrap_or_default();
        check_covered(&caller, RightSet::of(&scopes))?;
        let wanted_end = patch.expires_at.apply(None);
        // Before the hash, which takes long; what counts is looked at below.
        bounded_end(&caller, &call.app.store.snapshot(), wanted_end)?;
        let text = generate_key();
        let (user_id, maker) = (caller.user_id(), caller.clone());
        let (app, who) = (Arc::clone(&call.app), caller.who(&call.source));
        let hash = call.app.credentials.hash(user_id, text.secret().clone()).await?;
        let (lookup, last_four) = (text.lookup().to_owned(), text.last_four().to_owned());
        let key = caller.commit(&call.app, move |transaction: &mut Transaction<'_>| {
            let own = transaction.index().api_keys().iter().filter(|key| key.user_id == user_id);
            if own.count() >= KEYS_PER_USER_MAX {
                let mut violation = Violation::new("base", Reason::Invalid(None));
                violation.advice =
                    format!("a user has at most {KEYS_PER_USER_MAX} keys, destroy one that is not used");
                return Err(ApiError::from(violation));
            }
            let expires_at = bounded_end(&maker, transaction.index(), wanted_end)?;
            let key = ApiKey {
                id: transaction.next_id::<ApiKey>(),
                user_id,
                name: patch.name.apply(None),
                lookup,
                last_four,
                hash,
                scopes,
                expires_at,
                last_used_at: None,
            };
            record(&app, transaction, &who, AuditKind::ApiKeyCreated, &key, &key.set_attributes());
            Ok(transaction.put(key))
        });
        let key = key.await?;
        let view = ApiKeyView::new(&key, text.secret().expose().to_owned(), &call.app);
        let reply = Reply::json(StatusCode::CREATED, &view);
        Ok(reply.located_at(&format!("/api/v2/users/me/api_keys/{}", key.id)))
    })
}

/// Shows a key, masked.
pub fn show(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let key = find(&call.app.store.snapshot(), &caller, &call.path_parameter)?;
        Ok(Reply::json(StatusCode::OK, &ApiKeyView::new(&key, key.masked(), &call.app)))
    })
}

/// Changes a key's name, scopes or end.
pub fn update(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let body: ApiKeyBody = call.body.parse()?;
        let patch = body.into_patch(call.app.store.snapshot().now())?;
        let (app, who) = (Arc::clone(&call.app), caller.who(&call.source));
        let (selector, changer) = (call.path_parameter, caller.clone());
        let key = caller.commit(&call.app, move |transaction: &mut Transaction<'_>| {
            let caller = changer;
            let before = find(transaction.index(), &caller, &selector)?;
            let mut key = ApiKey::clone(&before);
            check_covered(&caller, key.rights())?;
            key.name = patch.name.apply(key.name);
            key.scopes = patch.scopes.apply(Some(key.scopes)).unwrap_or_default();
            if patch.expires_at.is_sent() {
                key.expires_at = bounded_end(&caller, transaction.index(), patch.expires_at.apply(None))?;
            }
            check_covered(&caller, key.rights())?;
            check_gain_ends(&caller, transaction.index(), &before, &key)?;
            let attributes = before.changed_attributes(&key);
            if !attributes.is_empty() {
                record(&app, transaction, &who, AuditKind::ApiKeyUpdated, &key, &attributes);
            }
            Ok::<_, ApiError>(transaction.put(key))
        });
        let key = key.await?;
        Ok(Reply::json(StatusCode::OK, &ApiKeyView::new(&key, key.masked(), &call.app)))
    })
}

/// Revokes a key; it stops working with the next request.
pub fn destroy(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let (app, who) = (Arc::clone(&call.app), caller.who(&call.source));
        let (selector, revoker) = (call.path_parameter, caller.clone());
        let removed = caller.commit(&call.app, move |transaction: &mut Transaction<'_>| {
            let caller = revoker;
            let key = find(transaction.index(), &caller, &selector)?;
            check_covered(&caller, key.rights())?;
            // A key that revokes itself is still named.
            record(&app, transaction, &who, AuditKind::ApiKeyRevoked, &key, &[]);
            transaction.remove::<ApiKey>(key.id);
            Ok::<(), ApiError>(())
        });
        removed.await?;
        Ok(Reply::empty())
    })
}

fn record(
    app: &App,
    transaction: &mut Transaction<'_>,
    who: &Who,
    kind: AuditKind,
    key: &ApiKey,
    attributes: &[&str],
) {
    app.audit.record(transaction, who, kind, api_key_subject(key), attributes);
}

/// A key of the current user; those of others are not there.
fn find(index: &Index, caller: &Caller, segment: &str) -> Result<Arc<ApiKey>, ApiError> {
    let is_number = segment.bytes().all(|byte| byte.is_ascii_digit());
    let id = Some(segment).filter(|_| is_number).and_then(|segment| segment.parse().ok());
    let key = id.and_then(|id| index.api_keys().get(id)).filter(|key| key.user_id == caller.user_id());
    let shown = crate::domain::violation::echo(segment);
    key.cloned().ok_or_else(|| ApiError::not_found(&format!("API key '{shown}'")))
}

/// A key may make, change and revoke only keys whose every right it holds itself.
fn check_covered(caller: &Caller, rights: RightSet) -> Result<(), ApiError> {
    if caller.rights().covers(rights) {
        return Ok(());
    }
    let missing = ALL_RIGHTS.into_iter().find(|right| rights.holds(*right) && !caller.rights().holds(*right));
    Err(missing.map_or_else(ApiError::internal, ApiError::lacks))
}

/// A key with an end gives rights to none that outlives it: they would outlive it too.
fn check_gain_ends(caller: &Caller, index: &Index, before: &ApiKey, after: &ApiKey) -> Result<(), ApiError> {
    let gains = !before.rights().covers(after.rights());
    let Some(bound) = caller.expires_at(index).filter(|_| gains) else { return Ok(()) };
    if after.expires_at.is_some_and(|end| end <= bound) {
        return Ok(());
    }
    let mut violation =
        Violation::new("expires_at", Reason::Invalid(after.expires_at.map(Timestamp::to_rfc3339)));
    violation.advice = format!(
        "a key that gains rights ends no later than your own key: send expires_at with the scopes, {} at the latest",
        bound.to_rfc3339()
    );
    Err(violation.into())
}

fn check_future(moment: Timestamp, now: Timestamp) -> Result<(), Violation> {
    let is_future = moment > now;
    let refusal = || Violation::invalid("expires_at", &moment.to_rfc3339(), "choose a moment in the future");
    is_future.then_some(()).ok_or_else(refusal)
}

/// The end of a key: in the future, and no later than that of the key that makes it.
fn bounded_end(
    caller: &Caller,
    index: &Index,
    wanted: Option<Timestamp>,
) -> Result<Option<Timestamp>, ApiError> {
    if let Some(wanted) = wanted {
        check_future(wanted, index.now())?;
    }

    match (wanted, caller.expires_at(index)) {
        (Some(wanted), Some(bound)) if wanted > bound => {
            // Not `less_than_or_equal_to`: published clients read its value and count as numbers.
            let advice =
                format!("choose a moment no later than the end of your own key, {}", bound.to_rfc3339());
            Err(Violation::invalid("expires_at", &wanted.to_rfc3339(), advice).into())
        }
        (Some(wanted), _) => Ok(Some(wanted)),
        (None, bound) => Ok(bound),
    }
}
