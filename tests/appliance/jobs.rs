//! Test jobs against a real S3 server in the test's process; real_servers.rs has the other servers.

use serde_json::{Value, json};

use crate::harness::http::Client;
use crate::harness::s3_server::{self, ACCESS_KEY, SECRET_KEY};
use crate::harness::service::{Service, TestDirectory, wait_until};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const TEST: &str = "/api/v2/cloud_connectors/-/test";

/// Starts a test and returns its id.
pub fn start(client: &Client, body: &Value) -> String {
    let started = client.put(TEST, body).expect_status(202).json();
    assert_eq!(
        (&started["status"], &started["progress"], &started["total"]),
        (&json!("queued"), &json!(0), &json!(1))
    );
    started["job_id"].as_str().expect("an id").to_owned()
}

/// Asks until the test has ended: the buckets, or the failed job.
pub fn end(client: &Client, job_id: &str) -> Value {
    let mut ended = Value::Null;
    wait_until("the end of the job", || {
        let response = client.get(&format!("{TEST}?job_id={job_id}"));
        let body = response.json();
        match (response.status, body["status"].as_str()) {
            (200, None) => ended = body,
            (202, Some("failed")) => ended = body,
            (202, Some("queued" | "working")) => {
                assert_eq!(body["job_id"], job_id);
                return false;
            }
            _ => panic!("{} {body}", response.status),
        }
        true
    });
    ended
}

