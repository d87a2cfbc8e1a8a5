//! Failed sign-ins, counted by address, and by address and user; never by user alone, or anybody could lock the owner out.
//!
//! Each count is a bucket that leaks: so many failures at once, then one more each `window / limit`. So whoever mistypes
//! waits for seconds, and whoever guesses does so at a crawl. A try is counted when it begins, and given back where it was
//! no failure: many at once get no further than one after the other.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::client_address::ClientAddress;

/// Addresses, and pairs of address and user, that are counted at most: about 5 MiB in all. Beyond that the count goes that
/// is nearest to its end anyway, so that many addresses with a failure each do not wash a guesser's count away.
const COUNTS_MAX: usize = 16_384;

/// How many failures are taken.
#[derive(Debug, Clone, Copy)]
pub struct FailureLimits {
    /// From one address, in the window.
    pub per_address: u32,
    /// Of these, with one user name or API key.
    pub per_user_and_address: u32,
    /// In this time a full count empties.
    pub window: Duration,
}

/// Who somebody says to be, as a keyed hash: names have any length, and are nobody's business.
pub type Claim = [u8; 32];

/// The counts.
pub struct Failures(Mutex<Counts>);

struct Counts {
    by_address: Buckets<ClientAddress>,
    by_claim: Buckets<(ClientAddress, Claim)>,
}

/// Too many failures: when the next try is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// From now.
    pub retry_after: Duration,
    /// Whether other names and keys are still looked at from this address.
    pub is_of_claim: bool,
}

impl Failures {
    /// With nothing counted.
    pub fn new(limits: FailureLimits) -> Self {
        Self(Mutex::new(Counts {
            by_address: Buckets::new(limits.per_address, limits.window),
            by_claim: Buckets::new(limits.per_user_and_address, limits.window),
        }))
    }

    /// Whether a try would be looked at.
    ///
    /// # Errors
    /// [`Limited`] where there were too many failures.
    pub fn check(&self, address: ClientAddress, claim: Claim, now: Instant) -> Result<(), Limited> {
        self.lock().check(address, claim, now)
    }

    /// Begins a try.
    ///
    /// # Errors
    /// [`Limited`] where there were too many failures; such a try is not counted.
    pub fn begin(&self, address: ClientAddress, claim: Claim, now: Instant) -> Result<Attempt<'_>, Limited> {
        let mut counts = self.lock();
        counts.check(address, claim, now)?;
        counts.by_address.add(address, now);
        counts.by_claim.add((address, claim), now);
        Ok(Attempt { failures: self, address, claim, is_failure: false })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // A count that is off by one is no reason to panic again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn check(&self, address: ClientAddress, claim: Claim, now: Instant) -> Result<(), Limited> {
        let by_claim = self.by_claim.wait(&(address, claim), now);
        let by_address = self.by_address.wait(&address, now);
        let retry_after = by_address.max(by_claim);
        let is_of_claim = by_address == Duration::ZERO;
        if retry_after > Duration::ZERO { Err(Limited { retry_after, is_of_claim }) } else { Ok(()) }
    }
}

/// A try that is under way; given back when it goes, unless it failed.
pub struct Attempt<'a> {
    failures: &'a Failures,
    address: ClientAddress,
    claim: Claim,
    is_failure: bool,
}

impl Attempt<'_> {
    /// Lets the try count.
    pub fn failed(mut self) {
        self.is_failure = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_failure {
            return;
        }
        let mut counts = self.failures.lock();
        counts.by_address.give_back(self.address);
        counts.by_claim.give_back((self.address, self.claim));
    }
}

