//! Which secrets were shown to whom within the last hour, so that a repeat costs a look into memory and no sync.

use std::collections::{HashMap, VecDeque};

use crate::domain::audit_event::{AuditEvent, CallerId};
use crate::domain::client_address::ClientAddress;
use crate::domain::connector::Connector;
use crate::domain::timestamp::Timestamp;
use crate::store::Index;

/// After this time a secret that is shown again is a new event.
const COUNTED_SECS: u64 = 3600;
/// Most reveals that are known; of the oldest, the repeats of a minute are lost, and the next one is a new event.
const KNOWN_MAX: usize = 65_536;

/// What makes a reveal another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reveal {
    connector_id: u64,
    secret_revision: u64,
    caller: CallerId,
    client: ClientAddress,
}

impl Reveal {
    pub(super) fn new(caller: CallerId, client: ClientAddress, connector: &Connector) -> Self {
        Self { connector_id: connector.id, secret_revision: connector.secret_revision, caller, client }
    }

    /// What a stored event tells of.
    pub(super) fn of_event(event: &AuditEvent) -> Option<Self> {
        Some(Self {
            connector_id: event.subject.as_ref()?.id,
            secret_revision: event.secret_revision?,
            caller: CallerId::parse(&event.actor.as_ref()?.caller)?,
            client: ClientAddress::parse(event.client.as_ref()?)?,
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
    /// Not written yet.
    repeats: u64,
    last_at: Timestamp,
}

/// Repeats to be written: the event, how many, and the last of them.
pub(super) type Repeats = (u64, u64, Timestamp);

#[derive(Default)]
pub(super) struct Reveals {
    known: HashMap<Reveal, Known>,
    /// May hold some that are replaced by now.
    by_age: VecDeque<(Reveal, u64)>,
    repeated: Vec<Reveal>,
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

    /// Counts a repeat, if the first one of the hour is stored.
    pub(super) fn count_repeat(&mut self, reveal: &Reveal, now: Timestamp) -> bool {
        let known = self.known.get_mut(reveal);
        let Some(known) = known.filter(|known| known.is_stored && known.is_recent(now)) else {
            return false;
        };
        if known.repeats == 0 {
            self.repeated.push(*reveal);
        }
        known.repeats += 1;
        known.last_at = known.last_at.max(now);
        true
    }

    /// The event of this hour, maybe of a change that failed.
    pub(super) fn event_id(&self, reveal: &Reveal, now: Timestamp) -> Option<u64> {
        self.known.get(reveal).filter(|known| known.is_recent(now)).map(|known| known.event_id)
    }

    /// Notes an event that is on its way.
    pub(super) fn add(&mut self, reveal: Reveal, event_id: u64, now: Timestamp) {
        let known = Known { event_id, since: now, is_stored: false, repeats: 0, last_at: now };
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
        let mut taken = Vec::new();
        for reveal in std::mem::take(&mut self.repeated) {
            let Some(known) = self.known.get_mut(&reveal) else { continue };
            let repeats = std::mem::take(&mut known.repeats);
            if repeats > 0 {
                taken.push((known.event_id, repeats, known.last_at));
            }
        }
        taken
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&mut self, repeats: &[Repeats]) {
        let counts: HashMap<u64, u64> = repeats.iter().map(|(id, count, _)| (*id, *count)).collect();
        for (reveal, known) in &mut self.known {
            let Some(count) = counts.get(&known.event_id) else { continue };
            if known.repeats == 0 {
                self.repeated.push(*reveal);
            }
            known.repeats += count;
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

    fn reveal(connector_id: u64) -> Reveal {
        let client = ClientAddress::parse("192.0.2.1").expect("an address");
        Reveal { connector_id, secret_revision: 1, caller: CallerId::Key(7), client }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn repeats_count_once_the_first_is_stored_and_for_an_hour() {
        let mut reveals = Reveals::default();
        assert!(!reveals.count_repeat(&reveal(1), at(0)));
        reveals.add(reveal(1), 5, at(0));
        assert!(!reveals.count_repeat(&reveal(1), at(0)), "on its way is not stored");
        assert_eq!(reveals.event_id(&reveal(1), at(0)), Some(5));
        reveals.confirm(&reveal(1), 4);
        assert!(!reveals.count_repeat(&reveal(1), at(0)), "another event was stored");
        reveals.confirm(&reveal(1), 5);
        assert!(reveals.count_repeat(&reveal(1), at(1)) && reveals.count_repeat(&reveal(1), at(3599)));
        assert!(!reveals.count_repeat(&reveal(2), at(1)));
        assert_eq!(reveals.take_repeats(), [(5, 2, at(3599))]);
        assert_eq!(reveals.take_repeats(), []);
        reveals.put_back(&[(5, 2, at(3599)), (6, 1, at(0))]);
        assert!(reveals.count_repeat(&reveal(1), at(2)));
        assert_eq!(reveals.take_repeats(), [(5, 3, at(3599))]);
        assert!(!reveals.count_repeat(&reveal(1), at(3600)), "a new hour is a new event");
        assert_eq!(reveals.event_id(&reveal(1), at(3600)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut reveals = Reveals::default();
        for id in 0..KNOWN_MAX as u64 + 10 {
            reveals.add(reveal(id), id, at(0));
            reveals.confirm(&reveal(id), id);
        }
        assert_eq!((reveals.known.len(), reveals.by_age.len()), (KNOWN_MAX, KNOWN_MAX));
        assert!(!reveals.count_repeat(&reveal(9), at(0)) && reveals.count_repeat(&reveal(10), at(0)));
        // The same one hour after hour leaves no heap behind.
        for id in 0..2 * KNOWN_MAX as u64 {
            reveals.add(reveal(1), id, at(0));
        }
        assert_eq!((reveals.known.len(), reveals.by_age.len()), (1, KNOWN_MAX));
    }
}
