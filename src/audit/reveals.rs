//! Which secrets were shown to whom within the last hour, so that a repeat costs a look into memory and no sync.
//!
//! Memory counts only as long as the store has the event: one that was pushed out of its ring tells nobody anything.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::domain::audit_event::{AuditEvent, CallerId};
use crate::domain::client_address::ClientAddress;
use crate::domain::connector::Connector;
use crate::domain::timestamp::Timestamp;
use crate::store::Index;

/// After this time a secret that is shown again is a new event.
const COUNTED_SECS: u64 = 3600;
/// Most reveals that are known, and most events whose repeats wait; what does not fit is a new event.
const KNOWN_MAX: usize = 65_536;

/// What makes a reveal another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reveal {
    connector_id: u64,
    secret_revision: u64,
    caller: CallerId,
    /// By network: somebody may have every address of it.
    client: ClientAddress,
}

impl Reveal {
    pub(super) fn new(caller: CallerId, client: ClientAddress, connector: &Connector) -> Self {
        let (connector_id, secret_revision) = (connector.id, connector.secret_revision);
        Self { connector_id, secret_revision, caller, client: client.network() }
    }

    /// What a stored event tells of.
    pub(super) fn of_event(event: &AuditEvent) -> Option<Self> {
        Some(Self {
            connector_id: event.subject.as_ref()?.id,
            secret_revision: event.secret_revision?,
            caller: CallerId::parse(&event.actor.as_ref()?.caller)?,
            client: ClientAddress::parse(event.client.as_ref()?)?.network(),
        })
    }
}

/// A reveal that has its event.
#[derive(Debug)]
struct Known {
    event_id: u64,
    since: Timestamp,
    /// Before that the event is only on its way: nobody may rely on it.
    is_stored: bool,
}

/// Repeats to be written.
#[derive(Debug, Clone)]
pub(super) struct Repeats {
    /// As it is stored, for the case that it is not any more when the repeats are written.
    pub(super) event: Arc<AuditEvent>,
    pub(super) count: u64,
    pub(super) last_at: Timestamp,
}

#[derive(Default)]
pub(super) struct Reveals {
    known: HashMap<Reveal, Known>,
    /// May hold some that are replaced by now.
    by_age: VecDeque<(Reveal, u64)>,
    /// By the event's id.
    repeated: BTreeMap<u64, Repeats>,
}

impl Reveals {
    /// What the store knows: after a restart nothing has to be recorded twice.
    pub(super) fn of_last_hour(index: &Index) -> Self {
        let (mut reveals, now) = (Self::default(), index.now());
        for event in index.audit_events().iter() {
            if now.seconds_since(event.first_at) >= COUNTED_SECS {
                continue;
            }
            if let Some(reveal) = Reveal::of_event(event) {
                reveals.add(reveal, event.id, event.first_at);
                reveals.confirm(&reveal, event.id);
            }
        }
        reveals
    }

    /// Counts a repeat, if the first one of the hour is stored, still.
    pub(super) fn count_repeat(&mut self, reveal: &Reveal, index: &Index, now: Timestamp) -> bool {
        let known = self.known.get(reveal).filter(|known| known.is_stored && known.is_recent(now));
        let Some(event) = known.and_then(|known| index.audit_events().get(known.event_id)) else {
            return false;
        };
        if self.repeated.len() >= KNOWN_MAX && !self.repeated.contains_key(&event.id) {
            return false;
        }
        self.add_repeats(&Repeats { event: Arc::clone(event), count: 1, last_at: now });
        true
    }

    /// The event of this hour, maybe of a change that failed.
    pub(super) fn event_id(&self, reveal: &Reveal, now: Timestamp) -> Option<u64> {
        self.known.get(reveal).filter(|known| known.is_recent(now)).map(|known| known.event_id)
    }

