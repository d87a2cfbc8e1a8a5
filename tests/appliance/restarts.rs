//! What was acknowledged is there after a crash, and damage is said, never started over.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::service::{PASSWORD, Service, TestDirectory, command};

const CONNECTORS: &str = "/api/v2/cloud_connectors";

/// Everything that is listed, secrets included.
fn contents(service: &Service) -> Value {
    service.admin().get(CONNECTORS).expect_status(200).json()
}

fn fill(service: &Service) -> Value {
    let admin = service.admin();
    for number in 1..=30 {
        let body = json!({ "name": format!("c{number}"), "url": "http://h:1", "secret_key": format!("secret {number}"),
            "url_proxy": "http://u:password@h:1" });
        admin.post(CONNECTORS, &body).expect_status(201);
    }
    for number in 1..=10 {
        admin.put(&format!("{CONNECTORS}/{number}"), &json!({ "region": "eu" })).expect_status(200);
        admin.delete(&format!("{CONNECTORS}/{}", number + 10)).expect_status(204);
    }
    contents(service)
}

fn refused_start(directory: &Path) -> (i32, String) {
    let data = directory.join("data").display().to_string();
    let output =
        command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]).output().expect("it runs");
    (output.status.code().expect("an exit status"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_was_acknowledged_survives_kill_9_again_and_again() {
    let directory = TestDirectory::new();
    let mut service = Service::start(directory.path());
    let mut expected = fill(&service);
    for round in 0..5 {
        service.kill();
        service = Service::start(directory.path());
        assert_eq!(contents(&service), expected, "round {round}");
        let body = json!({ "name": format!("round {round}"), "url": "h", "secret_key": "s" });
        service.admin().post(CONNECTORS, &body).expect_status(201);
        expected = contents(&service);
    }
    service.stop();
    let service = Service::start(directory.path());
    assert_eq!(contents(&service), expected);
    service.stop();
}

#[test]
fn a_lost_or_damaged_sled_is_rebuilt_from_the_commit_log() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let expected = fill(&service);
    service.stop();
    let sled = directory.path().join("data/sled");
    let damage: [&dyn Fn(); 3] = [
        &|| fs::remove_file(sled.join("db")).expect("removed"),
        &|| {
            let mut bytes = fs::read(sled.join("db")).expect("read");
            bytes.iter_mut().skip(100).step_by(97).for_each(|byte| *byte ^= 0x40);
            fs::write(sled.join("db"), bytes).expect("written");
        },
        &|| {
            for name in ["db", "conf", "blobs"] {
                let path = sled.join(name);
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        },
    ];
    for (round, damage) in damage.iter().enumerate() {
        damage();
        let service = Service::start(directory.path());
        assert_eq!(contents(&service), expected, "round {round}");
        service.stop();
    }
}

#[test]
fn a_torn_last_record_is_cut_and_kept_aside() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let expected = fill(&service);
    service.kill();
    let log = directory.path().join("data/sled/commit-log/0000000000000001.log");
    let whole = fs::read(&log).expect("read");
    fs::write(&log, [whole.as_slice(), &whole[whole.len() - 100..whole.len() - 1]].concat())
        .expect("written");
    let service = Service::start(directory.path());
    assert_eq!(contents(&service), expected);
    let said = service.log();
    assert!(said.contains("is cut") && said.contains(&whole.len().to_string()), "{said}");
    let aside = directory.path().join(format!("data/0000000000000001.log.cut-at-{}", whole.len()));
    assert_eq!(fs::read(aside).expect("kept").len(), 99);
    service.stop();
}

#[test]
fn damage_and_missing_parts_are_refused_with_the_place() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let expected = fill(&service);
    service.stop();
    let data = directory.path().join("data");
    let log = data.join("sled/commit-log/0000000000000001.log");
    let whole = fs::read(&log).expect("read");

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&log, &flipped).expect("written");
    let (status, said) = refused_start(directory.path());
    assert!(
        status == 3 && said.contains(&log.display().to_string()) && said.contains("offset"),
        "{status} {said}"
    );
    assert_eq!(fs::read(&log).expect("read"), flipped, "a refused start changes nothing");

    fs::write(&log, &whole[..whole.len() / 2]).expect("written");
    assert_eq!(refused_start(directory.path()).0, 3);
    fs::remove_file(&log).expect("removed");
    let (status, said) = refused_start(directory.path());
    assert!(status == 3 && said.contains("files are missing"), "{status} {said}");

    let mut newer = whole.clone();
    newer[8] = 200;
    fs::write(&log, &newer).expect("written");
    let (status, said) = refused_start(directory.path());
    assert!(status == 2 && said.contains("newer connectord"), "{status} {said}");

    fs::write(&log, &whole).expect("written");
    let key = data.join("secret.key");
    let key_text = fs::read_to_string(&key).expect("read");
    fs::remove_file(&key).expect("removed");
    let (status, said) = refused_start(directory.path());
    assert!(status == 2 && said.contains("key file") && !key.exists(), "{status} {said}");
    fs::write(&key, "cdk1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").expect("written");
    let (status, said) = refused_start(directory.path());
    assert!(
        status == 2 && said.contains("does not belong to this store") && said.contains("fingerprint"),
        "{status} {said}"
    );
    fs::write(&key, "nonsense").expect("written");
    assert_eq!(refused_start(directory.path()).0, 2);

    fs::write(&key, key_text).expect("written");
    let service = Service::start(directory.path());
    assert_eq!(contents(&service), expected);
    service.stop();
}

#[test]
fn a_copy_of_the_directory_with_its_key_is_a_backup() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let expected = fill(&service);
    service.stop();
    let restored = TestDirectory::new();
    let copied = std::process::Command::new("cp")
        .args([
            "-r",
            &directory.path().join("data").display().to_string(),
            &restored.path().display().to_string(),
        ])
        .status();
    assert!(copied.expect("cp runs").success());
    let service = Service::start(restored.path());
    assert_eq!(contents(&service), expected);
    service
        .anonymous()
        .sending(&crate::harness::http::basic("admin", PASSWORD))
        .get(CONNECTORS)
        .expect_status(200);
    service.stop();
}
