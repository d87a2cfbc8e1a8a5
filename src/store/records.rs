//! How each kind of record is stored: a format version byte, then JSON with names of its own.
//!
//! These shapes belong to the disk alone. The API may rename what it likes; an attribute here keeps its name for good.

mod audit_event;
mod job;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::api_key::ApiKey;
use crate::domain::audit_event::AuditPlace;
use crate::domain::connector::{Connector, ConnectorName, Settings};
use crate::domain::masked::MaskedText;
use crate::domain::provider::Provider;
use crate::domain::scope::Scope;
use crate::domain::secret::Secret;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::store::index::{Index, Table};
use crate::store::sealing::Sealer;
use crate::store::state::{Key, Kind};

/// The version of stored records that this program writes.
pub(crate) const RECORD_VERSION: u8 = 1;

/// A domain type that the store keeps.
pub(crate) trait Record: Sized + Send + Sync + 'static {
    /// Its kind on disk.
    const KIND: Kind;
    /// Its number among its kind.
    fn id(&self) -> u64;
    /// The text that no other record of its kind has; empty where there is none.
    fn unique_text(&self) -> &str;
    /// Its place in the ring that bounds it together with others of its kind, where there is one; never changed.
    fn place(&self) -> Option<AuditPlace> {
        None
    }
    /// Bytes of its texts, where those of its kind are bounded in all.
    fn text_bytes(&self) -> u64 {
        0
    }
    /// Its stored bytes.
    fn encode(&self, sealer: &Sealer) -> Vec<u8>;
    /// Reads stored bytes.
    fn decode(id: u64, bytes: &[u8], sealer: &Sealer) -> Result<Self, DecodeError>;
    /// Its table, to change.
    fn table_mut(index: &mut Index) -> &mut Table<Self>;
}

/// Encodes any stored shape.
pub(crate) fn encode_record(stored: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![RECORD_VERSION];
    serde_json::to_writer(&mut bytes, stored).expect("stored shapes have text keys and no failing parts");
    bytes
}

/// Why a record cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A newer version of the program wrote it, in this format.
    Newer(u8),
    /// The reason, as the end of a sentence.
    Damaged(String),
}

impl From<String> for DecodeError {
    fn from(reason: String) -> Self {
        DecodeError::Damaged(reason)
    }
}

/// Decodes any stored shape. Older formats will be migrated here.
pub(crate) fn decode_record<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, json)) => serde_json::from_slice(json).map_err(|error| {
            // serde's own message may quote the record: only its place is told.
            DecodeError::Damaged(format!("it is malformed at column {}", error.column()))
        }),
        Some((version, _)) if *version > RECORD_VERSION => Err(DecodeError::Newer(*version)),
        Some(_) | None => Err(DecodeError::Damaged("it has no known format".to_owned())),
    }
}

/// A text that may hold a password: then it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredText {
    Plain(String),
    Sealed(String),
}

#[derive(Serialize, Deserialize)]
struct StoredSettings {
    provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url_proxy: Option<StoredText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed_secret_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<StoredText>,
}

impl StoredSettings {
    fn from_settings(settings: &Settings, key: Key, sealer: &Sealer) -> Self {
        let store_text = |attribute: &str, text: &MaskedText| match text.holds_password() {
            true => StoredText::Sealed(sealer.seal(key, attribute, text.full())),
            false => StoredText::Plain(text.masked().to_owned()),
        };
        Self {
            provider: settings.provider.name().to_owned(),
            url: settings.url.clone(),
            url_proxy: settings.url_proxy.as_ref().map(|text| store_text("url_proxy", text)),
            region: settings.region.clone(),
            access_key: settings.access_key.clone(),
            sealed_secret_key: settings
                .secret_key
                .as_ref()
                .map(|secret| sealer.seal(key, "secret_key", secret)),
            options: settings.options.as_ref().map(|text| store_text("options", text)),
        }
    }

