//! How an audit event is stored. It holds no secret, so nothing in it is sealed.

use serde::{Deserialize, Serialize};

use crate::domain::audit_event::{Actor, AuditEvent, AuditKind, AuditPlace, Subject, SubjectKind};
use crate::domain::timestamp::Timestamp;
use crate::store::index::{Index, Table};
use crate::store::records::{DecodeError, Record, decode_record, encode_record};
use crate::store::sealing::Sealer;
use crate::store::state::Kind;

#[derive(Serialize, Deserialize)]
struct StoredAuditEvent {
    kind: String,
    first_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_at_ms: Option<i64>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<StoredActor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<StoredSubject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredActor {
    caller: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key_name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredSubject {
    kind: String,
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

fn one() -> u64 {
    1
}

fn is_one(count: &u64) -> bool {
    *count == 1
}

impl From<&Actor> for StoredActor {
    fn from(actor: &Actor) -> Self {
        let Actor { caller, user_name, api_key_name } = actor.clone();
        Self { caller, user_name, api_key_name }
    }
}

impl From<StoredActor> for Actor {
    fn from(stored: StoredActor) -> Self {
        let StoredActor { caller, user_name, api_key_name } = stored;
        Self { caller, user_name, api_key_name }
    }
}

impl TryFrom<StoredSubject> for Subject {
    type Error = String;

    fn try_from(stored: StoredSubject) -> Result<Self, String> {
        let kind = SubjectKind::parse(&stored.kind)
            .ok_or_else(|| format!("its subject {} is of an unknown kind", stored.kind))?;
        Ok(Self { kind, id: stored.id, name: stored.name })
    }
}

impl Record for AuditEvent {
    const KIND: Kind = Kind::AuditEvent;

    fn id(&self) -> u64 {
        self.id
    }

    fn unique_text(&self) -> &str {
        ""
    }

    fn place(&self) -> Option<AuditPlace> {
        Some(AuditEvent::place(self))
    }

    fn encode(&self, _sealer: &Sealer) -> Vec<u8> {
        let stored_subject = |subject: &Subject| StoredSubject {
            kind: subject.kind.name().to_owned(),
            id: subject.id,
            name: subject.name.clone(),
        };
        encode_record(&StoredAuditEvent {
            kind: self.kind.name().to_owned(),
            first_at_ms: self.first_at.unix_ms(),
            last_at_ms: (self.last_at != self.first_at).then(|| self.last_at.unix_ms()),
            count: self.count,
            actor: self.actor.as_ref().map(StoredActor::from),
            client: self.client.clone(),
            request_id: self.request_id.clone(),
            subject: self.subject.as_ref().map(stored_subject),
            secret_revision: self.secret_revision,
            attributes: self.attributes.clone(),
        })
    }

    fn decode(id: u64, bytes: &[u8], _sealer: &Sealer) -> Result<Self, DecodeError> {
        let stored: StoredAuditEvent = decode_record(bytes)?;
        Ok(Self {
            id,
            kind: AuditKind::parse(&stored.kind)
                .ok_or_else(|| format!("its kind {} is unknown", stored.kind))?,
            first_at: Timestamp::from_unix_ms(stored.first_at_ms),
            last_at: Timestamp::from_unix_ms(stored.last_at_ms.unwrap_or(stored.first_at_ms)),
            count: stored.count,
            actor: stored.actor.map(Actor::from),
            client: stored.client,
            request_id: stored.request_id,
            subject: stored.subject.map(Subject::try_from).transpose()?,
            secret_revision: stored.secret_revision,
            attributes: stored.attributes,
        })
    }

    fn table_mut(index: &mut Index) -> &mut Table<Self> {
        &mut index.audit_events
    }
}
