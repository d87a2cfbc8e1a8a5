//! The audit trail: its list, and who has seen a connector's secret.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::auth::Caller;
use crate::api::connectors::find;
use crate::api::error::ApiError;
use crate::api::list_query;
use crate::api::reply::Reply;
use crate::api::request::Call;
use crate::api::routes::Answer;
use crate::domain::audit_event::{Actor, AuditEvent, AuditKind};
use crate::domain::listing::AuditAttribute;
use crate::domain::scope::CONNECTORS_SHOW;
use crate::domain::timestamp::Timestamp;

/// An event of the audit trail. Attributes without a value are null.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub struct AuditEventView<'a> {
    id: u64,
    /// What happened.
    #[schemars(extend("enum" = AuditKind::ALL.map(AuditKind::name)))]
    kind: &'static str,
    /// When it happened, for the first time where it is counted: reveals in an hour, refused logins in a minute.
    first_at: String,
    /// When it happened for the last time.
    last_at: String,
    /// How often it happened; repeats are written each minute.
    count: u64,
    /// `user:1`, `key:7` or `command_line`; null for a refused login.
    caller: Option<&'a str>,
    /// The user, or the owner of the key, by the name of then.
    user_name: Option<&'a str>,
    /// The key by the name of then.
    api_key_name: Option<&'a str>,
    /// Address of the client; over IPv6 the network of refused logins, and the first of its network where reveals are
    /// counted.
    client: Option<&'a str>,
    /// The `X-Request-Id`, of the first where it is counted.
    request_id: Option<&'a str>,
    /// `cloud_connector`, `api_key` or `user`: what was changed, seen, or named by refused credentials.
    subject_kind: Option<&'static str>,
    subject_id: Option<u64>,
    /// By the name of then.
    subject_name: Option<&'a str>,
    /// Which of the connector's secrets was seen: it counts up with each change of them.
    secret_revision: Option<u64>,
    /// The names of the attributes that were set or changed; their values are not kept.
    attributes: &'a [String],
}

impl<'a> AuditEventView<'a> {
    fn new(event: &'a AuditEvent) -> Self {
        let (actor, subject) = (event.actor.as_ref(), event.subject.as_ref());
        Self {
            id: event.id,
            kind: event.kind.name(),
            first_at: event.first_at.to_rfc3339(),
            last_at: event.last_at.to_rfc3339(),
            count: event.count,
            caller: actor.map(|actor| actor.caller.as_str()),
            user_name: actor.and_then(|actor| actor.user_name.as_deref()),
            api_key_name: actor.and_then(|actor| actor.api_key_name.as_deref()),
            client: event.client.as_deref(),
            request_id: event.request_id.as_deref(),
            subject_kind: subject.map(|subject| subject.kind.name()),
            subject_id: subject.map(|subject| subject.id),
            subject_name: subject.and_then(|subject| subject.name.as_deref()),
            secret_revision: event.secret_revision,
            attributes: &event.attributes,
        }
    }
}

/// A list of audit events.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEventCollection")]
pub struct AuditEventListView<'a> {
    /// How many match the filters, before limit and offset.
    count: usize,
    audit_events: Vec<AuditEventView<'a>>,
}

/// Somebody who has seen a secret, from one address.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretReader")]
pub struct SecretReaderView<'a> {
    /// `user:1` or `key:7`.
    caller: &'a str,
    /// The user, or the owner of the key, by the name of then.
    user_name: Option<&'a str>,
    /// The key by the name of then.
    api_key_name: Option<&'a str>,
    /// Address of the client.
    client: Option<&'a str>,
    /// When the secret was shown for the first time.
    first_at: String,
    /// When it was shown for the last time.
    last_at: String,
    /// How often it was shown; repeats are written each minute.
    count: u64,
}

/// Who has seen a connector's secret since it last changed, as far back as the audit trail goes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretReaderCollection")]
pub struct SecretReaderListView<'a> {
    /// How many there are, before limit and offset.
    count: usize,
    /// Which of the connector's secrets it is; 0 where it is older than the audit trail.
    secret_revision: u64,
    /// Who saw it last comes first.
    secret_readers: Vec<SecretReaderView<'a>>,
}

/// What is known of one reader.
struct Reader<'a> {
    actor: &'a Actor,
    client: Option<&'a str>,
    first_at: Timestamp,
    last_at: Timestamp,
    count: u64,
}

