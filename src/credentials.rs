//! Passwords and API keys: argon2id, and a memory of what was verified so that it is paid for once.
//!
//! A remembered credential counts only while the index shows the same revision of it: a changed password or a revoked
//! key is refused from the next request on, without anything having to be emptied.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::domain::api_key::{ApiKey, KEY_RANDOM_BYTES, KeyText};
use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::random::random_bytes;
use crate::store::Index;
use crate::turns::{Busy, Turns};

/// argon2id with 19 MiB, two passes and one lane: OWASP's password storage cheat sheet.
const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
const ARGON2_PASSES: u32 = 2;
/// Verified against when there is no such user, so that it takes as long. No password is known for it.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// More at once would only take memory: the machine has few cores.
const ARGON2_AT_ONCE: usize = 2;
/// Longest wait for a turn; then the answer is 503.
const ARGON2_WAIT: Duration = Duration::from_secs(10);
/// Verified credentials remembered at most; the oldest goes first.
const REMEMBERED_MAX: usize = 4096;
/// After this time a credential is verified anew.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// Characters of a generated password: 20 of 32 are 100 bits.
const GENERATED_PASSWORD_CHARACTERS: usize = 20;

type Fingerprint = [u8; 32];

/// Verifies credentials.
pub struct Credentials {
    /// Keys the fingerprints, so that memory does not hold plain hashes of passwords.
    fingerprint_key: [u8; 32],
    remembered: Mutex<Remembered>,
    turns: Turns,
    /// When each key last worked, until it is stored.
    last_used: Mutex<HashMap<u64, Timestamp>>,
}

#[derive(Default)]
struct Remembered {
    verified: HashMap<Fingerprint, (Verified, Instant)>,
    by_age: VecDeque<Fingerprint>,
}

/// What a remembered credential stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verified {
    Password { user_id: u64, revision: u64 },
    Key { key_id: u64 },
}

impl Credentials {
    /// With nothing remembered.
    pub fn new() -> Self {
        Self {
            fingerprint_key: random_bytes(),
            remembered: Mutex::default(),
            turns: Turns::new(ARGON2_AT_ONCE, ARGON2_WAIT),
            last_used: Mutex::default(),
        }
    }

    /// The user with this name and password.
    ///
    /// # Errors
    /// [`Busy`] where no turn for hashing came up in time.
    pub async fn verify_password(
        &self,
        index: &Index,
        name: &str,
        password: &Secret,
    ) -> Result<Option<Arc<User>>, Busy> {
        let user = index.users().find(name);
        let fingerprint = self.fingerprint(&[b"password", name.as_bytes(), password.expose().as_bytes()]);
        let expected = user.map(|user| Verified::Password { user_id: user.id, revision: user.revision });
        if expected.is_some() && self.recall(&fingerprint) == expected {
            return Ok(user.cloned());
        }
        let hash =
            user.map_or_else(|| Secret::new(NOBODYS_HASH.to_owned()), |user| user.password_hash.clone());
        let is_right = self.verify(&hash, password).await?;
        match (expected, user) {
            (Some(expected), Some(user)) if is_right => {
                self.remember(fingerprint, expected);
                Ok(Some(Arc::clone(user)))
            }
            _ => Ok(None),
        }
    }

    /// The API key with this text. An unknown lookup part is refused at once; it is no secret.
    ///
    /// # Errors
    /// [`Busy`] where no turn for hashing came up in time.
    pub async fn verify_key(&self, index: &Index, text: &KeyText) -> Result<Option<Arc<ApiKey>>, Busy> {
        let now = index.now();
        let Some(key) = index.api_keys().find(text.lookup()).filter(|key| !key.is_expired(now)) else {
            return Ok(None);
        };
        let fingerprint = self.fingerprint(&[b"key", text.secret().expose().as_bytes()]);
        let expected = Verified::Key { key_id: key.id };
        if self.recall(&fingerprint) != Some(expected) {
            if !self.verify(&key.hash, text.secret()).await? {
                return Ok(None);
            }
            self.remember(fingerprint, expected);
        }
        lock(&self.last_used).insert(key.id, now);
        Ok(Some(Arc::clone(key)))
    }

