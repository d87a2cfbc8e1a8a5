//! What was verified, so that it is paid for once.
//!
//! A remembered credential counts only while the index shows the same revision of it: a changed password or a revoked
//! key is refused from the next request on, without anything having to be emptied.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Verified credentials remembered at most; the oldest goes first.
const REMEMBERED_MAX: usize = 4096;
/// After this time a credential is verified anew.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

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
    verified: HashMap<Fingerprint, (Verified, Instant)>,
    by_age: VecDeque<Fingerprint>,
}

impl Remembered {
    /// Whether the credential was verified as what it has to be now.
    pub fn recall(&self, fingerprint: &Fingerprint, expected: Option<Verified>, now: Instant) -> Recalled {
        let memory = self.lock();
        match memory.verified.get(fingerprint).filter(|(verified, _)| Some(*verified) == expected) {
            Some((_, since)) if now.saturating_duration_since(*since) < REMEMBERED_FOR => Recalled::Lately,
            Some(_) => Recalled::LongAgo,
            None => Recalled::Never,
        }
    }

    /// Remembers what was verified just now.
    pub fn remember(&self, fingerprint: Fingerprint, verified: Verified, now: Instant) {
        let mut memory = self.lock();
        if memory.verified.insert(fingerprint, (verified, now)).is_none() {
            memory.by_age.push_back(fingerprint);
        }
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
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let fingerprint = |number: u64| {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&number.to_le_bytes());
            fingerprint
        };
        for number in 0..REMEMBERED_MAX as u64 + 10 {
            remembered.remember(fingerprint(number), Verified::Key { key_id: number }, now);
        }
        assert_eq!(remembered.lock().verified.len(), REMEMBERED_MAX);
        for (number, expected) in [(0, Recalled::Never), (10, Recalled::Lately)] {
            let key = Some(Verified::Key { key_id: number });
            assert_eq!(remembered.recall(&fingerprint(number), key, now), expected);
        }
    }

    #[test]
    fn only_what_was_verified_counts_and_only_for_a_time() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let password = Verified::Password { user_id: 1, revision: 1 };
        remembered.remember([1; 32], password, now);
        let later = now + REMEMBERED_FOR;
        for (expected, moment, recalled) in [
            (Some(password), now, Recalled::Lately),
            (Some(password), later, Recalled::LongAgo),
            (Some(Verified::Password { user_id: 1, revision: 2 }), now, Recalled::Never),
            (Some(Verified::Password { user_id: 1, revision: 2 }), later, Recalled::Never),
            (Some(Verified::Password { user_id: 2, revision: 1 }), now, Recalled::Never),
            (Some(Verified::Key { key_id: 1 }), now, Recalled::Never),
            (None, now, Recalled::Never),
        ] {
            assert_eq!(remembered.recall(&[1; 32], expected, moment), recalled, "{expected:?}");
        }
        remembered.remember([1; 32], password, later);
        assert_eq!(remembered.recall(&[1; 32], Some(password), later), Recalled::Lately);
    }
}
