//! An API key: what a program sends instead of a user's password, with scopes.
//!
//! Its text is `cd1_`, 12 characters of lookup id, 40 random characters and a checksum of 6, all of the 62
//! ASCII letters and digits. The checksum refuses mistyped and invented keys before anything slow is done;
//! the prefix and the checksum let secret scanners find a leaked key.

use sha2::{Digest, Sha256};

use crate::domain::scope::{RightSet, Scope};
use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;

const PREFIX: &str = "cd1_";
const LOOKUP_CHARACTERS: usize = 12;
const RANDOM_CHARACTERS: usize = 40;
const CHECKSUM_CHARACTERS: usize = 6;
const BODY_CHARACTERS: usize = PREFIX.len() + LOOKUP_CHARACTERS + RANDOM_CHARACTERS;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Longest name of a key, in characters.
pub const NAME_MAX_CHARACTERS: usize = 255;
/// Most scopes of one key.
pub const SCOPES_MAX: usize = 64;
/// Most keys of one user.
pub const KEYS_PER_USER_MAX: usize = 1000;

/// A saved API key; the key itself is not kept.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Counts up from 1, never used twice.
    pub id: u64,
    /// The user whose key this is.
    pub user_id: u64,
    /// For people.
    pub name: Option<String>,
    /// The part of the key that finds this record.
    pub lookup: String,
    /// The last characters of the key, for recognizing it.
    pub last_four: String,
    /// argon2id of the whole key, in PHC form.
    pub hash: Secret,
    /// What the key may do.
    pub scopes: Vec<Scope>,
    /// When the key stops working.
    pub expires_at: Option<Timestamp>,
    /// When the key last worked; stored about once a minute.
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// Everything that the scopes grant.
    pub fn rights(&self) -> RightSet {
        RightSet::of(&self.scopes)
    }

    /// Whether the key's time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// The names of the attributes that have a value.
    pub fn set_attributes(&self) -> Vec<&'static str> {
        let set = [
            ("name", self.name.is_some()),
            ("api_key_scopes", !self.scopes.is_empty()),
            ("expires_at", self.expires_at.is_some()),
        ];
        set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    /// The names of the attributes in which another differs.
    pub fn changed_attributes(&self, other: &ApiKey) -> Vec<&'static str> {
        let changed = [
            ("name", self.name != other.name),
            ("api_key_scopes", self.scopes != other.scopes),
            ("expires_at", self.expires_at != other.expires_at),
        ];
        changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }

    /// Stars and the last four characters, as clients know it.
    pub fn masked(&self) -> String {
        format!("{}{}", "*".repeat(18), self.last_four)
    }
}

/// The text of a key, checked for its form.
pub struct KeyText {
    text: Secret,
}

impl KeyText {
    /// Makes a key out of random bytes; every byte is used for one character.
    pub fn from_random(random: &[u8; LOOKUP_CHARACTERS + RANDOM_CHARACTERS + 64]) -> Self {
        // 256 is not a multiple of 62: bytes from 248 on are left out, so that each character is as likely.
        let characters =
            random.iter().filter(|byte| **byte < 248).map(|byte| ALPHABET[usize::from(byte % 62)]);
        let mut text = PREFIX.to_owned();
        text.extend(characters.take(LOOKUP_CHARACTERS + RANDOM_CHARACTERS).map(char::from));
        assert_eq!(text.len(), BODY_CHARACTERS, "64 spare random bytes make up for the few left out");
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self { text: Secret::new(text) }
    }

    /// Checks the form and the checksum: cheap, and no secret is needed for it.
    pub fn parse(text: &str) -> Option<Self> {
        let is_formed = text.len() == BODY_CHARACTERS + CHECKSUM_CHARACTERS
            && text.starts_with(PREFIX)
            && text[PREFIX.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_formed || checksum(&text[..BODY_CHARACTERS]) != text[BODY_CHARACTERS..] {
            return None;
        }
        Some(Self { text: Secret::new(text.to_owned()) })
    }

    /// The whole key.
    pub fn secret(&self) -> &Secret {
        &self.text
    }

    /// The part that finds the record.
    pub fn lookup(&self) -> &str {
        &self.text.expose()[PREFIX.len()..PREFIX.len() + LOOKUP_CHARACTERS]
    }

    /// The last four characters; they belong to the checksum.
    pub fn last_four(&self) -> &str {
        let text = self.text.expose();
        &text[text.len() - 4..]
    }
}

/// How many random bytes a key is made of, spare ones included.
pub const KEY_RANDOM_BYTES: usize = LOOKUP_CHARACTERS + RANDOM_CHARACTERS + 64;

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    digest.iter().take(CHECKSUM_CHARACTERS).map(|byte| char::from(ALPHABET[usize::from(byte % 62)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_parses_back_and_a_changed_one_does_not() {
        let mut random = [0_u8; KEY_RANDOM_BYTES];
        for (position, byte) in random.iter_mut().enumerate() {
            *byte = (position * 37 % 256) as u8;
        }
        let key = KeyText::from_random(&random);
        let text = key.secret().expose();
        let parsed = KeyText::parse(text).expect("well formed");
        assert_eq!(parsed.lookup(), key.lookup());
        assert_eq!(text.len(), 62);
        for position in PREFIX.len()..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[position] = if changed[position] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(KeyText::parse(&changed).is_none(), "a change at {position} was not noticed");
        }
        for text in ["", "cd1_", "Basic x", &"x".repeat(62), &format!("cd1_{}", "é".repeat(29))] {
            assert!(KeyText::parse(text).is_none());
        }
    }
}
