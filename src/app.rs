//! The program's parts in one place: built once, shared by reference; there are no globals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use crate::audit::Audit;
use crate::cloud::Cloud;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::domain::api_key::ApiKey;
use crate::domain::own_names::OwnNames;
use crate::domain::timestamp::Timestamp;
use crate::jobs::Jobs;
use crate::store::{Store, Transaction, Unavailable, remove_if_present};
use crate::turns::Turns;
use crate::unsent::Unsent;

/// How often figures that are kept in memory are stored, and old jobs go.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);

/// Last uses in one change: with as many keys as anybody has, a change stays small.
const LAST_USES_AT_ONCE: usize = 256;

/// Long lists that are made at once; more would only slow down everything else.
const LISTS_AT_ONCE: usize = 2;
/// Longest wait of a list for its turn.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// Everything that a request may need.
pub struct App {
    /// The settings in force.
    pub config: Config,
    /// What is kept.
    pub store: Arc<Store>,
    /// Who may call.
    pub credentials: Credentials,
    /// Who did or saw what.
    pub audit: Audit,
    /// Tests of connectors.
    pub jobs: Arc<Jobs>,
    /// Names that this service goes by.
    pub own_names: OwnNames,
    /// For lists that take long.
    pub listing_turns: Turns,
    /// For answers that wait to be sent.
    pub unsent: Arc<Unsent>,
    /// Whether the file with the first password may still be there.
    first_password_waits: AtomicBool,
}

impl App {
    /// Puts the parts together.
    pub fn new(config: Config, store: Arc<Store>, cloud: Cloud) -> Self {
        let jobs = Jobs::new(config.jobs.clone(), Arc::clone(&store), cloud);
        let first_password_waits = AtomicBool::new(store.directory().first_start_file().exists());
        let own_names =
            OwnNames::new(&config.allowed_hosts, &rustix::system::uname().nodename().to_string_lossy());
        let audit = Audit::new(config.audit.clone(), &store.snapshot());
        let unsent = Unsent::new(config.limits.unsent_bytes);
        let credentials = Credentials::new(config.limits.failures);
        Self {
            audit,
            config,
            own_names,
            store,
            credentials,
            jobs,
            listing_turns: Turns::new(LISTS_AT_ONCE, LIST_WAIT),
            unsent,
            first_password_waits,
        }
    }

    /// Removes the file with the first password and the recovery code: somebody signed in with a password.
    pub async fn first_sign_in_worked(&self) {
        if !self.first_password_waits.swap(false, Ordering::Relaxed) {
            return;
        }
        let path = self.store.directory().first_start_file();
        let removed = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || remove_if_present(&path)).await
        };
        match removed.unwrap_or_else(|error| Err(error.into())) {
            Ok(()) => {
                info!(path = %path.display(), "the first sign-in worked, the file with the password and the recovery code is removed")
            }
            Err(error) => {
                warn!(path = %path.display(), %error, "remove this file, it holds a password or the recovery code")
            }
        }
    }

    /// Stores last uses and counts, and removes what is old, now and then until `stop` ends.
    pub async fn keep_house(&self, stop: impl Future) {
        let mut interval = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        tokio::pin!(stop);
        loop {
            // Only the pause is cut short: what was taken out to be stored is not lost.
            tokio::select! {
                _ = interval.tick() => {}
                _ = &mut stop => return,
            }
            self.store_last_uses().await;
            self.audit.keep_house(&self.store).await;
            self.jobs.remove_old().await;
            self.store.keep_house().await;
        }
    }

    /// Stores when each key was last used. What cannot be stored now waits.
    pub async fn store_last_uses(&self) {
        let last_used: Vec<(u64, Timestamp)> = self.credentials.take_last_used().into_iter().collect();
        for (position, chunk) in last_used.chunks(LAST_USES_AT_ONCE).enumerate() {
            let chunk = chunk.to_vec();
            let stored = self.store.commit(move |transaction: &mut Transaction<'_>| {
                for (key_id, moment) in chunk {
                    let Some(key) = transaction.index().api_keys().get(key_id) else { continue };
                    let key = ApiKey { last_used_at: Some(moment), ..ApiKey::clone(key) };
                    transaction.put(key);
                }
                Ok::<(), Unavailable>(())
            });
            if let Err(unavailable) = stored.await {
                warn!(reason = unavailable.reason, "the last use of API keys could not be stored; it waits");
                return self.credentials.put_back_last_used(&last_used[position * LAST_USES_AT_ONCE..]);
            }
        }
    }
}
