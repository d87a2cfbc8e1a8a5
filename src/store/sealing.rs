//! Secrets on disk: sealed with a random data key, which is stored wrapped twice: by the key file, and by the recovery
//! code.
//!
//! XChaCha20-Poly1305 with random nonces. The associated data names the store, the kind, the record and the
//! attribute, so that a sealed value moved to another place does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::recovery_code::RecoveryCode;
use crate::domain::secret::Secret;
use crate::random::random_bytes;
use crate::store::state::Key;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const KEY_TEXT_PREFIX: &str = "cdk1_";
/// The beginning of the associated data of a wrapped data key, for each way in.
const BY_KEY_FILE: &[u8] = b"connectord data key";
const BY_RECOVERY_CODE: &[u8] = b"connectord data key by recovery code";

/// A 256-bit key, zeroed when it goes.
pub(crate) struct SymmetricKey(Zeroizing<[u8; KEY_BYTES]>);

impl SymmetricKey {
    pub(crate) fn random() -> Self {
        Self(Zeroizing::new(random_bytes()))
    }

    /// The form in a key file: `cdk1_` and base64.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{KEY_TEXT_PREFIX}{}", BASE64.encode(self.0.as_slice())))
    }

    /// Reads the form in a key file.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let encoded = text.trim().strip_prefix(KEY_TEXT_PREFIX)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The key of a recovery code, for one store. HKDF-SHA256 (RFC 5869), not a slow hash: the code is as random as a
    /// key, so that there is nothing to guess that slowness would help against.
    fn from_recovery_code(store_id: &[u8; 16], code: &RecoveryCode) -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Hkdf::<Sha256>::new(Some(store_id), code.bytes())
            .expand(b"connectord recovery code", key.as_mut_slice())
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        Self(key)
    }

    /// Tells keys apart without telling anything about them.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update("connectord key fingerprint")
            .chain_update(self.0.as_slice())
            .finalize();
        hex::encode(&digest[..8])
    }

    fn encrypt(&self, plain: &[u8], associated_data: &[u8]) -> String {
        let nonce: [u8; NONCE_BYTES] = random_bytes();
        let payload = Payload { msg: plain, aad: associated_data };
        let sealed = XChaCha20Poly1305::new(self.0.as_slice().into())
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("sealing in memory does not fail");
        BASE64.encode([nonce.as_slice(), &sealed].concat())
    }

    fn decrypt(&self, text: &str, associated_data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = BASE64.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: sealed, aad: associated_data };
        let cipher = XChaCha20Poly1305::new(self.0.as_slice().into());
        cipher.decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }
}

/// The data key as the store keeps it: wrapped, once for each way to open it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vault {
    /// The store's id, in hexadecimal digits.
    store_id: String,
    wrapped_by_key_file: Wrapped,
    /// A second way in, for the day when the key file is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapped_by_recovery_code: Option<Wrapped>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Wrapped {
    fingerprint: String,
    sealed: String,
}

impl Vault {
    /// The fingerprint of the key that opens it.
    pub(crate) fn needed_fingerprint(&self) -> &str {
        &self.wrapped_by_key_file.fingerprint
    }

    /// Whether there is a second way in.
    pub(crate) fn has_recovery_code(&self) -> bool {
        self.wrapped_by_recovery_code.is_some()
    }

    /// Whether this is the second way in.
    pub(crate) fn is_recovery_code(&self, store_id: &[u8; 16], code: &RecoveryCode) -> bool {
        let fingerprint = SymmetricKey::from_recovery_code(store_id, code).fingerprint();
        self.wrapped_by_recovery_code.as_ref().is_some_and(|wrapped| wrapped.fingerprint == fingerprint)
    }
}

/// Why the secrets stay shut.
#[derive(Debug)]
pub(crate) enum UnlockError {
    /// It is another key, or another code.
    OtherKey,
    /// There is no recovery code.
    NoCode,
    /// The right key does not open the vault: it is damaged.
    Damaged,
}

/// Seals and opens the secrets of one store.
pub(crate) struct Sealer {
    data_key: SymmetricKey,
    store_id: [u8; 16],
}

impl Sealer {
    /// Makes the data key of a new store, and the vault that keeps it.
    pub(crate) fn create(store_id: [u8; 16], key: &SymmetricKey) -> (Self, Vault) {
        let sealer = Self { data_key: SymmetricKey::random(), store_id };
        let vault = Vault {
            store_id: hex::encode(store_id),
            wrapped_by_key_file: sealer.wrap(key, BY_KEY_FILE),
            wrapped_by_recovery_code: None,
        };
        (sealer, vault)
    }

    /// Unwraps the data key.
    pub(crate) fn unlock(store_id: [u8; 16], vault: &Vault, key: &SymmetricKey) -> Result<Self, UnlockError> {
        Self::unwrap(store_id, &vault.wrapped_by_key_file, key, BY_KEY_FILE)
    }

    /// Unwraps the data key without the key file.
    pub(crate) fn unlock_by_code(
        store_id: [u8; 16],
        vault: &Vault,
        code: &RecoveryCode,
    ) -> Result<Self, UnlockError> {
        let wrapped = vault.wrapped_by_recovery_code.as_ref().ok_or(UnlockError::NoCode)?;
        let key = SymmetricKey::from_recovery_code(&store_id, code);
        Self::unwrap(store_id, wrapped, &key, BY_RECOVERY_CODE)
    }

    /// The same vault for another key file.
    pub(crate) fn rewrap(&self, vault: &Vault, key: &SymmetricKey) -> Vault {
        Vault { wrapped_by_key_file: self.wrap(key, BY_KEY_FILE), ..vault.clone() }
    }

