//! Passwords and API keys: argon2id, and what keeps a flood of wrong ones from hurting anybody.
//!
//! What was verified is remembered and costs nothing ([`remembered`]). Everything else is counted ([`failures`]) and
//! waits for its turn ([`fair_turns`]); the same credential sent many times at once is verified once ([`flights`]).

mod failures;
mod fair_turns;
mod flights;
mod hashing;
mod remembered;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::domain::api_key::{ApiKey, KEY_RANDOM_BYTES, KeyText};
use crate::domain::client_address::ClientAddress;
use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::random::random_bytes;
use crate::store::Index;
use crate::turns::Busy;
pub use failures::FailureLimits;
use failures::{Claim, Failures, Limited};
use fair_turns::{FairTurns, TurnLimits};
use flights::Flights;
pub use hashing::hash;
use hashing::{NOBODYS_HASH, matches};
use remembered::{Fingerprint, Recalled, Remembered, Verified};

/// More at once would only take memory: the machine has few cores. After the longest wait the answer is 503.
const ARGON2_TURNS: TurnLimits =
    TurnLimits { at_once: 2, waiting_per_lane: 64, waiting: 1024, wait: Duration::from_secs(10) };
/// Characters of a generated password: 20 of 32 are 100 bits.
const GENERATED_PASSWORD_CHARACTERS: usize = 20;

/// Verifies credentials.
pub struct Credentials {
    /// Keys the fingerprints, so that memory does not hold plain hashes of passwords.
    fingerprint_key: [u8; 32],
    remembered: Remembered,
    failures: Failures,
    turns: FairTurns<Lane>,
    flights: Flights<Question, Result<(), Refused>>,
    /// When each key last worked, until it is stored.
    last_used: Mutex<HashMap<u64, Timestamp>>,
}

/// Why nobody was let in.
#[derive(Debug, Clone, Copy)]
pub enum Refused {
    /// The credentials are not right.
    Wrong,
    /// There were too many failures; nothing was looked at.
    Limited {
        /// When the next try is looked at, from now.
        retry_after: Duration,
        /// Whether other names and keys are still looked at from this address.
        is_of_claim: bool,
    },
    /// No turn for hashing came up in time.
    Busy,
}

/// Who hashing is done for; each has turns like every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lane {
    /// Somebody at this address.
    Address(ClientAddress),
    /// A credential that was verified before, whatever else comes from its address.
    Known(Fingerprint),
    /// A user who makes a key.
    User(u64),
}

/// A credential that was sent.
struct Sent<'a> {
    client: ClientAddress,
    /// The user or key that it is said to be.
    claim: Claim,
    fingerprint: Fingerprint,
    /// What it is if it is right.
    expected: Option<Verified>,
    hash: Secret,
    secret: &'a Secret,
}

type Question = (Lane, Fingerprint, Option<Verified>);

impl Credentials {
    /// With nothing remembered.
    pub fn new(limits: FailureLimits) -> Self {
        Self {
            fingerprint_key: random_bytes(),
            remembered: Remembered::default(),
            failures: Failures::new(limits),
            turns: FairTurns::new(ARGON2_TURNS),
            flights: Flights::new(),
            last_used: Mutex::default(),
        }
    }

