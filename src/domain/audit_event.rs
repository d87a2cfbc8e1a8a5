//! The audit trail's events: who did or saw what, from where, and when. Names of attributes are kept, values never.

use std::fmt;

use crate::domain::client_address::ClientAddress;
use crate::domain::timestamp::Timestamp;

/// One event; what repeats within a short time is counted in it.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Counts up from 1, in the order that the events were stored in.
    pub id: u64,
    /// What happened.
    pub kind: AuditKind,
    /// When it happened, for the first time where it is counted.
    pub first_at: Timestamp,
    /// When it happened the last time.
    pub last_at: Timestamp,
    /// How often it happened.
    pub count: u64,
    /// By whom; nobody who is known where a login was refused.
    pub actor: Option<Actor>,
    /// The client's address; of refused logins an IPv6 network. `None` where no request came over a connection.
    pub client: Option<String>,
    /// The id of the request, of the first where it is counted.
    pub request_id: Option<String>,
    /// What it happened to.
    pub subject: Option<Subject>,
    /// Which of the subject's secrets was seen.
    pub secret_revision: Option<u64>,
    /// The names of the attributes that were changed.
    pub attributes: Vec<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditKind {
    /// Wrong credentials were sent.
    LoginRefused,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was changed.
    ApiKeyUpdated,
    /// An API key was removed.
    ApiKeyRevoked,
    /// A connector was made.
    ConnectorCreated,
    /// A connector was changed.
    ConnectorUpdated,
    /// A connector was removed.
    ConnectorDestroyed,
    /// A secret key or a proxy password was shown.
    SecretRevealed,
}

/// Events that are bounded together: a flood in one ring evicts nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditRing {
    /// What was changed.
    Changes,
    /// What was seen.
    Reveals,
    /// Who was not let in.
    Logins,
}

impl AuditRing {
    /// Every ring.
    pub const ALL: [AuditRing; 3] = [AuditRing::Changes, AuditRing::Reveals, AuditRing::Logins];
}

impl AuditKind {
    /// Every kind.
    pub const ALL: [AuditKind; 8] = [
        AuditKind::LoginRefused,
        AuditKind::ApiKeyCreated,
        AuditKind::ApiKeyUpdated,
        AuditKind::ApiKeyRevoked,
        AuditKind::ConnectorCreated,
        AuditKind::ConnectorUpdated,
        AuditKind::ConnectorDestroyed,
        AuditKind::SecretRevealed,
    ];

    /// The name, in the API and on disk.
    pub const fn name(self) -> &'static str {
        match self {
            AuditKind::LoginRefused => "login_refused",
            AuditKind::ApiKeyCreated => "api_key_created",
            AuditKind::ApiKeyUpdated => "api_key_updated",
            AuditKind::ApiKeyRevoked => "api_key_revoked",
            AuditKind::ConnectorCreated => "connector_created",
            AuditKind::ConnectorUpdated => "connector_updated",
            AuditKind::ConnectorDestroyed => "connector_destroyed",
            AuditKind::SecretRevealed => "secret_revealed",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What it is bounded together with.
    pub fn ring(self) -> AuditRing {
        match self {
            AuditKind::LoginRefused => AuditRing::Logins,
            AuditKind::SecretRevealed => AuditRing::Reveals,
            AuditKind::ApiKeyCreated
            | AuditKind::ApiKeyUpdated
            | AuditKind::ApiKeyRevoked
            | AuditKind::ConnectorCreated
            | AuditKind::ConnectorUpdated
            | AuditKind::ConnectorDestroyed => AuditRing::Changes,
        }
    }
}

/// Who calls: what a request was signed in with, or the machine's own command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallerId {
    /// A user's password.
    User(u64),
    /// An API key.
    Key(u64),
    /// `connectord user …`.
    CommandLine,
}

impl CallerId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("user", id)) => id.parse().ok().map(CallerId::User),
            Some(("key", id)) => id.parse().ok().map(CallerId::Key),
            Some(_) => None,
            None => (text == "command_line").then_some(CallerId::CommandLine),
        }
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerId::User(id) => write!(formatter, "user:{id}"),
            CallerId::Key(id) => write!(formatter, "key:{id}"),
            CallerId::CommandLine => formatter.write_str("command_line"),
        }
    }
}

/// Where an event comes from, as its weight in a ring is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditOrigin {
    /// Somebody who was let in.
    Caller(CallerId),
    /// Somebody who was not, by network.
    Client(ClientAddress),
    /// Too many networks to tell apart.
    Unknown,
}

/// A subject without its name.
pub type SubjectKey = (SubjectKind, u64);

/// Where an event belongs among those that are bounded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPlace {
    /// What it is bounded together with.
    pub ring: AuditRing,
    /// Whose events it is counted with.
    pub origin: AuditOrigin,
    /// What it happened to.
    pub subject: Option<SubjectKey>,
}

/// By whom, with the names as of then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `user:1`, `key:7` or `command_line`.
    pub caller: String,
    /// The user, or the owner of the key.
    pub user_name: Option<String>,
    /// The key's name, where it has one.
    pub api_key_name: Option<String>,
}

/// What an event happened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Its number.
    pub id: u64,
    /// Its name as of then.
    pub name: Option<String>,
}

/// What kind of thing an event happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// A cloud connector.
    CloudConnector,
    /// An API key.
    ApiKey,
    /// A user.
    User,
}

impl SubjectKind {
    /// Every kind.
    pub const ALL: [SubjectKind; 3] = [SubjectKind::CloudConnector, SubjectKind::ApiKey, SubjectKind::User];

    /// The name, in the API and on disk.
    pub const fn name(self) -> &'static str {
        match self {
            SubjectKind::CloudConnector => "cloud_connector",
            SubjectKind::ApiKey => "api_key",
            SubjectKind::User => "user",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl AuditEvent {
    /// Where it belongs; the same for good.
    pub fn place(&self) -> AuditPlace {
        let caller = self.actor.as_ref().and_then(|actor| CallerId::parse(&actor.caller));
        let client = || self.client.as_deref().and_then(ClientAddress::parse_network);
        let origin = match caller {
            Some(caller) => AuditOrigin::Caller(caller),
            None => client().map_or(AuditOrigin::Unknown, AuditOrigin::Client),
        };
        let subject = self.subject.as_ref().map(|subject| (subject.kind, subject.id));
        AuditPlace { ring: self.kind.ring(), origin, subject }
    }

    /// Whether it tells of the secret of a connector, as it was in this revision, being seen.
    pub fn is_reveal_of(&self, connector_id: u64, secret_revision: u64) -> bool {
        let is_subject =
            |subject: &Subject| subject.kind == SubjectKind::CloudConnector && subject.id == connector_id;
        self.kind == AuditKind::SecretRevealed
            && self.secret_revision == Some(secret_revision)
            && self.subject.as_ref().is_some_and(is_subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in AuditKind::ALL {
            assert_eq!(AuditKind::parse(kind.name()), Some(kind));
        }
        for kind in SubjectKind::ALL {
            assert_eq!(SubjectKind::parse(kind.name()), Some(kind));
        }
        for caller in [CallerId::User(1), CallerId::Key(7), CallerId::CommandLine] {
            assert_eq!(CallerId::parse(&caller.to_string()), Some(caller));
        }
        for text in ["", "user:", "user:x", "root:1", "key"] {
            assert_eq!(CallerId::parse(text), None, "{text}");
        }
    }
}
