//! What benchmarks need of the store, and no more: a store in a directory, durable creates, a count.

use std::path::Path;
use std::sync::Arc;

use crate::domain::connector::{Connector, ConnectorName, ConnectorPatch};
use crate::domain::patch::Patch;
use crate::domain::secret::Secret;
use crate::store::{DataDirectory, KeyPlace, OpenError, Store, StoreOptions, Transaction, Unavailable};

/// A store that many threads write to.
#[derive(Clone)]
pub struct DurableStore(Arc<Store>);

impl DurableStore {
    /// Opens or makes a store; the error is a sentence.
    ///
    /// # Errors
    /// As the program's own opening.
    pub fn open(directory: &Path) -> Result<Self, String> {
        let directory =
            DataDirectory::lock(directory).map_err(OpenError::from).map_err(|error| error.message)?;
        let options = StoreOptions { log_growth_bytes: 8 * 1024 * 1024 };
        let key_place = KeyPlace::find(&directory, None, None);
        Store::open(directory, &key_place, options)
            .map(|store| Self(Arc::new(store)))
            .map_err(|error| error.message)
    }

    /// Creates a connector; it is on disk when this returns.
    ///
    /// # Errors
    /// It could not be stored.
    pub fn create(&self, name: &str) -> Result<u64, String> {
        let name = ConnectorName::from_stored(name.to_owned());
        let patch = ConnectorPatch {
            url: Patch::Set("https://s3.example.com".to_owned()),
            access_key: Patch::Set("AKIAIOSFODNN7EXAMPLE".to_owned()),
            secret_key: Patch::Set(Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned())),
            ..ConnectorPatch::default()
        };
        let settings = patch.apply_settings(None);
        let created = self.0.commit_blocking(move |transaction: &mut Transaction<'_>| {
            let id = transaction.next_id::<Connector>();
            Ok::<_, Unavailable>(transaction.put(Connector { id, name, settings, secret_revision: 1 }).id)
        });
        created.map_err(|unavailable| unavailable.reason)
    }

    /// How many connectors there are.
    pub fn count(&self) -> usize {
        self.0.snapshot().connectors().len()
    }

    /// Closes the store.
    pub fn close(&self) {
        self.0.close();
    }
}
