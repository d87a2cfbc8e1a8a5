//! The cloud connectors: list, create, show, update, destroy.

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::auth::Caller;
use crate::api::connection_tests::PROBE_BUCKETS_MAX;
use crate::api::error::ApiError;
use crate::api::list_query;
use crate::api::reply::Reply;
use crate::api::request::{Call, Field, SecretText, names_of_segment};
use crate::api::routes::Answer;
use crate::api::trail::{Trail, record_reveals};
use crate::domain::audit_event::AuditKind;
use crate::domain::bucket;
use crate::domain::connector::{
    Connector, ConnectorName, ConnectorPatch, OPTIONS_MAX_CHARACTERS, Settings, TEXT_MAX_CHARACTERS,
    parse_options, parse_provider, parse_text, parse_url, parse_url_proxy,
};
use crate::domain::listing::ConnectorAttribute;
use crate::domain::patch::Patch;
use crate::domain::secret::Secret;
use crate::domain::violation::{Reason, Violation};
use crate::store::{Index, Transaction};

/// Most connectors of one store: with `limits.connectors_mib` a bound for memory, far beyond any network's need.
const CONNECTORS_MAX: usize = 2_000_000;

/// A cloud connector as it is sent. Attributes left out keep their value; null or an empty text clears an optional one.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "CloudConnectorBody")]
pub struct ConnectorBody {
    /// A saved connector, in a test alone; ignored otherwise.
    #[schemars(with = "Option<u64>")]
    pub id: Field<serde_json::Number>,
    /// Unique; 1 to 255 characters, not all digits. Required to create one.
    name: Field<String>,
    /// Endpoint: an http or https URL, or a host with an optional port (then https).
    #[schemars(length(max = TEXT_MAX_CHARACTERS), extend("format" = "endpoint"))]
    url: Field<String>,
    /// Proxy: an http, https or socks5 URL, or a host with an optional port (then http).
    #[schemars(length(max = TEXT_MAX_CHARACTERS), extend("format" = "proxy"))]
    url_proxy: Field<String>,
    /// The kind of service; `generic_s3` unless set.
    provider: Field<String>,
    /// The region that requests are signed for.
    #[schemars(length(max = TEXT_MAX_CHARACTERS))]
    region: Field<String>,
    /// The public half of the credentials.
    #[schemars(length(max = TEXT_MAX_CHARACTERS))]
    access_key: Field<String>,
    /// The secret half of the credentials.
    #[schemars(length(max = TEXT_MAX_CHARACTERS))]
    secret_key: Field<SecretText>,
    /// s3fs mount options, separated by comma.
    #[schemars(length(max = OPTIONS_MAX_CHARACTERS), extend("format" = "mount-options"))]
    options: Field<String>,
    /// Buckets to ask for one by one where the key may not list them: in a test alone, ignored otherwise.
    #[schemars(with = "Option<Vec<String>>", length(max = PROBE_BUCKETS_MAX), inner(length(min = 1, max = bucket::NAME_MAX_CHARACTERS)))]
    pub probe_buckets: Field<Vec<String>>,
}

impl ConnectorBody {
    /// Parses every attribute; problems are added to the violations. In a test the name does not matter.
    pub fn into_patch(self, with_name: bool, violations: &mut Vec<Violation>) -> ConnectorPatch {
        let text =
            |attribute: &'static str| move |text: &str| parse_text(attribute, text, TEXT_MAX_CHARACTERS);
        let name = match (with_name, self.name) {
            (true, Field::Null) => Field::Value(String::new()),
            (true, name) => name,
            (false, Field::WrongType) => Field::WrongType,
            (false, _) => Field::Absent,
        };
        ConnectorPatch {
            name: name.into_patch("name", "send a text", violations, |name| {
                ConnectorName::parse(&name).map(Patch::Set)
            }),
            url: self.url.into_text_patch("url", violations, parse_url),
            url_proxy: self.url_proxy.into_text_patch("url_proxy", violations, parse_url_proxy),
            provider: self.provider.into_text_patch("provider", violations, parse_provider),
            region: self.region.into_text_patch("region", violations, text("region")),
            access_key: self.access_key.into_text_patch("access_key", violations, text("access_key")),
            secret_key: self.secret_key.into_patch(
                "secret_key",
                "send a text",
                violations,
                |SecretText(secret)| {
                    parse_text("secret_key", secret.expose(), TEXT_MAX_CHARACTERS).map(|_| {
                        match secret.expose() {
                            "" => Patch::Clear,
                            _ => Patch::Set(secret),
                        }
                    })
                },
            ),
            options: self.options.into_text_patch("options", violations, parse_options),
        }
    }
}

