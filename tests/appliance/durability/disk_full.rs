//! A full disk: writes are refused with a reason, reads go on, nothing acknowledged is lost, and room mends it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::process::{self, Mounted};
use super::workload::{count, figure, make_key};
use crate::harness::http::{Client, Response};
use crate::harness::service::{Service, TestDirectory, wait_until};
use crate::harness::skip;

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const FILLER_BYTES: usize = 3 * 1024 * 1024;

type Known = BTreeMap<String, Value>;

fn large_body(number: usize) -> Value {
    json!({ "name": format!("number {number}"), "url": "http://h:1", "options": "x".repeat(4000),
        "secret_key": format!("secret {number}") })
}

/// Creates connectors until one is refused; the refusal has the shape of an error and a plain reason.
fn fill(client: &Client, known: &mut Known) -> Response {
    for number in known.len().. {
        let body = large_body(number);
        let name = body["name"].as_str().expect("a name").to_owned();
        let response = client.post(CONNECTORS, &body);
        if response.status != 201 {
            return response.expect_status(503);
        }
        known.insert(name, response.json());
    }
    unreachable!("a full disk ends this");
}

fn check_refusal(response: &Response) {
    response.errors("base");
    let text = response.text();
    assert!(text.contains("No space left") || text.contains("disk is full"), "a plain reason: {text}");
    assert!(!text.contains("secret"), "{text}");
}

#[track_caller]
fn check_contents(client: &Client, known: &Known, when: &str) {
    let listed = client.get(&format!("{CONNECTORS}?limit=10000")).expect_status(200).json();
    let listed = listed["cloud_connectors"].as_array().expect("a list");
    let by_name =
        |connector: &Value| (connector["name"].as_str().expect("a name").to_owned(), connector.clone());
    let actual: Known = listed.iter().map(by_name).collect();
    let differing = known.iter().filter(|(name, connector)| actual.get(*name) != Some(connector)).count();
    assert_eq!((actual.len(), differing), (known.len(), 0), "{when}");
}

/// Writes a file as large as it gets.
fn fill_up(path: &Path) {
    let mut file = File::create(path).expect("created");
    for chunk_bytes in [64 * 1024, 1024] {
        while file.write_all(&vec![1; chunk_bytes]).is_ok() {}
    }
    let _ = file.sync_all();
}

fn check(round: usize) -> usize {
    let directory = TestDirectory::new();
    let data = directory.path().join("data");
    let image = directory.path().join("image");
    let _mounted = match Mounted::new_file_system(&image, 12, &data) {
        Ok(mounted) => mounted,
        Err(reason) => {
            skip(&format!("a full disk needs root and loop devices: {reason}"));
            return 0;
        }
    };
    fs::write(data.join("filler"), vec![1; FILLER_BYTES]).expect("written");
    let service = Service::start(directory.path());
    let key = make_key(&service);
    let client = service.with_key(&key);
    let stranger = service.with_key(&make_key(&service));
    let mut known = Known::new();
    check_refusal(&fill(&client, &mut known));
    assert!(known.len() > 100, "{} were created", known.len());
    check_contents(&client, &known, "on the full disk");
    fill_up(&data.join("rest"));
    for number in 0..10 {
        let target = format!("{CONNECTORS}/number%20{number}");
        match client.put(&target, &json!({ "options": "y".repeat(4000) })) {
            response if response.status == 200 => {
                drop(known.insert(format!("number {number}"), response.json()))
            }
            response => check_refusal(&response.expect_status(503)),
        }
    }
    check_contents(&client, &known, "after refused changes");
    // Who has not seen the secrets yet is not shown any: that could not be recorded.
    check_refusal(&stranger.get(CONNECTORS).expect_status(503));

    if round.is_multiple_of(2) {
        // Room again, without a restart.
        fs::remove_file(data.join("filler")).expect("removed");
        wait_until("writing on a disk with room", || {
            let response = client.post(CONNECTORS, &json!({ "name": "room again", "url": "h" }));
            let is_written = response.status == 201;
            if is_written {
                known.insert("room again".to_owned(), response.json());
            }
            is_written
        });
        check_contents(&client, &known, "with room again");
        check_contents(&stranger, &known, "to somebody else with room again");
    }
    service.kill();
    let process = process::start(directory.path(), &[]).expect_serving();
    check_contents(&process.with_key(&key), &known, "after a crash");
    drop(process);
    for name in ["filler", "rest"] {
        let _ = fs::remove_file(data.join(name));
    }
    let process = process::start(directory.path(), &[]).expect_serving();
    let client = process.with_key(&key);
    check_contents(&client, &known, "after another start");
    let created = client.post(CONNECTORS, &json!({ "name": "after all", "url": "h" })).expect_status(201);
    known.insert("after all".to_owned(), created.json());
    check_contents(&client, &known, "at the end");
    known.len()
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let rounds = count(2, 10);
    let acknowledged: usize = (0..rounds).map(check).sum();
    figure(&format!("disk full: {rounds} disks, {acknowledged} acknowledged writes, 0 lost"));
}
