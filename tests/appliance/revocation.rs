//! A credential that ends, ends for every request that starts afterwards, under load too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::durability::workload::{count, figure};
use crate::harness::keep_alive::{Connection, LOCALHOST, get};
use crate::harness::service::{Service, TestDirectory, wait_until};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const KEYS: &str = "/api/v2/users/me/api_keys";
const CLIENTS: usize = 32;

/// A request: when it began, and what came of it.
type Sent = (Instant, u16);

/// A service that looks at every failure: the clients go on with what was revoked.
fn start(directory: &TestDirectory) -> Service {
    let settings =
        [("limits.failures_per_address", "1000000"), ("limits.failures_per_user_and_address", "1000000")];
    Service::start_with_settings(directory.path(), &settings)
}

/// Many clients send one key as fast as they can, from before `change` until some time after it.
fn under_load<T>(service: &Service, key: &str, change: impl FnOnce() -> T) -> (T, Vec<Sent>) {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (address, request) = (service.address().to_owned(), get(CONNECTORS, &format!("Bearer {key}")));
    std::thread::scope(|scope| {
        let clients = scope.spawn({
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build();
                runtime.expect("a runtime").block_on(load(address, request, stop, answered))
            }
        });
        let some_more = || {
            let enough = answered.load(Ordering::Relaxed) + 4 * CLIENTS as u64;
            wait_until("answers", || answered.load(Ordering::Relaxed) >= enough);
        };
        some_more();
        let changed = change();
        some_more();
        stop.store(true, Ordering::Relaxed);
        (changed, clients.join().expect("no panic"))
    })
}

async fn load(
    address: String,
    request: Vec<u8>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Vec<Sent> {
    let clients = (0..CLIENTS).map(|_| {
        let (address, request) = (address.clone(), request.clone());
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        tokio::spawn(async move {
            let mut connection = Connection::open(&address, LOCALHOST).await.expect("connected");
            let mut sent = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                sent.push((began, connection.ask(&request).await.expect("an answer").status));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            sent
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut sent = Vec::new();
    for client in clients {
        sent.extend(client.await.expect("no panic"));
    }
    sent
}

/// None that began after the end was let in; before and after it, there were requests of both sorts.
#[track_caller]
fn check(sent: &[Sent], end: Instant, refused: u16) -> usize {
    let (after, before): (Vec<&Sent>, Vec<&Sent>) = sent.iter().partition(|(began, _)| *began > end);
    assert!(before.iter().any(|(_, status)| *status == 200), "there was no load before");
    assert!(before.iter().all(|(_, status)| [200, refused].contains(status)));
    assert!(!after.is_empty(), "there was no load after");
    let let_in = after.iter().filter(|(_, status)| *status != refused).count();
    assert_eq!(let_in, 0, "of {} requests that began after the end", after.len());
    after.len()
}

#[test]
fn no_request_that_starts_after_a_revocation_succeeds() {
    let directory = TestDirectory::new();
    let service = start(&directory);
    let rounds = count(5, 50);
    let (mut all, mut after) = (0, 0);
    for round in 1..=rounds {
        let key = service.make_key(&["cloud_connectors/index"]);
        let (end, sent) = under_load(&service, &key, || {
            service.admin().delete(&format!("{KEYS}/{round}")).expect_status(204);
            Instant::now()
        });
        all += sent.len();
        after += check(&sent, end, 401);
    }
    figure(&format!(
        "{rounds} keys revoked under load of {CLIENTS} clients ({all} requests): none of {after} that began after the 204 succeeded"
    ));
    service.stop();
}

#[test]
fn no_request_that_starts_after_a_scope_is_taken_away_succeeds() {
    let directory = TestDirectory::new();
    let service = start(&directory);
    for round in 1..=count(2, 20) {
        let key = service.make_key(&["cloud_connectors/index"]);
        let (end, sent) = under_load(&service, &key, || {
            service
                .admin()
                .put(&format!("{KEYS}/{round}"), &json!({ "api_key_scopes": [] }))
                .expect_status(200);
            Instant::now()
        });
        check(&sent, end, 403);
    }
    service.stop();
}

#[test]
fn no_request_that_starts_after_a_keys_end_succeeds() {
    let directory = TestDirectory::new();
    let service = start(&directory);
    let key = service.make_key(&["cloud_connectors/index"]);
    let (end, sent) = under_load(&service, &key, || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        // Long enough for the change itself to be answered before, under the load.
        let end = now + Duration::from_secs(3);
        let end_ms = end.as_millis() as i128;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(end_ms * 1_000_000).expect("a moment");
        let body = json!({ "expires_at": moment.format(&Rfc3339).expect("formatted") });
        service.admin().put(&format!("{KEYS}/1"), &body).expect_status(200);
        let past = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        std::thread::sleep(end.saturating_sub(past));
        Instant::now()
    });
    check(&sent, end, 401);
    service.stop();
}
