//! Which event of a full ring goes first: the oldest one of those that fill it most. So whoever floods a ring pushes out
//! events of the flood, neither those of others nor what else they did themselves.

use std::cmp::Reverse;

use imbl::{OrdMap, OrdSet};

use crate::domain::audit_event::{AuditOrigin, AuditPlace, SubjectKey};

/// The ids of the events of one ring. Copying it costs a few pointers.
#[derive(Clone, Default)]
pub(crate) struct Ring {
    ids: OrdSet<u64>,
    by_origin: Piles<(), AuditOrigin>,
    by_subject: Piles<AuditOrigin, Option<SubjectKey>>,
}

impl Ring {
    pub(crate) fn insert(&mut self, id: u64, place: &AuditPlace) {
        self.ids.insert(id);
        self.by_origin.insert((), place.origin, id);
        self.by_subject.insert(place.origin, place.subject, id);
    }

    pub(crate) fn remove(&mut self, id: u64, place: &AuditPlace) {
        self.ids.remove(&id);
        self.by_origin.remove((), place.origin, id);
        self.by_subject.remove(place.origin, place.subject, id);
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn oldest(&self) -> Option<u64> {
        self.ids.get_min().copied()
    }

    /// The oldest event on the subject that has most events, of those of the caller or client that has most. Among
    /// equals, what has the oldest event.
    pub(crate) fn first_to_go(&self) -> Option<u64> {
        let origin = self.by_origin.largest(())?;
        let subject = self.by_subject.largest(origin)?;
        self.by_subject.oldest(origin, subject)
    }
}

/// Ids in piles, and piles in groups. The largest pile of a group is found without a walk.
#[derive(Clone)]
struct Piles<G, P> {
    ids: OrdSet<(G, P, u64)>,
    sizes: OrdMap<(G, P), usize>,
    /// By size, and by the oldest id, which no other pile has.
    by_size: OrdMap<(G, usize, Reverse<u64>), P>,
}

impl<G, P> Default for Piles<G, P> {
    fn default() -> Self {
        Self { ids: OrdSet::new(), sizes: OrdMap::new(), by_size: OrdMap::new() }
    }
}

impl<G: Ord + Copy, P: Ord + Copy> Piles<G, P> {
    fn insert(&mut self, group: G, pile: P, id: u64) {
        let size = self.take_place(group, pile);
        self.ids.insert((group, pile, id));
        self.put_place(group, pile, size + 1);
    }

    fn remove(&mut self, group: G, pile: P, id: u64) {
        let size = self.take_place(group, pile);
        self.ids.remove(&(group, pile, id));
        self.put_place(group, pile, size.saturating_sub(1));
    }

    fn largest(&self, group: G) -> Option<P> {
        let ((found, _, _), pile) = self.by_size.get_prev(&(group, usize::MAX, Reverse(0)))?;
        (*found == group).then_some(*pile)
    }

    fn oldest(&self, group: G, pile: P) -> Option<u64> {
        let (found_group, found_pile, id) = self.ids.get_next(&(group, pile, 0))?;
        (*found_group == group && *found_pile == pile).then_some(*id)
    }

    /// Takes the pile out of the order; its size is returned.
    fn take_place(&mut self, group: G, pile: P) -> usize {
        let size = self.sizes.remove(&(group, pile)).unwrap_or(0);
        if let Some(oldest) = self.oldest(group, pile) {
            self.by_size.remove(&(group, size, Reverse(oldest)));
        }
        size
    }

    fn put_place(&mut self, group: G, pile: P, size: usize) {
        if let Some(oldest) = self.oldest(group, pile) {
            self.sizes.insert((group, pile), size);
            self.by_size.insert((group, size, Reverse(oldest)), pile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit_event::{AuditRing, CallerId, SubjectKind};

    fn place(caller: u64, subject: u64) -> AuditPlace {
        AuditPlace {
            ring: AuditRing::Changes,
            origin: AuditOrigin::Caller(CallerId::Key(caller)),
            subject: Some((SubjectKind::CloudConnector, subject)),
        }
    }

    /// Fills a ring with events from 1 on, each of a caller on a subject, and empties it: the order that they go in.
    #[track_caller]
    fn check(events: &[(u64, u64)], expected: &[u64]) {
        let mut ring = Ring::default();
        for (id, (caller, subject)) in (1..).zip(events) {
            ring.insert(id, &place(*caller, *subject));
        }
        let mut order = Vec::new();
        while let Some(id) = ring.first_to_go() {
            let (caller, subject) = events[id as usize - 1];
            ring.remove(id, &place(caller, subject));
            order.push(id);
        }
        assert_eq!(order, expected, "{events:?}");
        assert_eq!((ring.len(), ring.oldest()), (0, None));
        let left = (ring.by_origin.sizes.len(), ring.by_subject.sizes.len(), ring.by_subject.by_size.len());
        assert_eq!(left, (0, 0, 0), "nothing is left behind");
    }

    #[test]
    fn what_fills_a_ring_most_goes_first() {
        check(&[], &[]);
        // Of one, or of equals, the oldest.
        check(&[(1, 1), (1, 2), (1, 3)], &[1, 2, 3]);
        check(&[(2, 1), (1, 1), (3, 1)], &[1, 2, 3]);
        // Of the caller with most, until there are equals.
        check(&[(1, 1), (2, 1), (2, 2), (2, 3)], &[2, 3, 1, 4]);
        check(&[(2, 1), (2, 2), (2, 3), (1, 1), (1, 2)], &[1, 2, 4, 3, 5]);
        // Of that caller, what is about the subject with most: what else the caller did stays.
        check(&[(1, 9), (1, 1), (1, 1), (1, 1), (2, 9)], &[2, 3, 1, 4, 5]);
    }
}
