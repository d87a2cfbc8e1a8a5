//! What was acknowledged is there after a crash, and damage is said, never started over.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

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

/// A start that has to be refused: its exit status, and what it says.
#[track_caller]
fn refused_start(directory: &Path) -> (i32, String) {
    let data = directory.join("data").display().to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", &data];
    let mut child =
        command(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
    let started = Instant::now();
    while child.try_wait().expect("waited").is_none() {
        if started.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            panic!("the start was not refused");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("waited");
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
    let aside = directory.path().join(format!("data/set-aside/0000000000000001.log.cut-at-{}", whole.len()));
    assert_eq!(fs::read(aside).expect("kept").len(), 99);
    service.stop();
}

#[test]
fn a_damaged_or_lost_log_is_written_anew_from_sled() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let expected = fill(&service);
    service.stop();
    let logs = directory.path().join("data/sled/commit-log");
    let newest = || {
        let names = fs::read_dir(&logs).expect("a directory").map(|entry| entry.expect("an entry").path());
        names.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max()
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("written");
    };
    let truncate = |path: &Path| {
        let bytes = fs::read(path).expect("read");
        fs::write(path, &bytes[..bytes.len() / 2]).expect("written");
    };
    let remove = |path: &Path| fs::remove_file(path).expect("removed");
    let damage: [&dyn Fn(&Path); 3] = [&flip, &truncate, &remove];
    for (round, damage) in damage.iter().enumerate() {
        let path = newest().expect("a log");
        damage(&path);
        let service = Service::start(directory.path());
        assert_eq!(contents(&service), expected, "round {round}");
        service.stop();
        assert_ne!(newest().as_ref(), Some(&path).filter(|_| round < 2), "a new generation was written");
    }
    assert!(directory.path().join("data/set-aside/0000000000000001.log").exists());
}

#[test]
fn damage_of_both_halves_and_foreign_keys_are_refused_with_the_place() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let expected = fill(&service);
    service.stop();
    let data = directory.path().join("data");
    let log = data.join("sled/commit-log/0000000000000001.log");
    let (whole, database) = (fs::read(&log).expect("read"), fs::read(data.join("sled/db")).expect("read"));

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&log, &flipped).expect("written");
    let mut bad = database.clone();
    bad.iter_mut().skip(64).step_by(61).for_each(|byte| *byte ^= 0x20);
    fs::write(data.join("sled/db"), &bad).expect("written");
    for _ in 0..2 {
        let (status, said) = refused_start(directory.path());
        assert!(status == 3 && said.contains(&log.display().to_string()), "{status} {said}");
        assert!(
            said.contains("offset") && said.contains("can be proved") && said.contains("connectord salvage"),
            "{said}"
        );
    }
    assert_eq!(fs::read(&log).expect("read"), flipped, "a refused start changes nothing");
    assert!(!data.join("set-aside").exists());

    let mut newer = whole.clone();
    newer[8] = 200;
    let header_bytes = 8 + 4 + 4 + 16 + 8 + 56;
    let checksum = crc32c::crc32c(&newer[..header_bytes]);
    newer[header_bytes..header_bytes + 4].copy_from_slice(&checksum.to_le_bytes());
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
fn a_usual_start_takes_sled_as_it_is() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    fill(&service);
    service.stop();
    for _ in 0..2 {
        let service = Service::start(directory.path());
        service
            .admin()
            .post(CONNECTORS, &json!({ "name": format!("n{}", service.id()), "url": "h" }))
            .expect_status(201);
        service.kill();
    }
    let service = Service::start(directory.path());
    for word in ["rebuilt", "set aside", "WARN store", "does not follow"] {
        assert!(!service.log().contains(word), "{}", service.log());
    }
    assert!(!directory.path().join("data/set-aside").exists());
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
