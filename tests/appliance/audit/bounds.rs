//! Bounds: refused logins are added up and evict nothing, each ring keeps its newest, a long list takes few changes.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{CONNECTORS, EVENTS, check, count, event, events, secret_body};
use crate::harness::http::basic;
use crate::harness::service::{PASSWORD, Service, TestDirectory, wait_until};

/// Starts the service with settings from the environment.
fn start_bounded(directory: &Path, settings: &[(&str, &str)]) -> Service {
    let password = directory.join("password");
    std::fs::write(&password, PASSWORD).expect("written");
    Service::start_command(directory, &[], |command| {
        command.env("CONNECTORD_ADMIN_PASSWORD_FILE", password);
        for (name, value) in settings {
            command.env(format!("CONNECTORD_{name}"), value);
        }
    })
}

#[test]
fn a_list_of_many_is_recorded_by_few_changes() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let blind = service.with_key(&service.make_key(&["cloud_connectors/*"]));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let blind = blind.clone();
            scope.spawn(move || {
                for number in 0..50 {
                    blind.post(CONNECTORS, &secret_body(&format!("c{thread}-{number}"))).expect_status(201);
                }
            });
        }
    });
    let started = std::time::Instant::now();
    let listed = service.admin().get(CONNECTORS).expect_status(200).json();
    let took = started.elapsed();
    assert_eq!(listed["count"], 400);
    let all = events(&service.admin(), "kind=secret_revealed&limit=1000");
    assert_eq!(all.len(), 400);
    assert!(all.iter().all(|event| event["first_at"] == all[0]["first_at"]), "one change, in {took:?}");
    service.kill();
    let service = Service::start(directory.path());
    assert_eq!(count(&service.admin(), "kind=secret_revealed"), 400);
    service.stop();
}

#[test]
fn refused_logins_are_added_up_and_evict_nothing() {
    let directory = TestDirectory::new();
    let start = || {
        let settings = [
            ("AUDIT_KEEP_COUNT", "20"),
            ("AUDIT_LOGIN_KEEP_COUNT", "3"),
            ("LIMITS_FAILURES_PER_ADDRESS", "10000"),
            ("LIMITS_FAILURES_PER_USER_AND_ADDRESS", "10000"),
        ];
        start_bounded(directory.path(), &settings)
    };
    let service = start();
    service.admin().post(CONNECTORS, &secret_body("a")).expect_status(201);
    let key = service.make_key(&["*/*"]);
    let wrong = |authorization: &str| {
        service.anonymous().sending(authorization).get(CONNECTORS).expect_status(401);
    };
    for _ in 0..500 {
        wrong("Bearer cd1_wrong");
    }
    for _ in 0..3 {
        wrong(&basic("admin", "typed-password-1"));
    }
    wrong(&basic("typed-password-2", "x"));
    // Nothing was sent: a browser does so before it asks.
    service.anonymous().get(CONNECTORS).expect_status(401);
    assert_eq!(count(&service.admin(), "kind=login_refused"), 0, "they are counted in memory");
    service.stop();

    let service = start();
    let admin = service.admin();
    let nobody = event(&admin, "kind=login_refused&subject_kind=");
    let expected = json!({ "count": 501, "caller": null, "user_name": null, "client": "127.0.0.1", "subject_name": null });
    check(&nobody, &expected);
    assert!(nobody["request_id"].is_string());
    let named = json!({ "count": 3, "caller": null, "subject_kind": "user", "subject_id": 1, "subject_name": "admin" });
    check(&event(&admin, "kind=login_refused&subject_kind=user"), &named);
    let everything = admin.get(EVENTS).expect_status(200).text();
    assert!(!everything.contains("typed-password") && !everything.contains(&key), "{everything}");
    service.stop();

    // Their ring is full; everything else is still there.
    for _ in 0..4 {
        let service = start();
        service.anonymous().sending(&basic("admin", "wrong password")).get(CONNECTORS).expect_status(401);
        service.anonymous().sending("Bearer x").get(CONNECTORS).expect_status(401);
        service.stop();
    }
    let service = start();
    let admin = service.admin();
    assert_eq!(count(&admin, "kind=login_refused"), 3);
    for kind in ["connector_created", "api_key_created", "secret_revealed"] {
        assert_eq!(count(&admin, &format!("kind={kind}")), 1, "{kind}");
    }
    service.stop();
}