    /// The same vault for another recovery code.
    pub(crate) fn rewrap_by_code(&self, vault: &Vault, code: &RecoveryCode) -> Vault {
        let key = SymmetricKey::from_recovery_code(&self.store_id, code);
        Vault { wrapped_by_recovery_code: Some(self.wrap(&key, BY_RECOVERY_CODE)), ..vault.clone() }
    }

    fn wrap(&self, key: &SymmetricKey, way: &[u8]) -> Wrapped {
        let sealed = key.encrypt(self.data_key.0.as_slice(), &vault_context(way, &self.store_id));
        Wrapped { fingerprint: key.fingerprint(), sealed }
    }

    fn unwrap(
        store_id: [u8; 16],
        wrapped: &Wrapped,
        key: &SymmetricKey,
        way: &[u8],
    ) -> Result<Self, UnlockError> {
        if wrapped.fingerprint != key.fingerprint() {
            return Err(UnlockError::OtherKey);
        }
        let data_key =
            key.decrypt(&wrapped.sealed, &vault_context(way, &store_id)).ok_or(UnlockError::Damaged)?;
        let data_key = data_key.as_slice().try_into().map_err(|_| UnlockError::Damaged)?;
        Ok(Self { data_key: SymmetricKey(Zeroizing::new(data_key)), store_id })
    }

    /// Seals one attribute of one record.
    pub(crate) fn seal(&self, key: Key, attribute: &str, secret: &Secret) -> String {
        self.data_key.encrypt(secret.expose().as_bytes(), &self.context(key, attribute))
    }

    /// Opens what [`Sealer::seal`] made for the same attribute of the same record.
    pub(crate) fn open(&self, key: Key, attribute: &str, sealed: &str) -> Result<Secret, String> {
        let plain = self.data_key.decrypt(sealed, &self.context(key, attribute));
        let text = plain.and_then(|plain| std::str::from_utf8(&plain).ok().map(str::to_owned));
        text.map(Secret::new).ok_or_else(|| format!("{attribute} does not open with the store's key"))
    }

    fn context(&self, key: Key, attribute: &str) -> Vec<u8> {
        [self.store_id.as_slice(), &key.to_bytes(), attribute.as_bytes()].concat()
    }
}

fn vault_context(way: &[u8], store_id: &[u8; 16]) -> Vec<u8> {
    [way, store_id].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::state::Kind;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let key = SymmetricKey::random();
        let (sealer, vault) = Sealer::create([1; 16], &key);
        let place = Key::new(Kind::Connector, 5);
        let sealed = sealer.seal(place, "secret_key", &Secret::new("hunter2".into()));
        assert!(!sealed.contains("hunter2"));
        let again = Sealer::unlock([1; 16], &vault, &SymmetricKey::from_text(&key.to_text()).expect("a key"));
        let again = again.unwrap_or_else(|_| panic!("the same key opens"));
        assert_eq!(again.open(place, "secret_key", &sealed).expect("opens").expose(), "hunter2");
        assert!(again.open(Key::new(Kind::Connector, 6), "secret_key", &sealed).is_err());
        assert!(again.open(place, "options", &sealed).is_err());
        assert!(again.open(place, "secret_key", "AAAA").is_err());
        let other = Sealer::unlock([1; 16], &vault, &SymmetricKey::random());
        assert!(
            matches!(other, Err(UnlockError::OtherKey)) && vault.needed_fingerprint() == key.fingerprint()
        );
        assert!(matches!(Sealer::unlock([2; 16], &vault, &key), Err(UnlockError::Damaged)));
    }

    #[test]
    fn a_recovery_code_opens_its_own_store_until_there_is_another_code() {
        let key = SymmetricKey::random();
        let (sealer, without) = Sealer::create([1; 16], &key);
        let [code, other_code] = [[1; 16], [2; 16]].map(RecoveryCode::from_random);
        assert!(matches!(Sealer::unlock_by_code([1; 16], &without, &code), Err(UnlockError::NoCode)));
        let vault = sealer.rewrap_by_code(&without, &code);
        assert!(vault.has_recovery_code() && !without.has_recovery_code());
        let by_code =
            Sealer::unlock_by_code([1; 16], &vault, &code).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(by_code.data_key.0, sealer.data_key.0);
        // The same code makes another key for another store.
        for (store_id, code) in [([1; 16], &other_code), ([2; 16], &code)] {
            let shut = Sealer::unlock_by_code(store_id, &vault, code);
            assert!(matches!(shut, Err(UnlockError::OtherKey)));
        }
        let new_key = SymmetricKey::random();
        let vault = by_code.rewrap(&by_code.rewrap_by_code(&vault, &other_code), &new_key);
        assert!(matches!(Sealer::unlock([1; 16], &vault, &key), Err(UnlockError::OtherKey)));
        assert!(matches!(Sealer::unlock_by_code([1; 16], &vault, &code), Err(UnlockError::OtherKey)));
        assert!(Sealer::unlock([1; 16], &vault, &new_key).is_ok());
        assert!(Sealer::unlock_by_code([1; 16], &vault, &other_code).is_ok());
        // One way's wrapped key is not the other's.
        let mixed =
            Vault { wrapped_by_key_file: vault.wrapped_by_recovery_code.clone().expect("there"), ..vault };
        let code_key = SymmetricKey::from_recovery_code(&[1; 16], &other_code);
        assert!(matches!(Sealer::unlock([1; 16], &mixed, &code_key), Err(UnlockError::Damaged)));
    }
}