    /// Notes an event that is on its way.
    pub(super) fn add(&mut self, reveal: Reveal, event_id: u64, now: Timestamp) {
        let known = Known { event_id, since: now, is_stored: false };
        self.known.insert(reveal, known);
        self.by_age.push_back((reveal, event_id));
        if self.by_age.len() > KNOWN_MAX
            && let Some((oldest, event_id)) = self.by_age.pop_front()
            && self.known.get(&oldest).is_some_and(|known| known.event_id == event_id)
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn confirm(&mut self, reveal: &Reveal, event_id: u64) {
        if let Some(known) = self.known.get_mut(reveal).filter(|known| known.event_id == event_id) {
            known.is_stored = true;
        }
    }

    pub(super) fn take_repeats(&mut self) -> Vec<Repeats> {
        std::mem::take(&mut self.repeated).into_values().collect()
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&mut self, repeats: &[Repeats]) {
        for repeats in repeats {
            self.add_repeats(repeats);
        }
    }

    fn add_repeats(&mut self, more: &Repeats) {
        match self.repeated.get_mut(&more.event.id) {
            Some(repeats) => {
                repeats.count += more.count;
                repeats.last_at = repeats.last_at.max(more.last_at);
            }
            None => drop(self.repeated.insert(more.event.id, more.clone())),
        }
    }
}

impl Known {
    fn is_recent(&self, now: Timestamp) -> bool {
        now.seconds_since(self.since) < COUNTED_SECS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::new_event;
    use crate::domain::audit_event::AuditKind;

    fn reveal(connector_id: u64) -> Reveal {
        let client = ClientAddress::parse("192.0.2.1").expect("an address");
        Reveal { connector_id, secret_revision: 1, caller: CallerId::Key(7), client }
    }

    /// A store with these events.
    fn index(ids: impl IntoIterator<Item = u64>) -> Index {
        let mut index = Index::default();
        for id in ids {
            let event = AuditEvent { id, ..new_event(AuditKind::SecretRevealed, at(0)) };
            index.audit_events.put(Arc::new(event));
        }
        index
    }

    fn taken(reveals: &mut Reveals) -> Vec<(u64, u64, Timestamp)> {
        let taken = reveals.take_repeats().into_iter();
        taken.map(|repeats| (repeats.event.id, repeats.count, repeats.last_at)).collect()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn repeats_count_once_the_first_is_stored_and_for_an_hour() {
        let (mut reveals, index) = (Reveals::default(), index([5]));
        assert!(!reveals.count_repeat(&reveal(1), &index, at(0)));
        reveals.add(reveal(1), 5, at(0));
        assert!(!reveals.count_repeat(&reveal(1), &index, at(0)), "on its way is not stored");
        assert_eq!(reveals.event_id(&reveal(1), at(0)), Some(5));
        reveals.confirm(&reveal(1), 4);
        assert!(!reveals.count_repeat(&reveal(1), &index, at(0)), "another event was stored");
        reveals.confirm(&reveal(1), 5);
        assert!(reveals.count_repeat(&reveal(1), &index, at(1)));
        assert!(reveals.count_repeat(&reveal(1), &index, at(3599)));
        assert!(!reveals.count_repeat(&reveal(2), &index, at(1)));
        let repeats = reveals.take_repeats();
        assert_eq!(taken(&mut reveals), []);
        reveals.put_back(&repeats);
        assert!(reveals.count_repeat(&reveal(1), &index, at(2)));
        assert_eq!(taken(&mut reveals), [(5, 3, at(3599))]);
        assert!(!reveals.count_repeat(&reveal(1), &index, at(3600)), "a new hour is a new event");
        assert_eq!(reveals.event_id(&reveal(1), at(3600)), None);
        assert!(!reveals.count_repeat(&reveal(1), &Index::default(), at(2)), "the event is gone");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut reveals = Reveals::default();
        for id in 0..KNOWN_MAX as u64 + 10 {
            reveals.add(reveal(id), id, at(0));
            reveals.confirm(&reveal(id), id);
        }
        let index = index([9, 10]);
        assert_eq!((reveals.known.len(), reveals.by_age.len()), (KNOWN_MAX, KNOWN_MAX));
        assert!(!reveals.count_repeat(&reveal(9), &index, at(0)));
        assert!(reveals.count_repeat(&reveal(10), &index, at(0)));
        // The same one hour after hour leaves no heap behind.
        for id in 0..2 * KNOWN_MAX as u64 {
            reveals.add(reveal(1), id, at(0));
        }
        assert_eq!((reveals.known.len(), reveals.by_age.len()), (1, KNOWN_MAX));
    }
}