/// The names of the buckets that a test finds, or the code of what is wrong.
fn outcome(client: &Client, body: &Value) -> Result<Vec<String>, String> {
    let ended = end(client, &start(client, body));
    if let Some(error) = ended.get("error") {
        for part in ["code", "message", "hint", "stage"] {
            assert!(error[part].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        }
        return Err(error["code"].as_str().unwrap_or_default().to_owned());
    }
    let buckets = ended["cloud_buckets"].as_array().expect("buckets").iter();
    Ok(buckets.map(|bucket| bucket["name"].as_str().unwrap_or_default().to_owned()).collect())
}

#[test]
fn buckets_of_a_real_server_and_what_is_wrong_with_wrong_settings() {
    let directory = TestDirectory::new();
    let files = directory.path().join("s3");
    for bucket in ["zebra", "archive", "photos"] {
        std::fs::create_dir_all(files.join(bucket)).expect("created");
    }
    let s3 = s3_server::start(&files);
    let service = Service::start(directory.path());
    let admin = service.admin();
    let good = json!({ "url": format!("http://{s3}"), "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
    let with = |changes: Value| {
        let mut body = good.clone();
        body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        body
    };
    assert_eq!(outcome(&admin, &good), Ok(vec!["archive".into(), "photos".into(), "zebra".into()]));
    assert_eq!(
        outcome(&admin, &with(json!({ "provider": "scality_ring", "region": "us-east-1" })))
            .map(|list| list.len()),
        Ok(3)
    );
    let silent = s3_server::start_silent();
    for (changes, code) in [
        (json!({ "secret_key": "wrong-f00d" }), "secret_key_wrong"),
        (json!({ "access_key": "unknown" }), "account_not_signed_up"),
        (json!({ "access_key": null }), "attribute_missing"),
        (json!({ "secret_key": "" }), "attribute_missing"),
        (json!({ "access_key": "a\nb" }), "attribute_unusable"),
        (json!({ "url": "http://127.0.0.1:1" }), "connection_refused"),
        (json!({ "url": "http://no-such-host.invalid" }), "name_not_found"),
        (json!({ "url": format!("https://{s3}") }), "not_tls"),
        (json!({ "url": format!("http://{}/", service.address()) }), "address_forbidden"),
        (json!({ "url_proxy": "http://127.0.0.1:1" }), "proxy_refused"),
        (json!({ "provider": "azure" }), "secret_key_not_base64"),
    ] {
        assert_eq!(outcome(&admin, &with(changes.clone())), Err(code.to_owned()), "{changes}");
    }
    let log = service.log();
    assert!(!log.contains(SECRET_KEY) && !log.contains("wrong-f00d") && !log.contains("panic"));
    service.stop();

    let impatient = Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_JOBS_DEADLINE_MS", "300");
    });
    assert_eq!(
        outcome(&impatient.admin(), &with(json!({ "url": format!("http://{silent}") }))),
        Err("answer_timeout".into())
    );
    impatient.stop();
}

#[test]
fn every_attribute_of_a_bucket_is_there() {
    let directory = TestDirectory::new();
    let files = directory.path().join("s3");
    std::fs::create_dir_all(files.join("photos")).expect("created");
    let s3 = s3_server::start(&files);
    let service = Service::start(directory.path());
    let admin = service.admin();
    let body = json!({ "name": "a", "url": format!("http://{s3}"), "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
    admin.post(CONNECTORS, &body).expect_status(201);
    let ended = end(&admin, &start(&admin, &json!({ "id": 1 })));
    assert_eq!(
        ended,
        json!({ "cloud_buckets": [{ "id": null, "cloud_connector_id": 1, "pool_id": null, "name": "photos", "file_count": null,
            "file_size_sum": null, "location": "us-east-1", "price": null, "options": null }] })
    );
    service.stop();
}

#[test]
fn saved_attributes_complete_a_test_but_never_carry_a_secret_elsewhere() {
    let directory = TestDirectory::new();
    let files = directory.path().join("s3");
    std::fs::create_dir_all(files.join("photos")).expect("created");
    let s3 = s3_server::start(&files);
    let service = Service::start(directory.path());
    let url = format!("http://{s3}");
    let body = json!({ "name": "a", "url": url, "region": "us-east-1", "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
    service.admin().post(CONNECTORS, &body).expect_status(201);
    let blind = service.with_key(&service.make_key(&["cloud_connectors/test", "cloud_connectors/show"]));
    let hidden = service.with_key(&service.make_key(&["cloud_connectors/test"]));
    let seeing = service.with_key(&service.make_key(&[
        "cloud_connectors/test",
        "cloud_connectors/show",
        "cloud_connectors/get_secret_key",
    ]));
    assert_eq!(outcome(&blind, &json!({ "id": 1 })), Ok(vec!["photos".into()]));
    assert_eq!(outcome(&blind, &json!({ "id": 1, "url": url, "name": "12" })), Ok(vec!["photos".into()]));
    for change in [
        json!({ "id": 1, "url": "http://127.0.0.1:1" }),
        json!({ "id": 1, "url_proxy": "http://127.0.0.1:1" }),
        json!({ "id": 1, "provider": "wasabi" }),
        json!({ "id": 1, "region": "eu" }),
        json!({ "id": 1, "access_key": "other" }),
        json!({ "id": 1, "options": "url=http://127.0.0.1:1" }),
    ] {
        assert_eq!(blind.put(TEST, &change).expect_status(422).errors("secret_key"), ["blank"], "{change}");
    }
    let refused = json!({ "id": 1, "url": "http://127.0.0.1:1" });
    assert_eq!(outcome(&seeing, &refused), Err("connection_refused".into()));
    assert_eq!(
        outcome(&blind, &json!({ "id": 1, "url": "http://127.0.0.1:1", "secret_key": "mine" })),
        Err("connection_refused".into())
    );
    // Who may not show a connector cannot use it; an id that names none is ignored.
    assert_eq!(hidden.put(TEST, &json!({ "id": 1 })).expect_status(422).errors("url"), ["blank"]);
    assert_eq!(outcome(&hidden, &json!({ "id": 77, "url": url })), Err("attribute_missing".into()));
    for id in [json!(-1), json!(1.5), json!(1e300)] {
        assert_eq!(outcome(&seeing, &json!({ "id": id, "url": url })), Err("attribute_missing".into()));
    }
    assert_eq!(
        seeing.put(TEST, &json!({ "id": "1", "url": url })).expect_status(422).errors("id"),
        ["invalid"]
    );
    service.stop();
}

#[test]
fn the_queue_is_bounded_for_each_caller_and_for_all() {
    let directory = TestDirectory::new();
    let silent = s3_server::start_silent();
    let service = Service::start_command(
        directory.path(),
        &["--admin-password-file", &password(&directory)],
        |command| {
            command
                .env("CONNECTORD_JOBS_QUEUE_CAPACITY", "5")
                .env("CONNECTORD_JOBS_QUEUE_CAPACITY_PER_CALLER", "3");
            command.env("CONNECTORD_JOBS_PARALLEL_PER_ENDPOINT", "1");
        },
    );
    let admin = service.admin();
    let body = json!({ "url": format!("http://{silent}"), "access_key": "a", "secret_key": "s" });
    let first = start(&admin, &body);
    wait_until("the first job to be worked on", || {
        admin.get(&format!("{TEST}?job_id={first}")).expect_status(202).json()["status"] == "working"
    });
    let waiting: Vec<String> = (0..3).map(|_| start(&admin, &body)).collect();
    assert_eq!(admin.get(&format!("{TEST}?job_id={}", waiting[2])).json()["status"], "queued");
    let full = admin.put(TEST, &body).expect_status(503);
    assert!(full.header("retry-after").is_some() && full.text().contains("one caller"), "{}", full.text());
    full.errors("base");
    let other = service.with_key(&service.make_key(&["cloud_connectors/test"]));
    start(&other, &body);
    start(&other, &body);
    assert!(
        service
            .with_key(&service.make_key(&["*/test"]))
            .put(TEST, &body)
            .expect_status(503)
            .text()
            .contains("queue")
    );
    service.stop();
}

fn password(directory: &TestDirectory) -> String {
    let path = directory.path().join("password");
    std::fs::write(&path, crate::harness::service::PASSWORD).expect("written");
    path.display().to_string()
}

#[test]
fn a_killed_job_completes_under_its_id_after_the_restart() {
    let directory = TestDirectory::new();
    let files = directory.path().join("s3");
    std::fs::create_dir_all(files.join("photos")).expect("created");
    let s3 = s3_server::start(&files);
    let silent = s3_server::start_silent();
    let service = Service::start(directory.path());
    let admin = service.admin();
    // Two silent tests take both places of their endpoint; the good one waits behind one that runs.
    let stuck =
        json!({ "url": format!("http://{silent}"), "access_key": "a", "secret_key": "hunter2-stuck" });
    let stuck = [start(&admin, &stuck), start(&admin, &stuck)];
    wait_until("the silent tests to run", || {
        stuck.iter().all(|job_id| admin.get(&format!("{TEST}?job_id={job_id}")).json()["status"] == "working")
    });
    // Killed the moment that the test is acknowledged.
    let good = json!({ "url": format!("http://{s3}"), "access_key": ACCESS_KEY, "secret_key": SECRET_KEY });
    let good = start(&admin, &good);
    service.kill();
    let service = Service::start(directory.path());
    let ended = end(&service.admin(), &good);
    assert_eq!(ended["cloud_buckets"][0]["name"], "photos");
    let service = interrupt_when_working(service, &directory, &stuck);
    let service = interrupt_when_working(service, &directory, &stuck);
    for job_id in &stuck {
        assert_eq!(end(&service.admin(), job_id)["error"]["code"], "interrupted");
    }
    assert_eq!(end(&service.admin(), &good)["cloud_buckets"][0]["name"], "photos");
    service.stop();
}

/// Waits until every job is worked on, kills the service, and starts it again.
fn interrupt_when_working(service: Service, directory: &TestDirectory, job_ids: &[String]) -> Service {
    wait_until("the silent tests to run", || {
        let status = |job_id: &String| {
            service.admin().get(&format!("{TEST}?job_id={job_id}")).json()["status"].clone()
        };
        job_ids.iter().all(|job_id| status(job_id) == "working")
    });
    service.kill();
    Service::start(directory.path())
}
