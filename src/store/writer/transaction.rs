//! A change on its way to the writer: what it is prepared with, and how it becomes a request that is answered.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::recovery_code::RecoveryCode;
use crate::domain::timestamp::Timestamp;
use crate::store::index::Index;
use crate::store::opening::VAULT_KEY;
use crate::store::records::{Record, encode_record};
use crate::store::sealing::{Sealer, SymmetricKey, Vault};
use crate::store::state::{Change, Key, Kind};

/// Why a change was not stored: nothing of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// A plain reason for people.
    pub reason: String,
}

impl Unavailable {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// A change being prepared. It sees its own changes and those of the requests before it.
pub struct Transaction<'a> {
    pub(super) index: Index,
    pub(super) changes: Vec<Change>,
    pub(super) sealer: &'a Sealer,
    pub(super) now: Timestamp,
}

impl Transaction<'_> {
    /// Everything, as of this change.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The time of this change; never before that of an earlier one.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds or replaces a record.
    pub fn put<T: Record>(&mut self, record: T) -> Arc<T> {
        let value = record.encode(self.sealer);
        self.changes.push(Change { key: Key::new(T::KIND, record.id()), value: Some(value.into()) });
        let record = Arc::new(record);
        T::table_mut(&mut self.index).put(Arc::clone(&record));
        record
    }

    /// Removes a record, if it is there.
    pub fn remove<T: Record>(&mut self, id: u64) -> Option<Arc<T>> {
        let record = T::table_mut(&mut self.index).remove(id)?;
        self.changes.push(Change { key: Key::new(T::KIND, id), value: None });
        Some(record)
    }

    /// Lets a recovery code open the store; the one before does not any more.
    pub fn set_recovery_code(&mut self, code: &RecoveryCode) {
        let vault = self.sealer.rewrap_by_code(self.vault(), code);
        self.put_vault(vault);
    }

    /// Lets a key open the store; the one before does not any more.
    pub(crate) fn set_key(&mut self, key: &SymmetricKey) {
        let vault = self.sealer.rewrap(self.vault(), key);
        self.put_vault(vault);
    }

    fn vault(&self) -> &Vault {
        self.index.vault.as_ref().expect("a store opens only with its vault")
    }

    fn put_vault(&mut self, vault: Vault) {
        self.changes.push(Change { key: VAULT_KEY, value: Some(encode_record(&vault).into()) });
        self.index.vault = Some(Arc::new(vault));
    }

    /// The next id of a kind: from 1 up, never one that was given out before.
    pub fn next_id<T: Record>(&mut self) -> u64 {
        let id = self.index.counters.get(&T::KIND).copied().unwrap_or(0) + 1;
        self.index.counters.insert(T::KIND, id);
        let value = encode_record(&id);
        self.changes.push(Change { key: Key::new(Kind::Counter, T::KIND as u64), value: Some(value.into()) });
        id
    }
}

/// A change on its way to the writer: prepares itself, and is then told how it went.
pub(crate) trait Request: Send {
    /// Prepares the change; `false` means that nothing of it is to be stored.
    fn prepare(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// Tells the caller. Called once, last.
    fn finish(self: Box<Self>, outcome: Result<(), Unavailable>);
}

/// A request made of a function, answered through a channel.
pub(crate) struct FunctionRequest<F, T, E> {
    function: Option<F>,
    prepared: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> FunctionRequest<F, T, E>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, E>,
{
    pub(crate) fn new(function: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { function: Some(function), prepared: None, reply }, receiver)
    }
}

impl<F, T, E> Request for FunctionRequest<F, T, E>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send + From<Unavailable>,
{
    fn prepare(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let function = self.function.take().expect("a request is prepared once");
        let result = function(transaction);
        let is_ok = result.is_ok();
        self.prepared = Some(result);
        is_ok
    }

    fn finish(self: Box<Self>, outcome: Result<(), Unavailable>) {
        let result = match (outcome, self.prepared) {
            (Ok(()), Some(prepared)) => prepared,
            (Ok(()), None) => {
                Err(Unavailable::new("the change could not be prepared; the log says why").into())
            }
            (Err(unavailable), _) => Err(unavailable.into()),
        };
        // A caller that went away has nothing to be told; the change stays.
        let _ = self.reply.send(result);
    }
}
