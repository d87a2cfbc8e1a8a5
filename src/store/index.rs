//! What reads see: every record of one commit, decoded, in immutable maps.
//!
//! Copying an index copies a few pointers; a changed copy shares all that did not change with the original. So a
//! reader keeps one commit as long as it likes, and a writer prepares the next one beside it.

use std::sync::Arc;

use imbl::OrdMap;

use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::{AuditEvent, AuditRing};
use crate::domain::connector::Connector;
use crate::domain::job::Job;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::store::records::Record;
use crate::store::ring::Ring;
use crate::store::sealing::Vault;
use crate::store::state::Kind;

/// Every record, as of one commit.
#[derive(Clone, Default)]
pub struct Index {
    pub(crate) users: Table<User>,
    pub(crate) api_keys: Table<ApiKey>,
    pub(crate) connectors: Table<Connector>,
    pub(crate) jobs: Table<Job>,
    pub(crate) audit_events: Table<AuditEvent>,
    /// The last id given out, for each kind.
    pub(crate) counters: OrdMap<Kind, u64>,
    /// When the last commit was made.
    pub(crate) time: Timestamp,
    /// The wrapped data key.
    pub(crate) vault: Option<Arc<Vault>>,
}

impl Index {
    /// What time it is: the clock's, but never before the last commit, for boxes without a clock battery.
    pub fn now(&self) -> Timestamp {
        Timestamp::now().max(self.time)
    }

    /// Whether a recovery code opens the store, should the key file be lost.
    pub fn has_recovery_code(&self) -> bool {
        self.vault.as_ref().is_some_and(|vault| vault.has_recovery_code())
    }

    /// The users; the unique text is the name.
    pub fn users(&self) -> &Table<User> {
        &self.users
    }

    /// The API keys of all users; the unique text is the lookup part.
    pub fn api_keys(&self) -> &Table<ApiKey> {
        &self.api_keys
    }

    /// The connectors; the unique text is the name.
    pub fn connectors(&self) -> &Table<Connector> {
        &self.connectors
    }

    /// The test jobs; the unique text is the job id that clients know.
    pub fn jobs(&self) -> &Table<Job> {
        &self.jobs
    }

    /// The audit trail.
    pub fn audit_events(&self) -> &Table<AuditEvent> {
        &self.audit_events
    }
}

/// The records of one kind, by id and by a unique text.
pub struct Table<T> {
    by_id: OrdMap<u64, Arc<T>>,
    by_text: OrdMap<Arc<str>, u64>,
    rings: OrdMap<AuditRing, Ring>,
    text_bytes: u64,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self {
            by_id: self.by_id.clone(),
            by_text: self.by_text.clone(),
            rings: self.rings.clone(),
            text_bytes: self.text_bytes,
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { by_id: OrdMap::new(), by_text: OrdMap::new(), rings: OrdMap::new(), text_bytes: 0 }
    }
}

impl<T> Table<T> {
    /// The record with this id.
    pub fn get(&self, id: u64) -> Option<&Arc<T>> {
        self.by_id.get(&id)
    }

    /// The record with this unique text.
    pub fn find(&self, text: &str) -> Option<&Arc<T>> {
        self.by_text.get(text).and_then(|id| self.by_id.get(id))
    }

    /// All records in the order of their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> {
        self.by_id.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of the texts of all, for kinds that are bounded by them.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl Table<AuditEvent> {
    /// How many events a ring holds, and the oldest of them.
    pub fn ring(&self, ring: AuditRing) -> (usize, Option<&Arc<AuditEvent>>) {
        let ring = self.rings.get(&ring);
        let oldest = ring.and_then(Ring::oldest).and_then(|id| self.by_id.get(&id));
        (ring.map_or(0, Ring::len), oldest)
    }

    /// The event that goes first where a ring holds too many.
    pub fn first_to_go(&self, ring: AuditRing) -> Option<u64> {
        self.rings.get(&ring).and_then(Ring::first_to_go)
    }
}

impl<T: Record> Table<T> {
    pub(crate) fn put(&mut self, record: Arc<T>) {
        let id = record.id();
        let before = self.by_id.insert(id, Arc::clone(&record));
        self.text_bytes += record.text_bytes();
        self.text_bytes -= before.as_ref().map_or(0, |before| before.text_bytes());
        if let (Some(place), None) = (record.place(), &before) {
            self.rings.entry(place.ring).or_default().insert(id, &place);
        }
        if let Some(before) = before.filter(|before| before.unique_text() != record.unique_text()) {
            self.by_text.remove(before.unique_text());
        }
        if !record.unique_text().is_empty() && self.by_text.get(record.unique_text()) != Some(&id) {
            self.by_text.insert(record.unique_text().into(), id);
        }
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Arc<T>> {
        let record = self.by_id.remove(&id)?;
        self.text_bytes -= record.text_bytes();
        if let Some(place) = record.place()
            && let Some(ring) = self.rings.get_mut(&place.ring)
        {
            ring.remove(id, &place);
        }
        self.by_text.remove(record.unique_text());
        Some(record)
    }
}
