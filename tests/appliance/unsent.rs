//! Answers that wait to be sent take a bounded part of the memory: clients that read slowly cannot hold more.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::services::{swift_listing, swift_v1};
use crate::harness::service::{Service, TestDirectory, wait_until};
use crate::jobs::{end, start};

const TEST: &str = "/api/v2/cloud_connectors/-/test";
const JOBS: [&str; 1] = ["cloud_connectors/test"];

/// Tests a connector whose list makes an answer of 11 MB: more than the system's buffers of a connection hold.
fn large_job(service: &Service, key: &str) -> String {
    let names: Vec<String> = (0..20_000).map(|number| format!("{number:05}{}", "\"".repeat(195))).collect();
    let storage = FaultServer::http(move |request| swift_listing(request, &names, 5000));
    let storage_url = storage.url();
    let login = FaultServer::http(move |request| swift_v1(request, "a:u", "s", &storage_url));
    let body = json!({ "provider": "openstack_swift", "url": format!("{}/auth/v1.0", login.url()),
        "access_key": "a:u", "secret_key": "s" });
    let client = service.with_key(key);
    let job_id = start(&client, &body);
    let found = end(&client, &job_id);
    assert_eq!(found["cloud_buckets"].as_array().map(Vec::len), Some(20_000), "{}", found["error"]);
    job_id
}

/// Asks for the answer, reads its status, and no more of it.
fn hold(service: &Service, key: &str, job_id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).expect("connected");
    let head =
        format!("GET {TEST}?job_id={job_id} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

#[test]
fn slow_readers_hold_a_bounded_part_of_the_memory() {
    let directory = TestDirectory::new();
    // Room for four such answers, each in the part of one caller.
    let settings = [("limits.unsent_bytes", "50331648"), ("limits.write_timeout_secs", "600")];
    let service = Service::start_with_settings(directory.path(), &settings);
    let keys: Vec<String> = (0..5).map(|_| service.make_key(&JOBS)).collect();
    let job_id = large_job(&service, &keys[0]);
    let target = format!("{TEST}?job_id={job_id}");
    let ask = |key: &str| service.with_key(key).get(&target);

    let held = hold(&service, &keys[0], &job_id);
    let refused = ask(&keys[0]).expect_status(503);
    assert_eq!(refused.errors("base"), ["invalid"]);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.text().contains("limits.unsent_bytes"), "{}", refused.text());
    service.with_key(&keys[0]).get(&format!("{TEST}?job_id=x")).expect_status(404);
    assert!(ask(&keys[1]).expect_status(200).body.len() > 10_000_000, "others have their own part");

    let others: Vec<TcpStream> = keys[1..4].iter().map(|key| hold(&service, key, &job_id)).collect();
    ask(&keys[4]).expect_status(503);
    service.admin().get("/api/v2/users/me/api_keys").expect_status(200);
    drop((held, others));
    for key in &keys {
        wait_until("the room comes back", || ask(key).status == 200);
    }
    // What is sent whole takes nothing any more, though its connection stays.
    let mut kept = hold(&service, &keys[0], &job_id);
    let mut left = vec![0; 10_000_000];
    kept.read_exact(&mut left).expect("the answer goes on");
    std::thread::scope(|scope| {
        let mut reading = kept.try_clone().expect("another handle");
        scope.spawn(move || std::io::copy(&mut reading, &mut std::io::sink()));
        wait_until("the room comes back", || ask(&keys[0]).status == 200);
        kept.shutdown(std::net::Shutdown::Both).expect("open until now");
    });
    service.stop();
}

#[test]
fn an_answer_that_never_has_room_says_what_to_do() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let key = service.make_key(&JOBS);
    let job_id = large_job(&service, &key);
    service.stop();
    let settings = [("limits.unsent_bytes", "1048576")];
    let service = Service::start_with_settings(directory.path(), &settings);
    let refused = service.with_key(&key).get(&format!("{TEST}?job_id={job_id}")).expect_status(422);
    assert_eq!(refused.errors("base"), ["too_long"]);
    assert!(refused.text().contains("262144 bytes"), "{}", refused.text());
    service.stop();
}
