//! The trail with a store.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::domain::connector::{ConnectorName, ConnectorPatch};
use crate::domain::patch::Patch;
use crate::domain::secret::Secret;
use crate::store::{DataDirectory, KeyPlace, StoreOptions};

/// A store that goes with its test.
struct TestStore {
    path: PathBuf,
    store: Store,
}

impl TestStore {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("connectord-audit-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let directory = DataDirectory::lock(&path).unwrap_or_else(|_| panic!("locked"));
        let options = StoreOptions { log_growth_bytes: 8 * 1024 * 1024 };
        let key_place = KeyPlace::find(&directory, None, None);
        let store =
            Store::open(directory, &key_place, options).unwrap_or_else(|error| panic!("{}", error.message));
        Self { path, store }
    }

    fn commit<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> T + Send + 'static,
    ) -> T {
        let change = |transaction: &mut Transaction<'_>| Ok::<T, Unavailable>(change(transaction));
        self.store.commit_blocking(change).unwrap_or_else(|unavailable| panic!("{}", unavailable.reason))
    }

    fn kept(&self) -> Vec<(AuditKind, u64)> {
        self.store.snapshot().audit_events().iter().map(|event| (event.kind, event.count)).collect()
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        self.store.close();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn config() -> AuditConfig {
    let keep = Duration::from_secs(24 * 3600);
    AuditConfig { keep_count: 5, reveal_keep_count: 1000, login_keep_count: 2, keep }
}

fn who() -> Who {
    let client = ClientAddress::parse("192.0.2.1").expect("an address");
    Who { caller: CallerId::User(1), user_id: 1, client, request_id: "id".to_owned() }
}

fn connector(secret_revision: u64) -> Arc<Connector> {
    let patch =
        ConnectorPatch { secret_key: Patch::Set(Secret::new("s".into())), ..ConnectorPatch::default() };
    let name = ConnectorName::parse("a").expect("valid");
    Arc::new(Connector { id: 1, name, settings: patch.apply_settings(None), secret_revision })
}

#[test]
fn old_events_go_by_number_and_by_age_a_bounded_number_at_once() {
    let test = TestStore::new("age");
    let day_ms = 24 * 3600 * 1000;
    let old = Timestamp::from_unix_ms(Timestamp::now().unix_ms() - day_ms);
    let generous = AuditConfig { keep_count: 1000, keep: Duration::from_secs(u64::MAX), ..config() };
    test.commit(move |transaction| {
        for _ in 0..EVENTS_AT_ONCE + 10 {
            put(transaction, &generous, new_event(AuditKind::SecretRevealed, old));
        }
        for _ in 0..20 {
            put(transaction, &generous, new_event(AuditKind::ConnectorCreated, transaction.now()));
        }
    });
    assert_eq!(test.kept().len(), EVENTS_AT_ONCE + 30);
    // Each new event removes two of its own ring.
    test.commit(|transaction| {
        let new = new_event(AuditKind::ApiKeyCreated, transaction.now());
        put(transaction, &config(), new);
    });
    assert_eq!(test.kept().len(), EVENTS_AT_ONCE + 29);
    let audit = Audit::new(config(), &test.store.snapshot());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(audit.keep_house(&test.store));
    assert_eq!(test.kept().len(), 15, "no more at once");
    runtime.block_on(audit.keep_house(&test.store));
    let created = (AuditKind::ConnectorCreated, 1);
    assert_eq!(test.kept(), [created, created, created, created, (AuditKind::ApiKeyCreated, 1)]);
}

/// Who has events left in the ring, and how many.
fn left(test: &TestStore) -> Vec<(String, usize)> {
    let mut left = std::collections::BTreeMap::new();
    for event in test.store.snapshot().audit_events().iter() {
        let subject = event.subject.as_ref().map_or(0, |subject| subject.id);
        let client = event.client.clone().unwrap_or_default();
        *left.entry(format!("{client} {subject}")).or_default() += 1;
    }
    left.into_iter().collect()
}

#[test]
fn refused_logins_of_one_address_push_out_their_own() {
    let test = TestStore::new("refusals");
    let config = AuditConfig { login_keep_count: 6, ..config() };
    // One dead key that asks each minute, and what somebody tried at another address and at this one.
    let key = Subject { kind: SubjectKind::ApiKey, id: 7, name: None };
    let user = Subject { kind: SubjectKind::User, id: 1, name: None };
    let rows =
        [("192.0.2.9", &user, 2), ("192.0.2.1", &user, 1), ("192.0.2.1", &key, 50), ("192.0.2.9", &user, 1)];
    for (client, subject, count) in rows {
        for _ in 0..count {
            let (config, client, subject) = (config.clone(), client.to_owned(), subject.clone());
            test.commit(move |transaction| {
                let (client, subject) = (Some(client), Some(subject));
                let event = new_event(AuditKind::LoginRefused, transaction.now());
                put(transaction, &config, AuditEvent { client, subject, ..event });
            });
        }
    }
    let expected = [("192.0.2.1 1", 1), ("192.0.2.1 7", 2), ("192.0.2.9 1", 3)];
    assert_eq!(left(&test), expected.map(|(row, count)| (row.to_owned(), count)));
}

#[test]
fn a_reveal_is_one_for_all_addresses_of_a_network() {
    let test = TestStore::new("network");
    let audit = Arc::new(Audit::new(config(), &test.store.snapshot()));
    let from = |address: &str| Who { client: ClientAddress::parse(address).expect("an address"), ..who() };
    let recording = (Arc::clone(&audit), from("2001:db8:0:1::1"));
    let pending =
        test.commit(move |transaction| recording.0.record_reveal(transaction, &recording.1, &connector(1)));
    audit.confirm(pending.as_slice());
    let again = Audit::new(config(), &test.store.snapshot());
    for (address, unrecorded) in [("2001:db8:0:1::2", 0), ("2001:db8:0:2::1", 1), ("192.0.2.1", 1)] {
        for audit in [audit.as_ref(), &again] {
            let client = from(address).client;
            let found = audit.unrecorded(who().caller, client, &[connector(1)], &test.store.snapshot());
            assert_eq!(found.len(), unrecorded, "{address}");
        }
    }
    let clients: Vec<_> =
        test.store.snapshot().audit_events().iter().map(|event| event.client.clone()).collect();
    assert_eq!(clients, [Some("2001:db8:0:1::1".to_owned())], "the address itself is told");
}

#[test]
fn a_reveal_that_was_not_stored_is_recorded_again() {
    let test = TestStore::new("reveal");
    let audit = Arc::new(Audit::new(config(), &test.store.snapshot()));
    let unrecorded = |revision: u64| {
        audit.unrecorded(who().caller, who().client, &[connector(revision)], &test.store.snapshot()).len()
    };
    let record = |fails: bool| {
        let audit = Arc::clone(&audit);
        test.store.commit_blocking(move |transaction: &mut Transaction<'_>| {
            let pending = audit.record_reveal(transaction, &who(), &connector(1));
            if fails { Err(Unavailable { reason: "on purpose".to_owned() }) } else { Ok(pending) }
        })
    };
    assert!(record(true).is_err());
    assert_eq!((unrecorded(1), test.kept()), (1, vec![]));
    let first = record(false).expect("stored");
    assert_eq!(unrecorded(1), 1, "not confirmed yet");
    let second = record(false).expect("stored");
    assert_eq!(test.kept(), [(AuditKind::SecretRevealed, 1)], "there is one already");
    audit.confirm(&[first.expect("recorded"), second.expect("recorded")]);
    assert_eq!((unrecorded(1), unrecorded(2)), (0, 1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(audit.keep_house(&test.store));
    assert_eq!(test.kept(), [(AuditKind::SecretRevealed, 2)]);
    // After a start it is known.
    let again = Audit::new(config(), &test.store.snapshot());
    assert!(again.unrecorded(who().caller, who().client, &[connector(1)], &test.store.snapshot()).is_empty());
}

#[test]
fn a_reveal_that_was_pushed_out_is_recorded_again_and_its_repeats_are_not_lost() {
    let test = TestStore::new("pushed-out");
    let config = AuditConfig { reveal_keep_count: 1, ..config() };
    let audit = Arc::new(Audit::new(config.clone(), &test.store.snapshot()));
    let record = || {
        let recording = Arc::clone(&audit);
        let pending =
            test.commit(move |transaction| recording.record_reveal(transaction, &who(), &connector(1)));
        audit.confirm(pending.as_slice());
    };
    let is_recorded = || {
        let unrecorded =
            audit.unrecorded(who().caller, who().client, &[connector(1)], &test.store.snapshot());
        unrecorded.is_empty()
    };
    let push_out = || {
        let config = config.clone();
        test.commit(move |transaction| {
            let other = AuditEvent { count: 7, ..new_event(AuditKind::SecretRevealed, transaction.now()) };
            put(transaction, &config, other);
        });
        assert_eq!(test.kept(), [(AuditKind::SecretRevealed, 7)]);
    };
    record();
    assert!(is_recorded());
    push_out();
    assert!(!is_recorded(), "memory alone proves nothing");
    // What was counted while the event was there comes back with it.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(audit.keep_house(&test.store));
    assert_eq!(test.kept(), [(AuditKind::SecretRevealed, 2)]);
    let event = test.store.snapshot().audit_events().iter().next().cloned().expect("one");
    assert_eq!((event.secret_revision, event.request_id.as_deref()), (Some(1), Some("id")));
    push_out();
    record();
    assert!(is_recorded() && test.kept() == [(AuditKind::SecretRevealed, 1)]);
}