/// Lists events, the newest first.
pub fn index(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        let query = list_query::parse_list::<AuditAttribute>(&call.query, call.app.config.limits.list_items)?;
        let snapshot = call.app.store.snapshot();
        let total = snapshot.audit_events().len();
        let select = move || query.select(snapshot.audit_events().iter().rev());
        let (count, shown) = list_query::select(&call.app, total, select).await?;
        let audit_events = shown.iter().map(|event| AuditEventView::new(event)).collect();
        Reply::list(&caller, &call, &AuditEventListView { count, audit_events })
    })
}

/// Says who has seen a connector's secret since it last changed.
pub fn secret_readers(caller: Caller, call: Call) -> Answer {
    Box::pin(async move {
        if !caller.rights().holds(CONNECTORS_SHOW) {
            return Err(ApiError::lacks(CONNECTORS_SHOW));
        }
        let page = list_query::parse_page(&call.query, call.app.config.limits.list_items)?;
        let snapshot = call.app.store.snapshot();
        let connector = find(&snapshot, &call.path_parameter)?;
        let (id, secret_revision) = (connector.id, connector.secret_revision);
        let total = snapshot.audit_events().len();
        let select = move || {
            let events = snapshot.audit_events().iter();
            Ok(events.filter(|event| event.is_reveal_of(id, secret_revision)).cloned().collect())
        };
        let events: Vec<Arc<AuditEvent>> = list_query::select(&call.app, total, select).await?;
        let readers = readers(&events);
        let shown = readers.iter().skip(page.offset).take(page.limit);
        let view = SecretReaderListView {
            count: readers.len(),
            secret_revision,
            secret_readers: shown.map(SecretReaderView::new).collect(),
        };
        Reply::list(&caller, &call, &view)
    })
}

impl<'a> SecretReaderView<'a> {
    fn new(reader: &Reader<'a>) -> Self {
        Self {
            caller: &reader.actor.caller,
            user_name: reader.actor.user_name.as_deref(),
            api_key_name: reader.actor.api_key_name.as_deref(),
            client: reader.client,
            first_at: reader.first_at.to_rfc3339(),
            last_at: reader.last_at.to_rfc3339(),
            count: reader.count,
        }
    }
}

/// One row for each caller and address, however many hours it looked in.
fn readers<'a>(events: &'a [Arc<AuditEvent>]) -> Vec<Reader<'a>> {
    let mut readers: HashMap<(&str, Option<&str>), Reader<'a>> = HashMap::new();
    for event in events {
        let Some(actor) = &event.actor else { continue };
        let client = event.client.as_deref();
        let fresh = Reader { actor, client, first_at: event.first_at, last_at: event.last_at, count: 0 };
        let reader = readers.entry((&actor.caller, client)).or_insert(fresh);
        reader.actor = actor;
        reader.last_at = reader.last_at.max(event.last_at);
        reader.count += event.count;
    }
    let mut readers: Vec<Reader<'a>> = readers.into_values().collect();
    // To the last difference, or two pages of the list could both have the same row.
    readers.sort_by(|left, right| {
        let times = |reader: &Reader<'a>| (reader.last_at, reader.first_at);
        let rest = |reader: &Reader<'a>| (reader.actor.caller.as_str(), reader.client);
        times(right).cmp(&times(left)).then_with(|| rest(left).cmp(&rest(right)))
    });
    readers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_come_in_one_order() {
        let event = |number: u64| {
            let moment = Timestamp::from_unix_ms(1_000);
            Arc::new(AuditEvent {
                id: number,
                kind: AuditKind::SecretRevealed,
                first_at: moment,
                last_at: moment,
                count: 1,
                actor: Some(Actor { caller: "key:1".to_owned(), user_name: None, api_key_name: None }),
                client: (number > 0).then(|| format!("192.0.2.{number:03}")),
                request_id: None,
                subject: None,
                secret_revision: Some(1),
                attributes: Vec::new(),
            })
        };
        let events: Vec<Arc<AuditEvent>> = (0..50).rev().map(event).collect();
        let clients: Vec<Option<&str>> = readers(&events).iter().map(|reader| reader.client).collect();
        assert!(clients.len() == 50 && clients.is_sorted(), "{clients:?}");
    }
}
