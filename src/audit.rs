//! The audit trail: events that are committed with the change they tell of, secrets that were seen, refused logins.
//!
//! What is seen for the first time in an hour is committed before it is shown; repeats, and refused logins, are added up
//! in memory and written each minute, so that they cost no sync.

mod refusals;
mod reveals;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::config::AuditConfig;
use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::{Actor, AuditEvent, AuditKind, AuditRing, CallerId, Subject, SubjectKind};
use crate::domain::client_address::ClientAddress;
use crate::domain::connector::Connector;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::store::{Index, Store, Transaction, Unavailable};

use refusals::Refusals;
use reveals::{Repeats, Reveal, Reveals};

/// Events written or removed by one change at most, so that no change is long.
const EVENTS_AT_ONCE: usize = 256;
/// Old events removed with each new one: more than one, so that a trail that is too long gets shorter.
const REMOVED_PER_EVENT: usize = 2;

/// Who does something, and from where.
#[derive(Debug, Clone)]
pub struct Who {
    /// What the request was signed in with.
    pub caller: CallerId,
    /// The user, or the owner of the key.
    pub user_id: u64,
    /// Where the request comes from.
    pub client: ClientAddress,
    /// The request's id.
    pub request_id: String,
}

impl Who {
    /// With the names as of now.
    fn actor(&self, index: &Index) -> Actor {
        let user_name = index.users().get(self.user_id).map(|user| user.name.clone());
        let api_key_name = match self.caller {
            CallerId::Key(id) => index.api_keys().get(id).and_then(|key| key.name.clone()),
            CallerId::User(_) | CallerId::CommandLine => None,
        };
        Actor { caller: self.caller.to_string(), user_name, api_key_name }
    }
}

/// Keeps the audit trail.
pub struct Audit {
    config: AuditConfig,
    reveals: Mutex<Reveals>,
    refusals: Mutex<Refusals>,
}

/// A reveal that is part of a change; see [`Audit::confirm`].
#[derive(Debug, Clone, Copy)]
pub struct Pending {
    reveal: Reveal,
    event_id: u64,
}

impl Audit {
    /// Goes on with what is stored.
    pub fn new(config: AuditConfig, index: &Index) -> Self {
        Self {
            config,
            reveals: Mutex::new(Reveals::of_last_hour(index)),
            refusals: Mutex::new(Refusals::default()),
        }
    }

    /// Adds an event to a change: both are stored, or neither.
    pub fn record(
        &self,
        transaction: &mut Transaction<'_>,
        who: &Who,
        kind: AuditKind,
        subject: Subject,
        attributes: &[&str],
    ) {
        let event = AuditEvent {
            actor: Some(who.actor(transaction.index())),
            client: Some(who.client.to_string()),
            request_id: Some(who.request_id.clone()),
            subject: Some(subject),
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
            ..new_event(kind, transaction.now())
        };
        self.put(transaction, event);
    }

    /// Adds to a change that a connector's secret is shown, unless that is known already.
    pub fn record_reveal(
        &self,
        transaction: &mut Transaction<'_>,
        who: &Who,
        connector: &Connector,
    ) -> Option<Pending> {
        if !connector.settings.holds_secret() {
            return None;
        }
        let reveal = Reveal::new(who.caller, who.client, connector);
        let now = transaction.now();
        // Held until the event has its place: of two requests, one records.
        let mut reveals = lock(&self.reveals);
        if reveals.count_repeat(&reveal, transaction.index(), now) {
            return None;
        }
        // Another request may have added it to this batch: then this answer waits for the same sync.
        let added = reveals.event_id(&reveal, now).filter(|id| {
            let event = transaction.index().audit_events().get(*id);
            event.is_some_and(|event| Reveal::of_event(event) == Some(reveal))
        });
        let event_id = match added {
            Some(event_id) => event_id,
            None => {
                let event = AuditEvent {
                    actor: Some(who.actor(transaction.index())),
                    client: Some(who.client.to_string()),
                    request_id: Some(who.request_id.clone()),
                    subject: Some(connector_subject(connector)),
                    secret_revision: Some(connector.secret_revision),
                    ..new_event(AuditKind::SecretRevealed, now)
                };
                let event_id = self.put(transaction, event);
                reveals.add(reveal, event_id, now);
                event_id
            }
        };
        Some(Pending { reveal, event_id })
    }

    /// The change with the reveal is stored: repeats are only counted from now on.
    pub fn confirm(&self, pending: &[Pending]) {
        let mut reveals = lock(&self.reveals);
        for Pending { reveal, event_id } in pending {
            reveals.confirm(reveal, *event_id);
        }
    }

    /// Counts the connectors whose secrets this caller has been shown within the hour; the positions of the others are
    /// returned, they have to be recorded first.
    pub fn unrecorded(
        &self,
        caller: CallerId,
        client: ClientAddress,
        connectors: &[Arc<Connector>],
        index: &Index,
    ) -> Vec<usize> {
        let (mut unrecorded, now) = (Vec::new(), index.now());
        // Not for a long list as a whole: others look into it too.
        for (part, connectors) in connectors.chunks(EVENTS_AT_ONCE).enumerate() {
            let mut reveals = lock(&self.reveals);
            for (position, connector) in connectors.iter().enumerate() {
                let is_secret = connector.settings.holds_secret();
                let reveal = Reveal::new(caller, client, connector);
                if is_secret && !reveals.count_repeat(&reveal, index, now) {
                    unrecorded.push(part * EVENTS_AT_ONCE + position);
                }
            }
        }
        unrecorded
    }