    /// The user with this name and password.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verify_password(
        &self,
        index: &Index,
        client: ClientAddress,
        name: &str,
        password: &Secret,
    ) -> Result<Arc<User>, Refused> {
        let user = index.users().find(name);
        let nobodys_hash = || Secret::new(NOBODYS_HASH.to_owned());
        let sent = Sent {
            client,
            claim: self.fingerprint(&[b"user", name.as_bytes()]),
            fingerprint: self.fingerprint(&[b"password", name.as_bytes(), password.expose().as_bytes()]),
            expected: user.map(|user| Verified::Password { user_id: user.id, revision: user.revision }),
            hash: user.map_or_else(nobodys_hash, |user| user.password_hash.clone()),
            secret: password,
        };
        self.verify(sent).await?;
        user.cloned().ok_or(Refused::Wrong)
    }

    /// The API key with this text. An unknown lookup part is refused without hashing; it is no secret.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verify_key(
        &self,
        index: &Index,
        client: ClientAddress,
        text: &KeyText,
    ) -> Result<Arc<ApiKey>, Refused> {
        let now = index.now();
        let Some(key) = index.api_keys().find(text.lookup()).filter(|key| !key.is_expired(now)) else {
            return Err(self.refuse(client, text.lookup().as_bytes()));
        };
        let sent = Sent {
            client,
            claim: self.fingerprint(&[b"lookup", text.lookup().as_bytes()]),
            fingerprint: self.fingerprint(&[b"key", text.secret().expose().as_bytes()]),
            expected: Some(Verified::Key { key_id: key.id }),
            hash: key.hash.clone(),
            secret: text.secret(),
        };
        self.verify(sent).await?;
        lock(&self.last_used).insert(key.id, now);
        Ok(Arc::clone(key))
    }

    /// Counts a failure that was seen without hashing. The same thing sent again and again counts as one name: a program
    /// with a dead key uses up its own tries, and not those of everybody at its address.
    pub fn refuse(&self, client: ClientAddress, sent: &[u8]) -> Refused {
        let claim = self.fingerprint(&[b"refused", sent]);
        match self.failures.begin(client.network(), claim, Instant::now()) {
            Ok(attempt) => {
                attempt.failed();
                Refused::Wrong
            }
            Err(limited) => limited.into(),
        }
    }

    /// When the key last worked, if that is not stored yet.
    pub fn last_used(&self, key_id: u64) -> Option<Timestamp> {
        lock(&self.last_used).get(&key_id).copied()
    }

    /// Takes out what is to be stored.
    pub fn take_last_used(&self) -> HashMap<u64, Timestamp> {
        std::mem::take(&mut *lock(&self.last_used))
    }

    /// Takes back what could not be stored; a use since then counts more.
    pub fn put_back_last_used(&self, uses: &[(u64, Timestamp)]) {
        let mut last_used = lock(&self.last_used);
        for (key_id, moment) in uses {
            let known = last_used.entry(*key_id).or_insert(*moment);
            *known = (*known).max(*moment);
        }
    }

    /// Hashes a new password or key of a user, off the asynchronous threads.
    ///
    /// # Errors
    /// [`Busy`] where no turn for hashing came up in time.
    pub async fn hash(&self, user_id: u64, secret: Secret) -> Result<Secret, Busy> {
        self.turns.run(Lane::User(user_id), move || hash(&secret)).await
    }

    async fn verify(&self, sent: Sent<'_>) -> Result<(), Refused> {
        let (group, now) = (sent.client.network(), Instant::now());
        let lane = match self.remembered.recall(&sent.fingerprint, sent.expected, group, now) {
            Recalled::Lately => return Ok(()),
            Recalled::LatelyElsewhere => {
                self.failures.check(group, sent.claim, now)?;
                self.remembered.add_address(&sent.fingerprint, group);
                return Ok(());
            }
            Recalled::LongAgo => Lane::Known(sent.fingerprint),
            Recalled::Never => {
                // Before anything else, so that a flood costs little.
                self.failures.check(group, sent.claim, now)?;
                Lane::Address(group)
            }
        };
        let question = (lane, sent.fingerprint, sent.expected);
        self.flights.run(question, self.verify_in_lane(lane, sent)).await.unwrap_or(Err(Refused::Busy))
    }

    /// Known and unknown users take the same way, and the same time.
    async fn verify_in_lane(&self, lane: Lane, sent: Sent<'_>) -> Result<(), Refused> {
        let attempt = match lane {
            Lane::Address(group) => Some(self.failures.begin(group, sent.claim, Instant::now())?),
            Lane::Known(_) | Lane::User(_) => None,
        };
        let (hash, secret) = (sent.hash, sent.secret.clone());
        let is_right = self.turns.run(lane, move || matches(&hash, &secret)).await?;
        match sent.expected.filter(|_| is_right) {
            Some(verified) => {
                let group = sent.client.network();
                self.remembered.remember(sent.fingerprint, verified, group, Instant::now());
                Ok(())
            }
            None => {
                attempt.into_iter().for_each(failures::Attempt::failed);
                Err(Refused::Wrong)
            }
        }
    }

    fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.fingerprint_key).expect("HMAC takes any key length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl From<Limited> for Refused {
    fn from(limited: Limited) -> Self {
        Refused::Limited { retry_after: limited.retry_after, is_of_claim: limited.is_of_claim }
    }
}

impl From<Busy> for Refused {
    fn from(_: Busy) -> Self {
        Refused::Busy
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while holding this lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new API key.
pub fn generate_key() -> KeyText {
    KeyText::from_random(&random_bytes::<KEY_RANDOM_BYTES>())
}

/// A password for the first start: groups of letters and digits that are not mistaken for each other.
pub fn generate_password() -> Secret {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let characters =
        random_bytes::<GENERATED_PASSWORD_CHARACTERS>().map(|byte| ALPHABET[usize::from(byte % 32)]);
    let groups: Vec<String> =
        characters.chunks(5).map(|group| group.iter().map(|byte| char::from(*byte)).collect()).collect();
    Secret::new(groups.join("-"))
}

#[cfg(test)]
mod tests;