    /// When the key last worked, if that is not stored yet.
    pub fn last_used(&self, key_id: u64) -> Option<Timestamp> {
        lock(&self.last_used).get(&key_id).copied()
    }

    /// Takes out what is to be stored.
    pub fn take_last_used(&self) -> HashMap<u64, Timestamp> {
        std::mem::take(&mut *lock(&self.last_used))
    }

    /// Hashes a new password or key, off the asynchronous threads.
    ///
    /// # Errors
    /// [`Busy`] where no turn for hashing came up in time.
    pub async fn hash(&self, secret: Secret) -> Result<Secret, Busy> {
        self.turns.run(move || hash(&secret)).await
    }

    async fn verify(&self, hash: &Secret, secret: &Secret) -> Result<bool, Busy> {
        let (hash, secret) = (hash.clone(), secret.clone());
        self.turns
            .run(move || {
                let parsed = PasswordHash::new(hash.expose());
                parsed
                    .is_ok_and(|parsed| argon2().verify_password(secret.expose().as_bytes(), &parsed).is_ok())
            })
            .await
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

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Verified> {
        let remembered = lock(&self.remembered);
        let (verified, since) = remembered.verified.get(fingerprint)?;
        (since.elapsed() < REMEMBERED_FOR).then_some(*verified)
    }

    fn remember(&self, fingerprint: Fingerprint, verified: Verified) {
        let mut remembered = lock(&self.remembered);
        if remembered.verified.insert(fingerprint, (verified, Instant::now())).is_none() {
            remembered.by_age.push_back(fingerprint);
        }
        if remembered.by_age.len() > REMEMBERED_MAX
            && let Some(oldest) = remembered.by_age.pop_front()
        {
            remembered.verified.remove(&oldest);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while holding these locks, and the maps are whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn argon2() -> Argon2<'static> {
    let params =
        Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None).expect("the parameters are in argon2's range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// argon2id in PHC form, with a random salt. Takes about 20 ms and 19 MiB.
pub fn hash(secret: &Secret) -> Secret {
    let salt = SaltString::encode_b64(&random_bytes::<16>()).expect("16 bytes are a salt");
    let hash = argon2().hash_password(secret.expose().as_bytes(), &salt).expect("any text can be hashed");
    Secret::new(hash.to_string())
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
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_keyed() {
        let credentials = Credentials::new();
        for number in 0..REMEMBERED_MAX as u64 + 10 {
            let fingerprint = credentials.fingerprint(&[&number.to_le_bytes()]);
            credentials.remember(fingerprint, Verified::Key { key_id: number });
        }
        assert_eq!(lock(&credentials.remembered).verified.len(), REMEMBERED_MAX);
        assert_eq!(credentials.recall(&credentials.fingerprint(&[&0_u64.to_le_bytes()])), None);
        assert_ne!(credentials.fingerprint(&[b"a", b"b"]), credentials.fingerprint(&[b"ab", b""]));
        assert_ne!(credentials.fingerprint(&[b"a"]), Credentials::new().fingerprint(&[b"a"]));
    }

    #[test]
    fn passwords_verify() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("a runtime");
        let credentials = Credentials::new();
        let password = generate_password();
        let stored = hash(&password);
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(runtime.block_on(credentials.verify(&stored, &password)).expect("in turn"));
        assert!(!runtime.block_on(credentials.verify(&stored, &generate_password())).expect("in turn"));
        // The hash for unknown users has to be well formed and of the same cost, or it would be refused at once.
        let nobodys = PasswordHash::new(NOBODYS_HASH).expect("well formed");
        let parameters =
            |hash: &PasswordHash<'_>| format!("{} {:?} {}", hash.algorithm, hash.version, hash.params);
        assert_eq!(
            parameters(&nobodys),
            parameters(&PasswordHash::new(stored.expose()).expect("well formed"))
        );
    }
}
