//! Many clients at once.

use std::collections::BTreeSet;
use std::sync::Barrier;

use serde_json::json;

use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

#[test]
fn of_64_clients_that_create_one_name_one_wins_and_ids_are_never_reused() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    service.admin().get(CONNECTORS).expect_status(200);
    let mut ids = BTreeSet::new();
    for round in 0..5 {
        let barrier = Barrier::new(64);
        let statuses: Vec<(u16, Vec<String>)> = std::thread::scope(|scope| {
            let clients = (0..64).map(|_| {
                scope.spawn(|| {
                    let body = json!({ "name": format!("same {round}"), "url": "h" });
                    barrier.wait();
                    let response = service.admin().post(CONNECTORS, &body);
                    let errors = if response.status == 201 { vec![] } else { response.errors("name") };
                    (response.status, errors)
                })
            });
            let clients: Vec<_> = clients.collect();
            clients.into_iter().map(|client| client.join().expect("no panic")).collect()
        });
        let created = statuses.iter().filter(|(status, _)| *status == 201).count();
        let taken = statuses.iter().filter(|(status, errors)| *status == 422 && errors == &["taken"]).count();
        assert_eq!((created, taken), (1, 63), "round {round}: {statuses:?}");
        let id = service.admin().get(&format!("{CONNECTORS}/same%20{round}")).json()["id"]
            .as_u64()
            .expect("an id");
        assert!(ids.insert(id));
    }
    assert_eq!(ids, (1..=5).collect());
    // The highest is destroyed: its id is not given out again, also after a crash and after a clean restart.
    service.admin().delete(&format!("{CONNECTORS}/5")).expect_status(204);
    service.kill();
    let service = Service::start(directory.path());
    let created =
        service.admin().post(CONNECTORS, &json!({ "name": "after a crash", "url": "h" })).expect_status(201);
    assert_eq!(created.json()["id"], 6);
    service.admin().delete(&format!("{CONNECTORS}/6")).expect_status(204);
    service.stop();
    let service = Service::start(directory.path());
    let created = service
        .admin()
        .post(CONNECTORS, &json!({ "name": "after a restart", "url": "h" }))
        .expect_status(201);
    assert_eq!(created.json()["id"], 7);
    service.stop();
}