/// A cloud connector as it is shown. Attributes without a value are null.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CloudConnector")]
pub struct ConnectorView<'a> {
    id: u64,
    name: &'a str,
    url: Option<&'a str>,
    /// Without the scope get_secret_key a password in it is shown as `***`.
    url_proxy: Option<&'a str>,
    provider: &'static str,
    region: Option<&'a str>,
    access_key: Option<&'a str>,
    /// Left out without the scope get_secret_key.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<Option<&'a str>>,
    /// Without the scope get_secret_key a password in it is shown as `***`.
    options: Option<&'a str>,
}

impl<'a> ConnectorView<'a> {
    fn new(connector: &'a Connector, shows_secrets: bool) -> Self {
        let settings = &connector.settings;
        Self {
            id: connector.id,
            name: connector.name.as_str(),
            url: settings.url.as_deref(),
            url_proxy: settings.url_proxy.as_ref().map(|text| text.visible(shows_secrets)),
            provider: settings.provider.name(),
            region: settings.region.as_deref(),
            access_key: settings.access_key.as_deref(),
            secret_key: shows_secrets.then(|| settings.secret_key.as_ref().map(Secret::expose)),
            options: settings.options.as_ref().map(|text| text.visible(shows_secrets)),
        }
    }
}

/// A list of cloud connectors.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CloudConnectorCollection")]
pub struct ConnectorListView<'a> {
    /// How many match the filters, before limit and offset.
    count: usize,
    cloud_connectors: Vec<ConnectorView<'a>>,
}

/// Lists connectors.
pub fn index(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let query =
            list_query::parse_list::<ConnectorAttribute>(&call.query, call.app.config.limits.list_items)?;
        let snapshot = call.app.store.snapshot();
        let total = snapshot.connectors().len();
        let select = move || query.select(snapshot.connectors().iter());
        let (count, shown) = list_query::select(&call.app, total, select).await?;
        record_reveals(&caller, &call, &shown).await?;
        let shows_secrets = call.shows_secrets(&caller);
        let cloud_connectors =
            shown.iter().map(|connector| ConnectorView::new(connector, shows_secrets)).collect();
        Reply::list(&caller, &call, &ConnectorListView { count, cloud_connectors })
    })
}

/// Creates a connector.
pub fn create(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let body: ConnectorBody = call.body.parse()?;
        let mut violations = Vec::new();
        let has_name = !matches!(body.name, Field::Absent);
        let patch = body.into_patch(true, &mut violations);
        if !has_name {
            violations.push(Violation::new("name", Reason::Blank));
        }
        let name = match &patch.name {
            Patch::Set(name) => Some(name.clone()),
            Patch::Keep | Patch::Clear => None,
        };
        let settings = patch.apply_settings(None);
        add_settings_violations(&settings, &mut violations);
        if let Some(name) = &name {
            violations.extend(taken(&call.app.store.snapshot(), name, None));
        }
        let (Some(name), true) = (name, violations.is_empty()) else { return Err(violations.into()) };
        let (trail, most_bytes) = (Trail::new(&caller, &call), call.app.config.limits.connectors_bytes);
        let connector = caller.commit(&call.app, move |transaction: &mut Transaction<'_>| {
            if let Some(violation) = taken(transaction.index(), &name, None) {
                return Err(ApiError::from(violation));
            }
            if transaction.index().connectors().len() >= CONNECTORS_MAX {
                return Err(ApiError::unavailable("There are as many connectors as the store takes", 3600));
            }
            let id = transaction.next_id::<Connector>();
            let connector =
                put(transaction, Connector { id, name, settings, secret_revision: 1 }, most_bytes)?;
            let attributes = connector.set_attributes();
            trail.record(transaction, AuditKind::ConnectorCreated, &connector, &attributes);
            let reveal = trail.record_reveal(transaction, &connector);
            Ok((connector, reveal))
        });
        let (connector, reveal) = connector.await?;
        call.app.audit.confirm(reveal.as_slice());
        let reply =
            Reply::json(StatusCode::CREATED, &ConnectorView::new(&connector, call.shows_secrets(&caller)));
        Ok(reply.located_at(&format!("/api/v2/cloud_connectors/{}", connector.id)))
    })
}

