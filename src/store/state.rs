//! The whole state as stored bytes, with a digest of it that is kept incrementally.
//!
//! The digest is the sum modulo 2^256 of a SHA-256 of each key and value: the order of changes does not matter, and
//! one change costs two hashes. It finds accidents (lost, torn or mixed files); it is no defence against forgers.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// What kind of record a key names. The numbers are part of the format on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The wrapped data key.
    Vault = 1,
    /// The last id given out for a kind.
    Counter = 2,
    /// A user.
    User = 3,
    /// An API key.
    ApiKey = 4,
    /// A connector.
    Connector = 5,
    /// A test job.
    Job = 6,
    /// An event of the audit trail.
    AuditEvent = 7,
}

impl Kind {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Vault => "vault",
            Kind::Counter => "counter",
            Kind::User => "user",
            Kind::ApiKey => "API key",
            Kind::Connector => "connector",
            Kind::Job => "test job",
            Kind::AuditEvent => "audit event",
        }
    }

    /// Every kind.
    pub(crate) const ALL: [Kind; 7] = {
        let all = [
            Kind::Vault,
            Kind::Counter,
            Kind::User,
            Kind::ApiKey,
            Kind::Connector,
            Kind::Job,
            Kind::AuditEvent,
        ];
        let mut place = 0;
        while place < all.len() {
            assert!(all[place].place() == place, "a kind is not in its place");
            place += 1;
        }
        all
    };

    /// Where it is in [`Kind::ALL`]: a kind that is forgotten here does not compile.
    const fn place(self) -> usize {
        match self {
            Kind::Vault => 0,
            Kind::Counter => 1,
            Kind::User => 2,
            Kind::ApiKey => 3,
            Kind::Connector => 4,
            Kind::Job => 5,
            Kind::AuditEvent => 6,
        }
    }

    /// Whether its records have numbers that a counter gives out.
    pub(crate) fn is_counted(self) -> bool {
        match self {
            Kind::Vault | Kind::Counter => false,
            Kind::User | Kind::ApiKey | Kind::Connector | Kind::Job | Kind::AuditEvent => true,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Length of a key in bytes: the kind, then the id in big-endian order.
pub(crate) const KEY_BYTES: usize = 9;

/// The key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
}

impl Key {
    pub(crate) const fn new(kind: Kind, id: u64) -> Self {
        Self { kind, id }
    }

    pub(crate) fn to_bytes(self) -> [u8; KEY_BYTES] {
        let mut bytes = [self.kind as u8; KEY_BYTES];
        bytes[1..].copy_from_slice(&self.id.to_be_bytes());
        bytes
    }

    /// `None` for a kind that this version does not know.
    pub(crate) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Option<Self> {
        let [kind, id @ ..] = bytes;
        Some(Self { kind: Kind::from_byte(kind)?, id: u64::from_be_bytes(id) })
    }
}

/// One change: a new value, or none for a removal.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) value: Option<Box<[u8]>>,
}

/// A sum of hashes modulo 2^256, in four words, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest([u64; 4]);

impl Digest {
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (word, chunk) in self.0.iter().zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes"));
        }
        Self(words)
    }

    fn of(key: Key, value: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(key.to_bytes()).chain_update(value).finalize();
        Self::from_bytes(hash.into())
    }

    fn add(&mut self, other: Digest) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = word.overflowing_add(other);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            *word = sum;
            carry = over || over_by_carry;
        }
    }

    fn subtract(&mut self, other: Digest) {
        let mut borrow = false;
        for (word, other) in self.0.iter_mut().zip(other.0) {
            let (difference, under) = word.overflowing_sub(other);
            let (difference, under_by_borrow) = difference.overflowing_sub(u64::from(borrow));
            *word = difference;
            borrow = under || under_by_borrow;
        }
    }
}

/// Where a state stands: after which commit, when, how many records, and their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) time_ms: i64,
    pub(crate) record_count: u64,
    pub(crate) digest: Digest,
}

/// Length of an encoded position.
pub(crate) const POSITION_BYTES: usize = 56;

impl Position {
    pub(crate) fn to_bytes(self) -> [u8; POSITION_BYTES] {
        let mut bytes = [0; POSITION_BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.record_count.to_le_bytes());
        bytes[24..].copy_from_slice(&self.digest.to_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; POSITION_BYTES]) -> Self {
        let word = |at: usize| -> [u8; 8] { bytes[at..at + 8].try_into().expect("eight bytes") };
        Self {
            sequence: u64::from_le_bytes(word(0)),
            time_ms: i64::from_le_bytes(word(8)),
            record_count: u64::from_le_bytes(word(16)),
            digest: Digest::from_bytes(bytes[24..].try_into().expect("32 bytes are left")),
        }
    }
}

/// Every record's stored bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    records: BTreeMap<Key, Box<[u8]>>,
    digest: Digest,
    live_bytes: u64,
}

impl State {
    /// Makes a change and returns the value before it, with which the change can be taken back.
    pub(crate) fn apply(&mut self, change: Change) -> Option<Box<[u8]>> {
        if let Some(value) = &change.value {
            self.digest.add(Digest::of(change.key, value));
            self.live_bytes += (KEY_BYTES + value.len()) as u64;
        }
        let before = match change.value {
            Some(value) => self.records.insert(change.key, value),
            None => self.records.remove(&change.key),
        };
        if let Some(before) = &before {
            self.digest.subtract(Digest::of(change.key, before));
            self.live_bytes -= (KEY_BYTES + before.len()) as u64;
        }
        before
    }

    /// Bytes of all keys and values: what a new generation of the log would about take.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn get(&self, key: Key) -> Option<&[u8]> {
        self.records.get(&key).map(AsRef::as_ref)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &[u8])> {
        self.records.iter().map(|(key, value)| (*key, value.as_ref()))
    }

    pub(crate) fn position(&self, sequence: u64, time_ms: i64) -> Position {
        Position { sequence, time_ms, record_count: self.records.len() as u64, digest: self.digest }
    }

    /// Whether this is the state that the position speaks of.
    pub(crate) fn is_at(&self, position: &Position) -> bool {
        self.records.len() as u64 == position.record_count && self.digest == position.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: u64, value: Option<&[u8]>) -> Change {
        Change { key: Key::new(Kind::Connector, id), value: value.map(Into::into) }
    }

    #[test]
    fn the_digest_depends_on_the_content_alone() {
        let mut one = State::default();
        for id in 0..300 {
            one.apply(change(id, Some(b"old")));
            one.apply(change(id, Some(&id.to_be_bytes())));
        }
        one.apply(change(7, None));
        let mut other = State::default();
        for id in (0..300).rev().filter(|id| *id != 7) {
            other.apply(change(id, Some(&id.to_be_bytes())));
        }
        assert_eq!(one.position(1, 2), other.position(1, 2));
        other.apply(change(8, Some(b"x")));
        assert_ne!(one.position(1, 2), other.position(1, 2));
        let position = one.position(5, -6);
        assert_eq!(Position::from_bytes(&position.to_bytes()), position);
        for id in 0..300 {
            one.apply(change(id, None));
        }
        assert_eq!(one.position(0, 0).digest, Digest::default());
    }

    #[test]
    fn keys_keep_their_order_and_unknown_kinds_are_seen() {
        let key = Key::new(Kind::Job, 258);
        assert_eq!(key.to_bytes(), [6, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Key::from_bytes(key.to_bytes()), Some(key));
        assert_eq!(Key::from_bytes([99; KEY_BYTES]), None);
    }
}
