//! What was verified, so that it is paid for once.
//!
//! A remembered credential counts only while the index shows the same revision of it: a changed password or a revoked
//! key is refused from the next request on, without anything having to be emptied.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::client_address::ClientAddress;

/// Verified credentials remembered at most; the oldest goes first.
const REMEMBERED_MAX: usize = 4096;
/// After this time a credential is verified anew.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// Addresses that are remembered with one password; the oldest goes first.
const ADDRESSES_MAX: usize = 8;

/// A keyed hash of a credential.
pub type Fingerprint = [u8; 32];

/// What a remembered credential stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verified {
    /// A user's password.
    Password { user_id: u64, revision: u64 },
    /// An API key.
    Key { key_id: u64 },
}

/// Whether a credential was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// Lately: it counts.
    Lately,
    /// Lately, but a password that never came from this address. It counts where failures from there do not stand in its
    /// way: else whoever is limited could go on guessing, and would be let in with the first right one.
    LatelyElsewhere,
    /// Some time ago: it is verified anew, but no failures of others stand in its way.
    LongAgo,
    /// Never, or before it was changed.
    Never,
}

/// A bounded number of verified credentials.
#[derive(Default)]
pub struct Remembered(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    verified: HashMap<Fingerprint, Entry>,
    by_age: VecDeque<Fingerprint>,
}

struct Entry {
    verified: Verified,
    since: Instant,
    /// Where it came from.
    addresses: VecDeque<ClientAddress>,
}

impl Entry {
    /// Keys cannot be guessed, so they count wherever they come from.
    fn is_at_home(&self, address: ClientAddress) -> bool {
        match self.verified {
            Verified::Password { .. } => self.addresses.contains(&address),
            Verified::Key { .. } => true,
        }
    }
}

impl Remembered {
    /// Whether the credential was verified as what it has to be now.
    pub fn recall(
        &self,
        fingerprint: &Fingerprint,
        expected: Option<Verified>,
        address: ClientAddress,
        now: Instant,
    ) -> Recalled {
        let memory = self.lock();
        let entry = memory.verified.get(fingerprint).filter(|entry| Some(entry.verified) == expected);
        let Some(entry) = entry else { return Recalled::Never };
        let is_fresh = now.saturating_duration_since(entry.since) < REMEMBERED_FOR;
        match (is_fresh, entry.is_at_home(address)) {
            (true, true) => Recalled::Lately,
            (true, false) => Recalled::LatelyElsewhere,
            (false, true) => Recalled::LongAgo,
            (false, false) => Recalled::Never,
        }
    }

    /// Remembers another address of what is remembered already.
    pub fn add_address(&self, fingerprint: &Fingerprint, address: ClientAddress) {
        let mut memory = self.lock();
        let Some(entry) = memory.verified.get_mut(fingerprint) else { return };
        if entry.addresses.contains(&address) {
            return;
        }
        if entry.addresses.len() >= ADDRESSES_MAX {
            entry.addresses.pop_front();
        }
        entry.addresses.push_back(address);
    }

    /// Remembers what was verified just now.
    pub fn remember(
        &self,
        fingerprint: Fingerprint,
        verified: Verified,
        address: ClientAddress,
        now: Instant,
    ) {
        self.insert(fingerprint, verified, now);
        self.add_address(&fingerprint, address);
    }

    fn insert(&self, fingerprint: Fingerprint, verified: Verified, now: Instant) {
        let mut memory = self.lock();
        // What was verified anew keeps its addresses; another revision has none yet.
        let before = memory.verified.remove(&fingerprint);
        if before.is_none() {
            memory.by_age.push_back(fingerprint);
        }
        let addresses = before.filter(|before| before.verified == verified).map(|before| before.addresses);
        let entry = Entry { verified, since: now, addresses: addresses.unwrap_or_default() };
        memory.verified.insert(fingerprint, entry);
        if memory.by_age.len() > REMEMBERED_MAX
            && let Some(oldest) = memory.by_age.pop_front()
        {
            memory.verified.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics while holding this lock, and the maps are whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> ClientAddress {
        ClientAddress::from_ip(Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn memory_is_bounded() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let fingerprint = |number: u64| {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&number.to_le_bytes());
            fingerprint
        };
        for number in 0..REMEMBERED_MAX as u64 + 10 {
            remembered.remember(fingerprint(number), Verified::Key { key_id: number }, address(1), now);
        }
        assert_eq!(remembered.lock().verified.len(), REMEMBERED_MAX);
        for (number, expected) in [(0, Recalled::Never), (10, Recalled::Lately)] {
            let key = Some(Verified::Key { key_id: number });
            assert_eq!(remembered.recall(&fingerprint(number), key, address(1), now), expected);
        }
        let password = Verified::Password { user_id: 1, revision: 1 };
        remembered.remember([9; 32], password, address(0), now);
        for number in 1..=ADDRESSES_MAX as u32 {
            remembered.add_address(&[9; 32], address(number));
        }
        for (number, expected) in
            [(0, Recalled::LatelyElsewhere), (1, Recalled::Lately), (8, Recalled::Lately)]
        {
            assert_eq!(remembered.recall(&[9; 32], Some(password), address(number), now), expected);
        }
    }

    #[test]
    fn only_what_was_verified_counts_and_only_for_a_time() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let (password, changed) =
            (Verified::Password { user_id: 1, revision: 1 }, Verified::Password { user_id: 1, revision: 2 });
        let key = Verified::Key { key_id: 1 };
        remembered.remember([1; 32], password, address(1), now);
        remembered.remember([2; 32], key, address(1), now);
        let later = now + REMEMBERED_FOR;
        let check = |fingerprint, expected, from, moment, recalled| {
            let found = remembered.recall(&[fingerprint; 32], expected, address(from), moment);
            assert_eq!(found, recalled, "{expected:?} from {from}");
        };
        check(1, Some(password), 1, now, Recalled::Lately);
        check(1, Some(password), 1, later, Recalled::LongAgo);
        check(1, Some(password), 2, now, Recalled::LatelyElsewhere);
        check(1, Some(password), 2, later, Recalled::Never);
        check(2, Some(key), 1, now, Recalled::Lately);
        check(2, Some(key), 2, now, Recalled::Lately);
        check(2, Some(key), 2, later, Recalled::LongAgo);
        check(1, Some(changed), 1, now, Recalled::Never);
        check(1, Some(changed), 1, later, Recalled::Never);
        check(1, Some(Verified::Password { user_id: 2, revision: 1 }), 1, now, Recalled::Never);
        check(1, Some(key), 1, now, Recalled::Never);
        check(1, None, 1, now, Recalled::Never);
        remembered.remember([1; 32], password, address(2), later);
        check(1, Some(password), 1, later, Recalled::Lately);
        check(1, Some(password), 2, later, Recalled::Lately);
        remembered.remember([1; 32], changed, address(2), later);
        check(1, Some(changed), 1, later, Recalled::LatelyElsewhere);
    }
}