/// Leaking buckets by the moment at which each is empty (the generic cell rate algorithm, ITU-T I.371).
struct Buckets<K> {
    /// What one failure adds.
    step: Duration,
    /// The most that a bucket holds.
    full: Duration,
    empty_at: HashMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord + Hash> Buckets<K> {
    fn new(limit: u32, window: Duration) -> Self {
        Self { step: window / limit.max(1), full: window, empty_at: HashMap::new(), by_time: BTreeSet::new() }
    }

    fn after_one_more(&self, key: &K, now: Instant) -> Instant {
        self.empty_at.get(key).map_or(now, |empty_at| now.max(*empty_at)) + self.step
    }

    /// How long until there is room for one more; zero where there is.
    fn wait(&self, key: &K, now: Instant) -> Duration {
        self.after_one_more(key, now).saturating_duration_since(now + self.full)
    }

    fn add(&mut self, key: K, now: Instant) {
        // Two for one that comes: the empty ones go sooner than others come. Before it is added, so that it stays.
        for _ in 0..2 {
            let is_empty = self.by_time.first().is_some_and(|(empty_at, _)| *empty_at <= now);
            let is_too_many = self.empty_at.len() >= COUNTS_MAX && !self.empty_at.contains_key(&key);
            if (is_empty || is_too_many)
                && let Some((_, key)) = self.by_time.pop_first()
            {
                self.empty_at.remove(&key);
            }
        }
        self.set(key, self.after_one_more(&key, now));
    }

    fn give_back(&mut self, key: K) {
        // Where it was forgotten meanwhile there is nothing to give back. What is in the past is empty and goes by itself.
        if let Some(empty_at) = self.empty_at.get(&key).and_then(|moment| moment.checked_sub(self.step)) {
            self.set(key, empty_at);
        }
    }

    fn set(&mut self, key: K, empty_at: Instant) {
        if let Some(before) = self.empty_at.insert(key, empty_at) {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((empty_at, key));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMITS: FailureLimits =
        FailureLimits { per_address: 20, per_user_and_address: 5, window: Duration::from_secs(100) };

    fn address(number: u32) -> ClientAddress {
        ClientAddress::from_ip(Ipv4Addr::from_bits(number).into())
    }

    fn claim(number: u32) -> Claim {
        let mut claim = [0; 32];
        claim[..4].copy_from_slice(&number.to_le_bytes());
        claim
    }

    /// How many of so many failures are looked at.
    fn fail(failures: &Failures, times: u32, from: u32, claim: Claim, now: Instant) -> u32 {
        let attempts = (0..times).filter_map(|_| failures.begin(address(from), claim, now).ok());
        attempts.map(Attempt::failed).count() as u32
    }

    #[test]
    fn a_user_is_limited_for_one_address_alone() {
        let (failures, now) = (Failures::new(LIMITS), Instant::now());
        assert_eq!(fail(&failures, 50, 1, claim(1), now), 5);
        assert_eq!(fail(&failures, 50, 1, claim(2), now), 5, "another user from there");
        assert_eq!(fail(&failures, 50, 2, claim(1), now), 5, "the same user from elsewhere");
        let limited = failures.begin(address(1), claim(1), now).err();
        assert_eq!(limited, Some(Limited { retry_after: Duration::from_secs(20), is_of_claim: true }));
    }

    #[test]
    fn an_address_is_limited_whatever_it_claims() {
        let (failures, now) = (Failures::new(LIMITS), Instant::now());
        let taken: u32 = (0..50).map(|number| fail(&failures, 1, 1, claim(number), now)).sum();
        assert_eq!(taken, 20);
        assert_eq!(failures.lock().by_claim.empty_at.len(), 20, "a limited try leaves nothing behind");
        assert!(failures.begin(address(2), claim(1), now).is_ok());
    }

    #[test]
    fn counts_empty_with_time() {
        let (failures, start) = (Failures::new(LIMITS), Instant::now());
        assert_eq!(fail(&failures, 5, 1, claim(1), start), 5);
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(fail(&failures, 5, 1, claim(1), after(19)), 0);
        assert_eq!(fail(&failures, 5, 1, claim(1), after(20)), 1);
        assert_eq!(fail(&failures, 5, 1, claim(1), after(61)), 2);
        assert_eq!(fail(&failures, 9, 1, claim(1), after(1000)), 5);
        assert_eq!(fail(&failures, 1, 2, claim(1), after(2000)), 1);
        assert_eq!(failures.lock().by_address.empty_at.len(), 1, "what is empty goes");
    }

    #[test]
    fn what_was_no_failure_is_given_back_and_counts_while_it_lasts() {
        let (failures, now) = (Failures::new(LIMITS), Instant::now());
        let under_way: Vec<_> =
            (0..9).filter_map(|_| failures.begin(address(1), claim(1), now).ok()).collect();
        assert_eq!(under_way.len(), 5);
        drop(under_way);
        assert_eq!(fail(&failures, 9, 1, claim(1), now), 5);
    }

    #[test]
    fn memory_is_bounded_and_a_guesser_is_not_washed_away() {
        let (failures, now) = (Failures::new(LIMITS), Instant::now());
        assert_eq!(fail(&failures, 9, 1, claim(1), now), 5);
        for number in 2..COUNTS_MAX as u32 + 1000 {
            assert_eq!(fail(&failures, 1, number, claim(1), now), 1);
        }
        assert_eq!(fail(&failures, 9, 1, claim(1), now), 0);
        let newest = COUNTS_MAX as u32 + 2000;
        assert_eq!(
            fail(&failures, 9, newest, claim(1), now),
            5,
            "a new one is counted also when all is full"
        );
        let counts = failures.lock();
        assert_eq!(
            (counts.by_address.empty_at.len(), counts.by_claim.empty_at.len()),
            (COUNTS_MAX, COUNTS_MAX)
        );
        assert_eq!(
            (counts.by_address.by_time.len(), counts.by_claim.by_time.len()),
            (COUNTS_MAX, COUNTS_MAX)
        );
    }
}