    fn into_settings(self, key: Key, sealer: &Sealer) -> Result<Settings, String> {
        let load_text = |attribute: &str, text: Option<StoredText>, parse: fn(&str) -> MaskedText| match text
        {
            Some(StoredText::Plain(text)) => Ok(Some(parse(&text))),
            Some(StoredText::Sealed(sealed)) => {
                Ok(Some(parse(sealer.open(key, attribute, &sealed)?.expose())))
            }
            None => Ok::<_, String>(None),
        };
        let secret_key = self.sealed_secret_key.map(|sealed| sealer.open(key, "secret_key", &sealed));
        Ok(Settings {
            url: self.url,
            url_proxy: load_text("url_proxy", self.url_proxy, MaskedText::proxy)?,
            provider: Provider::parse(&self.provider)
                .ok_or_else(|| format!("its provider {} is unknown", self.provider))?,
            region: self.region,
            access_key: self.access_key,
            secret_key: secret_key.transpose()?,
            options: load_text("options", self.options, MaskedText::mount_options)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct StoredConnector {
    name: String,
    settings: StoredSettings,
    #[serde(default, skip_serializing_if = "is_zero")]
    secret_revision: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record for Connector {
    const KIND: Kind = Kind::Connector;

    fn id(&self) -> u64 {
        self.id
    }

    fn unique_text(&self) -> &str {
        self.name.as_str()
    }

    fn text_bytes(&self) -> u64 {
        Connector::text_bytes(self)
    }

    fn encode(&self, sealer: &Sealer) -> Vec<u8> {
        let key = Key::new(Self::KIND, self.id);
        let settings = StoredSettings::from_settings(&self.settings, key, sealer);
        encode_record(&StoredConnector {
            name: self.name.as_str().to_owned(),
            settings,
            secret_revision: self.secret_revision,
        })
    }

    fn decode(id: u64, bytes: &[u8], sealer: &Sealer) -> Result<Self, DecodeError> {
        let stored: StoredConnector = decode_record(bytes)?;
        let settings = stored.settings.into_settings(Key::new(Self::KIND, id), sealer)?;
        let name = ConnectorName::from_stored(stored.name);
        Ok(Self { id, name, settings, secret_revision: stored.secret_revision })
    }

    fn table_mut(index: &mut Index) -> &mut Table<Self> {
        &mut index.connectors
    }
}

#[derive(Serialize, Deserialize)]
struct StoredUser {
    name: String,
    /// Sealed, so that a copied directory does not even let a weak password be guessed.
    sealed_password_hash: String,
    revision: u64,
    created_at_ms: i64,
}

impl Record for User {
    const KIND: Kind = Kind::User;

    fn id(&self) -> u64 {
        self.id
    }

    fn unique_text(&self) -> &str {
        &self.name
    }

    fn encode(&self, sealer: &Sealer) -> Vec<u8> {
        let key = Key::new(Self::KIND, self.id);
        encode_record(&StoredUser {
            name: self.name.clone(),
            sealed_password_hash: sealer.seal(key, "password_hash", &self.password_hash),
            revision: self.revision,
            created_at_ms: self.created_at.unix_ms(),
        })
    }

    fn decode(id: u64, bytes: &[u8], sealer: &Sealer) -> Result<Self, DecodeError> {
        let stored: StoredUser = decode_record(bytes)?;
        let key = Key::new(Self::KIND, id);
        Ok(Self {
            id,
            name: stored.name,
            password_hash: sealer.open(key, "password_hash", &stored.sealed_password_hash)?,
            revision: stored.revision,
            created_at: Timestamp::from_unix_ms(stored.created_at_ms),
        })
    }

    fn table_mut(index: &mut Index) -> &mut Table<Self> {
        &mut index.users
    }
}

#[derive(Serialize, Deserialize)]
struct StoredApiKey {
    user_id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    lookup: String,
    last_four: String,
    hash: String,
    /// Pairs of controller and action.
    scopes: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used_at_ms: Option<i64>,
}

impl Record for ApiKey {
    const KIND: Kind = Kind::ApiKey;

    fn id(&self) -> u64 {
        self.id
    }

    fn unique_text(&self) -> &str {
        &self.lookup
    }

    fn encode(&self, _sealer: &Sealer) -> Vec<u8> {
        let scopes = self.scopes.iter().map(|scope| (scope.controller.clone(), scope.action.clone()));
        encode_record(&StoredApiKey {
            user_id: self.user_id,
            name: self.name.clone(),
            lookup: self.lookup.clone(),
            last_four: self.last_four.clone(),
            hash: self.hash.expose().to_owned(),
            scopes: scopes.collect(),
            expires_at_ms: self.expires_at.map(Timestamp::unix_ms),
            last_used_at_ms: self.last_used_at.map(Timestamp::unix_ms),
        })
    }

    fn decode(id: u64, bytes: &[u8], _sealer: &Sealer) -> Result<Self, DecodeError> {
        let stored: StoredApiKey = decode_record(bytes)?;
        let scopes = stored.scopes.into_iter().map(|(controller, action)| Scope { controller, action });
        Ok(Self {
            id,
            user_id: stored.user_id,
            name: stored.name,
            lookup: stored.lookup,
            last_four: stored.last_four,
            hash: Secret::new(stored.hash),
            scopes: scopes.collect(),
            expires_at: stored.expires_at_ms.map(Timestamp::from_unix_ms),
            last_used_at: stored.last_used_at_ms.map(Timestamp::from_unix_ms),
        })
    }

    fn table_mut(index: &mut Index) -> &mut Table<Self> {
        &mut index.api_keys
    }
}