/// Shows a connector.
pub fn show(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let snapshot = call.app.store.snapshot();
        let connector = find(&snapshot, &call.path_parameter)?;
        record_reveals(&caller, &call, std::slice::from_ref(&connector)).await?;
        Ok(Reply::json(StatusCode::OK, &ConnectorView::new(&connector, call.shows_secrets(&caller))))
    })
}

/// Changes a connector.
pub fn update(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let body: ConnectorBody = call.body.parse()?;
        let mut violations = Vec::new();
        let patch = body.into_patch(true, &mut violations);
        let (trail, most_bytes) = (Trail::new(&caller, &call), call.app.config.limits.connectors_bytes);
        let (sees_secrets, shows_secrets) = (caller.sees_secrets(), call.shows_secrets(&caller));
        let selector = call.path_parameter;
        if !violations.is_empty() {
            // All problems at once, also those that only the saved connector shows.
            return Err(
                match change(&call.app.store.snapshot(), &selector, patch, violations.clone(), sees_secrets) {
                    Ok(_) => violations.into(),
                    Err(error) => error,
                },
            );
        }
        let connector = caller.commit(&call.app, move |transaction: &mut Transaction<'_>| {
            let Change { before, after, leads_secrets_elsewhere } =
                change(transaction.index(), &selector, patch, violations, sees_secrets)?;
            let connector = put(transaction, after, most_bytes)?;
            let attributes = before.changed_attributes(&connector);
            if !attributes.is_empty() {
                trail.record(transaction, AuditKind::ConnectorUpdated, &connector, &attributes);
            }
            let reveal = match leads_secrets_elsewhere {
                true => trail.record_led_elsewhere(transaction, &connector),
                false => trail.record_reveal(transaction, &connector),
            };
            Ok::<_, ApiError>((connector, reveal))
        });
        let (connector, reveal) = connector.await?;
        call.app.audit.confirm(reveal.as_slice());
        Ok(Reply::json(StatusCode::OK, &ConnectorView::new(&connector, shows_secrets)))
    })
}

/// Removes a connector.
pub fn destroy(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let trail = Trail::new(&caller, &call);
        let selector = call.path_parameter;
        let removed = caller.commit(&call.app, move |transaction: &mut Transaction<'_>| {
            let connector = find(transaction.index(), &selector)?;
            transaction.remove::<Connector>(connector.id);
            trail.record(transaction, AuditKind::ConnectorDestroyed, &connector, &[]);
            Ok::<(), ApiError>(())
        });
        removed.await?;
        Ok(Reply::empty())
    })
}

/// Adds or replaces a connector, where all of them have room then; one that does not grow always has.
fn put(
    transaction: &mut Transaction<'_>,
    connector: Connector,
    most_bytes: u64,
) -> Result<Arc<Connector>, ApiError> {
    let before = transaction.index().connectors().text_bytes();
    let connector = transaction.put(connector);
    let after = transaction.index().connectors().text_bytes();
    if after > before.max(most_bytes) {
        let reason = "The connectors take all the room that limits.connectors_mib in the configuration gives them: shorten or \
                      remove some, or raise it";
        return Err(ApiError::unavailable(reason, 3600));
    }
    Ok(connector)
}