    /// Counts a refused login. The subject is the user or key that the credentials named, if there is one.
    pub fn count_refusal(
        &self,
        client: ClientAddress,
        request_id: &str,
        subject: Option<Subject>,
        now: Timestamp,
    ) {
        lock(&self.refusals).count(client, request_id, subject, now);
    }

    /// Writes what was counted, and removes what is too old. What cannot be written now stays counted.
    pub async fn keep_house(&self, store: &Store) {
        if let Err(unavailable) = self.write_counts(store).await {
            warn!(reason = unavailable.reason, "counts of the audit trail could not be written; they wait");
        }
    }

    async fn write_counts(&self, store: &Store) -> Result<(), Unavailable> {
        let refused = lock(&self.refusals).take();
        for (position, events) in refused.chunks(EVENTS_AT_ONCE).enumerate() {
            let (chunk, config) = (events.to_vec(), self.config.clone());
            let written = store.commit(move |transaction: &mut Transaction<'_>| {
                for event in chunk {
                    put(transaction, &config, event);
                }
                Ok::<(), Unavailable>(())
            });
            if let Err(unavailable) = written.await {
                lock(&self.refusals).put_back(&refused[position * EVENTS_AT_ONCE..]);
                return Err(unavailable);
            }
        }
        let repeated = lock(&self.reveals).take_repeats();
        for (position, repeats) in repeated.chunks(EVENTS_AT_ONCE).enumerate() {
            let (chunk, config) = (repeats.to_vec(), self.config.clone());
            let written = store.commit(move |transaction: &mut Transaction<'_>| {
                for repeats in &chunk {
                    put_repeats(transaction, &config, repeats);
                }
                Ok::<(), Unavailable>(())
            });
            if let Err(unavailable) = written.await {
                lock(&self.reveals).put_back(&repeated[position * EVENTS_AT_ONCE..]);
                return Err(unavailable);
            }
        }
        let config = self.config.clone();
        let trimmed = store.commit(move |transaction: &mut Transaction<'_>| {
            for ring in AuditRing::ALL {
                trim(transaction, &config, ring, EVENTS_AT_ONCE);
            }
            Ok::<(), Unavailable>(())
        });
        trimmed.await
    }

    fn put(&self, transaction: &mut Transaction<'_>, event: AuditEvent) -> u64 {
        put(transaction, &self.config, event)
    }
}

/// An event of the command line, in the same change.
pub fn record_on_command_line(
    transaction: &mut Transaction<'_>,
    config: &AuditConfig,
    kind: AuditKind,
    subject: Subject,
) {
    let actor = Actor { caller: CallerId::CommandLine.to_string(), user_name: None, api_key_name: None };
    let event =
        AuditEvent { actor: Some(actor), subject: Some(subject), ..new_event(kind, transaction.now()) };
    put(transaction, config, event);
}

/// A connector as the subject of an event.
pub fn connector_subject(connector: &Connector) -> Subject {
    let name = Some(connector.name.as_str().to_owned());
    Subject { kind: SubjectKind::CloudConnector, id: connector.id, name }
}

/// An API key as the subject of an event.
pub fn api_key_subject(key: &ApiKey) -> Subject {
    Subject { kind: SubjectKind::ApiKey, id: key.id, name: key.name.clone() }
}

/// A user as the subject of an event.
pub fn user_subject(user: &User) -> Subject {
    Subject { kind: SubjectKind::User, id: user.id, name: Some(user.name.clone()) }
}

fn new_event(kind: AuditKind, now: Timestamp) -> AuditEvent {
    AuditEvent {
        id: 0,
        kind,
        first_at: now,
        last_at: now,
        count: 1,
        actor: None,
        client: None,
        request_id: None,
        subject: None,
        secret_revision: None,
        attributes: Vec::new(),
    }
}

fn put(transaction: &mut Transaction<'_>, config: &AuditConfig, event: AuditEvent) -> u64 {
    let id = transaction.next_id::<AuditEvent>();
    let ring = event.kind.ring();
    transaction.put(AuditEvent { id, ..event });
    trim(transaction, config, ring, REMOVED_PER_EVENT);
    id
}

/// Adds repeats to their event. One that was pushed out of its ring meanwhile comes back: nothing seen goes untold.
fn put_repeats(transaction: &mut Transaction<'_>, config: &AuditConfig, repeats: &Repeats) {
    let stored = transaction.index().audit_events().get(repeats.event.id);
    let mut event = AuditEvent::clone(stored.unwrap_or(&repeats.event));
    let is_stored = stored.is_some();
    event.count += repeats.count;
    event.last_at = event.last_at.max(repeats.last_at);
    if is_stored {
        transaction.put(event);
    } else {
        put(transaction, config, event);
    }
}

/// Removes events of a ring that are too many or too old, a bounded number.
fn trim(transaction: &mut Transaction<'_>, config: &AuditConfig, ring: AuditRing, removed_max: usize) {
    let keep_count = match ring {
        AuditRing::Changes => config.keep_count,
        AuditRing::Reveals => config.reveal_keep_count,
        AuditRing::Logins => config.login_keep_count,
    };
    for _ in 0..removed_max {
        let events = transaction.index().audit_events();
        let (count, oldest) = events.ring(ring);
        let is_old =
            |event: &AuditEvent| transaction.now().seconds_since(event.last_at) >= config.keep.as_secs();
        let too_old = oldest.filter(|oldest| is_old(oldest)).map(|event| event.id);
        let too_many = || events.first_to_go(ring).filter(|_| count > keep_count);
        let Some(id) = too_old.or_else(too_many) else { return };
        transaction.remove::<AuditEvent>(id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding these locks, and what they guard is whole after every call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