#[test]
fn one_caller_pushes_out_neither_the_events_of_others_nor_what_it_did() {
    let directory = TestDirectory::new();
    let bounds = [("AUDIT_KEEP_COUNT", "20"), ("AUDIT_REVEAL_KEEP_COUNT", "20")];
    let service = start_bounded(directory.path(), &bounds);
    let admin = service.admin();
    admin.post(CONNECTORS, &secret_body("a")).expect_status(201);
    let scopes =
        ["show", "update", "create", "get_secret_key"].map(|action| format!("cloud_connectors/{action}"));
    let thief = service.with_key(&service.make_key(&scopes.each_ref().map(String::as_str)));
    let told = || {
        let of_a = "subject_kind=cloud_connector&subject_id=1";
        let readers = admin.get(&format!("{CONNECTORS}/1/secret_readers")).expect_status(200).json();
        let made = count(&admin, "kind=api_key_created");
        (made, count(&admin, of_a), readers["count"].as_u64(), count(&admin, &format!("{of_a}&caller=key:1")))
    };
    thief.get(&format!("{CONNECTORS}/1")).expect_status(200);
    thief.put(&format!("{CONNECTORS}/1"), &json!({ "region": "evil" })).expect_status(200);
    let before = told();
    assert_eq!(before, (1, 4, Some(2), 2));
    thief.post(CONNECTORS, &secret_body("dummy")).expect_status(201);
    for number in 0..45 {
        let change = json!({ "secret_key": format!("x{number}") });
        thief.put(&format!("{CONNECTORS}/dummy"), &change).expect_status(200);
    }
    assert_eq!((told(), count(&admin, "")), (before, 40));
    // As well after a start, which fills the rings anew.
    service.stop();
    let service = start_bounded(directory.path(), &bounds);
    let admin = service.admin();
    let thief_again =
        service.with_key(&service.make_key(&["cloud_connectors/*", "cloud_connectors/get_secret_key"]));
    for number in 0..45 {
        let change = json!({ "secret_key": format!("y{number}") });
        thief_again.put(&format!("{CONNECTORS}/dummy"), &change).expect_status(200);
    }
    let of_a = "subject_kind=cloud_connector&subject_id=1";
    assert_eq!((count(&admin, of_a), count(&admin, "")), (4, 40));
    service.stop();
}

#[test]
fn each_ring_is_bounded_by_number_and_the_newest_stay() {
    let directory = TestDirectory::new();
    let bounds = [("AUDIT_KEEP_COUNT", "5"), ("AUDIT_REVEAL_KEEP_COUNT", "3")];
    let service = start_bounded(directory.path(), &bounds);
    let admin = service.admin();
    for number in 0..12 {
        admin.post(CONNECTORS, &secret_body(&format!("c{number}"))).expect_status(201);
    }
    let names = |kind: &str| -> Vec<String> {
        let events = events(&admin, &format!("kind={kind}"));
        events.iter().map(|event| event["subject_name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("connector_created"), ["c11", "c10", "c9", "c8", "c7"]);
    assert_eq!(names("secret_revealed"), ["c11", "c10", "c9"]);
    service.stop();
    // A smaller bound holds after a start, without a new event.
    let bounds = [("AUDIT_KEEP_COUNT", "2"), ("AUDIT_REVEAL_KEEP_COUNT", "1")];
    let service = start_bounded(directory.path(), &bounds);
    wait_until("the smaller bound", || count(&service.admin(), "") == 3);
    service.stop();
}

/// Lets the program that it is loaded into live some seconds earlier.
const OTHER_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec -= atol(getenv("SECONDS_BEHIND"));
    return result;
}
"#;

#[test]
fn events_older_than_their_days_go() {
    let directory = TestDirectory::new();
    let (source, library) = (directory.path().join("clock.c"), directory.path().join("clock.so"));
    std::fs::write(&source, OTHER_CLOCK).expect("written");
    let mut compiler = Command::new("cc");
    let compiled = compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(compiled.expect("what links Rust programs").success());
    let old = Service::start_command(directory.path(), &[], |command| {
        let password = directory.path().join("password");
        std::fs::write(&password, PASSWORD).expect("written");
        command.env("CONNECTORD_ADMIN_PASSWORD_FILE", password);
        command.env("LD_PRELOAD", &library).env("SECONDS_BEHIND", (36 * 3600).to_string());
    });
    old.admin().post(CONNECTORS, &json!({ "name": "old", "url": "h" })).expect_status(201);
    old.stop();

    let named = |service: &Service, name: &str| count(&service.admin(), &format!("subject_name={name}"));
    let service = start_bounded(directory.path(), &[("AUDIT_KEEP_DAYS", "2")]);
    // Each new event takes old ones of its ring with it.
    service.admin().post(CONNECTORS, &json!({ "name": "new", "url": "h" })).expect_status(201);
    assert_eq!((named(&service, "old"), named(&service, "new")), (1, 1), "kept for two days");
    service.stop();
    let service = start_bounded(directory.path(), &[("AUDIT_KEEP_DAYS", "1")]);
    wait_until("the old event to go", || named(&service, "old") == 0);
    assert_eq!(named(&service, "new"), 1);
    service.stop();
}
