//! A directory that the first released format wrote is kept beside the tests, and every later version opens it.
//!
//! `CONNECTORD_TEST_WRITE_FIXTURE=1` makes it anew; that is right only before the format is released.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::process::{run, text};
use crate::harness::s3_server::{self, ACCESS_KEY, SECRET_KEY};
use crate::harness::service::{Service, TestDirectory};
use crate::jobs;

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const KEYS: &str = "/api/v2/users/me/api_keys";
const TEST: &str = "/api/v2/cloud_connectors/-/test";
/// Ended tests are forgotten after this; those in the kept directory are shown while they are younger.
const KEEP_HOURS: (&str, &str) = ("CONNECTORD_JOBS_KEEP_HOURS", "8760");

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn start(directory: &Path) -> Service {
    Service::start_command(directory, &[], |command| {
        command.env(KEEP_HOURS.0, KEEP_HOURS.1);
    })
}

/// Everything that is shown of the store: connectors with secrets, keys, and ended tests; one that is gone is null.
fn shown(service: &Service, job_ids: &[String]) -> Value {
    let admin = service.admin();
    let mut keys = admin.get(KEYS).expect_status(200).json();
    for key in keys["api_keys"].as_array_mut().expect("a list") {
        key.as_object_mut().expect("an object").remove("last_used_at");
    }
    let job = |job_id: &String| match admin.get(&format!("{TEST}?job_id={job_id}")) {
        answer if answer.status == 404 => Value::Null,
        answer => answer.json(),
    };
    json!({
        "connectors": admin.get(CONNECTORS).expect_status(200).json(),
        "keys": keys,
        "jobs": job_ids.iter().map(job).collect::<Value>(),
    })
}

/// Twenty connectors with every attribute, among them changed, renamed and removed ones, and texts of every kind.
fn write_connectors(service: &Service) {
    let admin = service.admin();
    let providers =
        ["generic_s3", "amazon_aws_s3", "wasabi", "scality_ring", "google_cloud_storage", "dell_emc_ecs"];
    for number in 1..=22 {
        let body = json!({
            "name": format!("connector {number} \u{e9}\u{4e2d}\u{1f4e6}"),
            "url": format!("http://host-{number}:9000"),
            "url_proxy": format!("http://user:password-{number}@proxy:3128"),
            "provider": providers[number % providers.len()],
            "region": format!("region-{number}"),
            "access_key": format!("access-{number}"),
            "secret_key": format!("secret \u{20ac} {number} ").repeat(number),
            "options": format!("uid={number},proxy=http://user:hidden-{number}@proxy"),
        });
        admin.post(CONNECTORS, &body).expect_status(201);
    }
    for number in 1..=5 {
        admin
            .put(&format!("{CONNECTORS}/{number}"), &json!({ "region": null, "secret_key": "changed" }))
            .expect_status(200);
    }
    admin
        .put(&format!("{CONNECTORS}/6"), &json!({ "name": "renamed", "options": "x".repeat(4000) }))
        .expect_status(200);
    admin
        .put(&format!("{CONNECTORS}/7"), &json!({ "secret_key": null, "url_proxy": null }))
        .expect_status(200);
    for number in 21..=22 {
        admin.delete(&format!("{CONNECTORS}/{number}")).expect_status(204);
    }
}

fn write_kept() {
    let directory = TestDirectory::new();
    Service::start(directory.path()).stop();
    let service = start(directory.path());
    write_connectors(&service);
    let key = service.make_key(&["cloud_connectors/*", "cloud_connectors/get_secret_key"]);
    let files = directory.path().join("s3");
    for bucket in ["archive", "photos"] {
        fs::create_dir_all(files.join(bucket)).expect("created");
    }
    let url = format!("http://{}", s3_server::start(&files));
    let tests = [
        json!({ "url": url, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY }),
        json!({ "url": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b" }),
    ];
    let job_ids = tests.each_ref().map(|body| jobs::start(&service.admin(), body));
    for job_id in &job_ids {
        jobs::end(&service.admin(), job_id);
    }
    let expected = json!({ "key": key, "job_ids": job_ids, "shown": shown(&service, &job_ids) });
    service.stop();
    let kept = kept();
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept).expect("created");
    for name in ["sled", "secret.key"] {
        run("cp", &["-r", &text(&directory.path().join("data").join(name)), &text(&kept.join(name))])
            .expect("copied");
    }
    // An empty directory does not survive in a repository; sled makes it again.
    let _ = fs::remove_dir(kept.join("sled/blobs"));
    let expected = serde_json::to_string_pretty(&expected).expect("JSON");
    fs::write(kept.join("expected.json"), expected + "\n").expect("written");
}

#[test]
fn a_directory_of_the_first_released_format_opens() {
    if std::env::var_os("CONNECTORD_TEST_WRITE_FIXTURE").is_some() {
        write_kept();
    }
    let directory = TestDirectory::new();
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("created");
    for name in ["sled", "secret.key"] {
        run("cp", &["-r", &text(&kept().join(name)), &text(&data.join(name))]).expect("copied");
    }
    // A repository keeps no permissions.
    fs::set_permissions(data.join("secret.key"), fs::Permissions::from_mode(0o600)).expect("set");
    let expected = fs::read_to_string(kept().join("expected.json")).expect("what is expected");
    let expected: Value = serde_json::from_str(&expected).expect("JSON");
    let job_ids = expected["job_ids"].as_array().expect("ids").iter();
    let job_ids: Vec<String> = job_ids.map(|id| id.as_str().expect("an id").to_owned()).collect();
    let key = expected["key"].as_str().expect("a key");
    for round in ["as it is kept", "after one run"] {
        let service = start(directory.path());
        let mut actual = shown(&service, &job_ids);
        for (actual, expected) in actual["jobs"]
            .as_array_mut()
            .expect("a list")
            .iter_mut()
            .zip(expected["shown"]["jobs"].as_array().expect("a list"))
        {
            if actual.is_null() {
                *actual = expected.clone();
            }
        }
        assert_eq!(actual, expected["shown"], "{round}");
        let connectors = service.with_key(key).get(CONNECTORS).expect_status(200).json();
        assert_eq!(connectors, expected["shown"]["connectors"], "{round}: by key");
        assert!(!service.log().contains("WARN"), "{round}: nothing had to be mended: {}", service.log());
        service.stop();
    }
    // Ids go on after the highest that was ever given out.
    let service = start(directory.path());
    let created = service.admin().post(CONNECTORS, &json!({ "name": "new", "url": "h" })).expect_status(201);
    assert_eq!(created.json()["id"], 23);
    service.stop();
}