/// The connector that a path segment names: ASCII digits are an id, anything else a name.
///
/// # Errors
/// 404, or 409 where the name is ambiguous.
pub fn find(index: &Index, segment: &str) -> Result<Arc<Connector>, ApiError> {
    let names = names_of_segment(segment);
    let shown = names.first().map_or(segment, String::as_str);
    let not_found =
        || ApiError::not_found(&format!("Cloud connector '{}'", crate::domain::violation::echo(shown)));
    if shown.bytes().all(|byte| byte.is_ascii_digit()) {
        let id = shown.parse().map_err(|_| not_found())?;
        return index.connectors().get(id).cloned().ok_or_else(not_found);
    }
    let found: Vec<&Arc<Connector>> = names.iter().filter_map(|name| index.connectors().find(name)).collect();
    match found.as_slice() {
        [] => Err(not_found()),
        [connector] => Ok(Arc::clone(connector)),
        several => {
            let names = several.iter().map(|connector| (connector.name.as_str().to_owned(), connector.id));
            Err(ApiError::ambiguous_name(&names.collect::<Vec<_>>()))
        }
    }
}

/// What a patch makes of a saved connector.
struct Change {
    before: Arc<Connector>,
    after: Connector,
    /// Whether a secret key or proxy password stays, and leads to another place.
    leads_secrets_elsewhere: bool,
}

/// The saved connector with the patch applied, where every rule holds.
fn change(
    index: &Index,
    selector: &str,
    patch: ConnectorPatch,
    mut violations: Vec<Violation>,
    sees_secrets: bool,
) -> Result<Change, ApiError> {
    let saved = find(index, selector)?;
    let names_secret = patch.secret_key.is_sent();
    let replaces_hidden_text = patch.replaces_hidden_text(&saved.settings);
    let name = match &patch.name {
        Patch::Set(name) => name.clone(),
        Patch::Keep | Patch::Clear => saved.name.clone(),
    };
    let settings = patch.apply_settings(Some(&saved.settings));
    add_settings_violations(&settings, &mut violations);
    violations.extend(taken(index, &name, Some(saved.id)));
    // Nobody can point a secret that they may not read at a server of theirs.
    let is_secret_kept = saved.settings.secret_key.is_some() && !names_secret;
    let is_elsewhere = replaces_hidden_text || saved.settings.leads_elsewhere(&settings);
    if !sees_secrets && is_secret_kept && is_elsewhere {
        violations.push(secret_needed());
    }
    if violations.is_empty() {
        let leads_secrets_elsewhere =
            is_elsewhere && (is_secret_kept || saved.settings.shares_password(&settings));
        let after = saved.changed(name, settings);
        Ok(Change { before: saved, after, leads_secrets_elsewhere })
    } else {
        Err(violations.into())
    }
}

/// `secret_key: blank`, with the reason.
pub fn secret_needed() -> Violation {
    let mut violation = Violation::new("secret_key", Reason::Blank);
    violation.advice =
        "send it again, the saved one is not used for other settings than it was saved with".to_owned();
    violation
}

/// Adds the violations of rules that concern several attributes, unless the attribute has one of its own.
pub fn add_settings_violations(settings: &Settings, violations: &mut Vec<Violation>) {
    let has_own =
        |violations: &[Violation], attribute: &str| violations.iter().any(|own| own.attribute == attribute);
    // Whether a url is needed depends on the provider: with a wrong one that is not known.
    let is_provider_known = !has_own(violations, "provider");
    for violation in settings.violations() {
        let is_certain = violation.reason != Reason::Blank || is_provider_known;
        if is_certain && !has_own(violations, &violation.attribute) {
            violations.push(violation);
        }
    }
}

fn taken(index: &Index, name: &ConnectorName, own_id: Option<u64>) -> Option<Violation> {
    let other = index.connectors().find(name.as_str()).filter(|other| Some(other.id) != own_id);
    other.map(|_| Violation::new("name", Reason::Taken(name.as_str().to_owned())))
}
