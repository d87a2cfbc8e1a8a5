//! Secrets on disk: sealed with a random data key, which is stored wrapped by the key file.
//!
//! XChaCha20-Poly1305 with random nonces. The associated data names the store, the kind, the record and the
//! attribute, so that a sealed value moved to another place does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::secret::Secret;
use crate::random::random_bytes;
use crate::store::state::Key;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const KEY_TEXT_PREFIX: &str = "cdk1_";

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

/// Why the secrets stay shut.
#[derive(Debug)]
pub(crate) enum UnlockError {
    /// The key file holds another key; this is the fingerprint of the one that is needed.
    OtherKey { needed: String },
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
        let wrapped = Wrapped {
            fingerprint: key.fingerprint(),
            sealed: key.encrypt(sealer.data_key.0.as_slice(), &vault_context(&store_id)),
        };
        let vault = Vault {
            store_id: hex::encode(store_id),
            wrapped_by_key_file: wrapped,
            wrapped_by_recovery_code: None,
        };
        (sealer, vault)
    }

    /// Unwraps the data key.
    pub(crate) fn unlock(store_id: [u8; 16], vault: &Vault, key: &SymmetricKey) -> Result<Self, UnlockError> {
        let wrapped = &vault.wrapped_by_key_file;
        if wrapped.fingerprint != key.fingerprint() {
            return Err(UnlockError::OtherKey { needed: wrapped.fingerprint.clone() });
        }
        let data_key = key.decrypt(&wrapped.sealed, &vault_context(&store_id)).ok_or(UnlockError::Damaged)?;
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

fn vault_context(store_id: &[u8; 16]) -> Vec<u8> {
    [b"connectord data key".as_slice(), store_id].concat()
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
        assert!(matches!(
            Sealer::unlock([1; 16], &vault, &SymmetricKey::random()),
            Err(UnlockError::OtherKey { needed }) if needed == key.fingerprint()
        ));
        assert!(matches!(Sealer::unlock([2; 16], &vault, &key), Err(UnlockError::Damaged)));
    }
}
