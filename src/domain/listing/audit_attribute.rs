//! The attributes that lists of audit events can filter and order by: all that are shown.

use std::borrow::Cow;

use crate::domain::audit_event::{AuditEvent, AuditKind, SubjectKind};
use crate::domain::listing::attribute::{Attribute, AttributeKind, Value};

/// An attribute of an audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAttribute {
    /// The number.
    Id,
    /// What happened.
    Kind,
    /// When, for the first time.
    FirstAt,
    /// When, for the last time.
    LastAt,
    /// How often.
    Count,
    /// By whom.
    Caller,
    /// The user's name.
    UserName,
    /// The API key's name.
    ApiKeyName,
    /// From where.
    Client,
    /// The request's id.
    RequestId,
    /// What it happened to.
    SubjectKind,
    /// The number of that.
    SubjectId,
    /// The name of that.
    SubjectName,
    /// Which secret was seen.
    SecretRevision,
    /// The names of changed attributes, separated by commas.
    Attributes,
}

impl Attribute for AuditAttribute {
    type Record = AuditEvent;

    const ALL: &'static [Self] = &[
        Self::Id,
        Self::Kind,
        Self::FirstAt,
        Self::LastAt,
        Self::Count,
        Self::Caller,
        Self::UserName,
        Self::ApiKeyName,
        Self::Client,
        Self::RequestId,
        Self::SubjectKind,
        Self::SubjectId,
        Self::SubjectName,
        Self::SecretRevision,
        Self::Attributes,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Kind => "kind",
            Self::FirstAt => "first_at",
            Self::LastAt => "last_at",
            Self::Count => "count",
            Self::Caller => "caller",
            Self::UserName => "user_name",
            Self::ApiKeyName => "api_key_name",
            Self::Client => "client",
            Self::RequestId => "request_id",
            Self::SubjectKind => "subject_kind",
            Self::SubjectId => "subject_id",
            Self::SubjectName => "subject_name",
            Self::SecretRevision => "secret_revision",
            Self::Attributes => "attributes",
        }
    }

    fn kind(self) -> AttributeKind {
        match self {
            Self::Id | Self::Count | Self::SubjectId | Self::SecretRevision => AttributeKind::Number,
            Self::FirstAt | Self::LastAt => AttributeKind::Moment,
            Self::Kind
            | Self::Caller
            | Self::UserName
            | Self::ApiKeyName
            | Self::Client
            | Self::RequestId
            | Self::SubjectKind
            | Self::SubjectName
            | Self::Attributes => AttributeKind::Text,
        }
    }

    fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Kind => Some(AuditKind::ALL.iter().map(|kind| kind.name()).collect()),
            Self::SubjectKind => Some(SubjectKind::ALL.iter().map(|kind| kind.name()).collect()),
            Self::Id
            | Self::FirstAt
            | Self::LastAt
            | Self::Count
            | Self::Caller
            | Self::UserName
            | Self::ApiKeyName
            | Self::Client
            | Self::RequestId
            | Self::SubjectId
            | Self::SubjectName
            | Self::SecretRevision
            | Self::Attributes => None,
        }
    }

    fn value(self, event: &AuditEvent) -> Value<'_> {
        let (actor, subject) = (event.actor.as_ref(), event.subject.as_ref());
        match self {
            Self::Id => Value::number(Some(event.id)),
            Self::Kind => Value::text(Some(event.kind.name())),
            Self::FirstAt => Value::moment(event.first_at),
            Self::LastAt => Value::moment(event.last_at),
            Self::Count => Value::number(Some(event.count)),
            Self::Caller => Value::text(actor.map(|actor| actor.caller.as_str())),
            Self::UserName => Value::text(actor.and_then(|actor| actor.user_name.as_deref())),
            Self::ApiKeyName => Value::text(actor.and_then(|actor| actor.api_key_name.as_deref())),
            Self::Client => Value::text(event.client.as_deref()),
            Self::RequestId => Value::text(event.request_id.as_deref()),
            Self::SubjectKind => Value::text(subject.map(|subject| subject.kind.name())),
            Self::SubjectId => Value::number(subject.map(|subject| subject.id)),
            Self::SubjectName => Value::text(subject.and_then(|subject| subject.name.as_deref())),
            Self::SecretRevision => Value::number(event.secret_revision),
            Self::Attributes if event.attributes.is_empty() => Value::Unset,
            Self::Attributes => Value::Text(Cow::Owned(event.attributes.join(","))),
        }
    }
}
