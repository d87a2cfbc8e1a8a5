//! Very many tests against servers that never answer, or never stop: memory and answers stay bounded, everybody is served.
//!
//! The counts are short ones; with `CONNECTORD_TEST_FULL` set they are those that the project vouches for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::durability::workload::{count, figure};
use crate::harness::fault_server::http::{Answer, Body};
use crate::harness::fault_server::services::s3_list;
use crate::harness::fault_server::{FaultServer, Play};
use crate::harness::http::Client;
use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const TEST: &str = "/api/v2/cloud_connectors/-/test";

const DEADLINE: Duration = Duration::from_millis(500);
/// From the deadline until the end is stored and seen: a sync of the disk, and the pause of who asks.
const MARGIN: Duration = Duration::from_millis(500);
/// Tests at once, by default.
const PARALLEL: u32 = 8;
const CALLERS: usize = 8;
const GROWTH_MAX_KIB: u64 = 64 * 1024;
const P99_MAX: Duration = Duration::from_millis(50);
const LISTINGS_MIN: usize = 500;

/// What was measured while the flood went on.
#[derive(Default)]
struct Measured {
    most_kib: u64,
    listings: Vec<Duration>,
    /// From the moment that a job was seen working to its end.
    works: Vec<Duration>,
}

#[test]
fn a_flood_of_tests_that_never_end() {
    let directory = TestDirectory::new();
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_JOBS_DEADLINE_MS", DEADLINE.as_millis().to_string());
        let path = directory.path().join("password");
        std::fs::write(&path, crate::harness::service::PASSWORD).expect("written");
        command.env("CONNECTORD_ADMIN_PASSWORD_FILE", path);
    });
    let (silent, endless) = (count(160, 1000), count(10, 50));
    let callers: Vec<Client> = (0..CALLERS + 2)
        .map(|_| service.with_key(&service.make_key(&["cloud_connectors/test", "cloud_connectors/index"])))
        .collect();
    let good = FaultServer::http(|request| match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => Answer::new(404, ""),
    });
    // Warm: every key was checked once, which takes memory, and a test was run.
    callers.iter().for_each(|caller| drop(caller.get(CONNECTORS).expect_status(200)));
    wait_for(&callers[0], &submit(&callers[0], &good), "completed");
    let before_kib = resident_kib(service.id());

    let started = Instant::now();
    let (jobs, measured, good_took) = run(&service, &callers, silent, endless, &good);
    let took = started.elapsed();

    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for job_id in &jobs {
        let ended = callers[0].get(&format!("{TEST}?job_id={job_id}")).json();
        *codes.entry(ended["error"]["code"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
    }
    let expected = [("answer_timeout".to_owned(), silent), ("answer_too_large".to_owned(), endless)];
    assert_eq!(codes, BTreeMap::from(expected));
    judge(&measured, before_kib, good_took);
    let jobs = u32::try_from(jobs.len()).expect("few");
    let most = (DEADLINE + MARGIN) * jobs.div_ceil(PARALLEL) + DEADLINE * 3;
    assert!(took < most, "{jobs} tests took {took:?}");
    let mut listings = measured.listings;
    listings.sort();
    figure(&format!(
        "flood: {silent} tests without an answer and {endless} without an end: {took:.1?}, {} KiB more memory at most, \
         p99 of {} listings {:.1?}, a good test among them {good_took:.1?}",
        measured.most_kib.saturating_sub(before_kib),
        listings.len(),
        percentile_99(&listings)
    ));
    service.stop();
}

fn judge(measured: &Measured, before_kib: u64, good_took: Duration) {
    let growth = measured.most_kib.saturating_sub(before_kib);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more memory, from {before_kib}");
    assert!(measured.listings.len() >= LISTINGS_MIN, "only {} listings", measured.listings.len());
    let mut listings = measured.listings.clone();
    listings.sort();
    let p99 = percentile_99(&listings);
    assert!(p99 < P99_MAX, "p99 of {} listings: {p99:?}, the longest {:?}", listings.len(), listings.last());
    let longest = measured.works.iter().max().expect("some were seen working");
    assert!(*longest < DEADLINE + MARGIN, "a test took {longest:?}");
    assert!(good_took < DEADLINE * 3, "the good test took {good_took:?}");
}

fn percentile_99(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 99 / 100]
}

/// Sends everything, and measures until everything has ended: the jobs, what was measured, the time of the good test.
fn run(
    service: &Service,
    callers: &[Client],
    silent: usize,
    endless: usize,
    good: &FaultServer,
) -> (Vec<String>, Measured, Duration) {
    let silent_servers: Vec<FaultServer> = (0..32).map(|_| FaultServer::start(Play::Silent)).collect();
    let endless_servers: Vec<FaultServer> =
        (0..4).map(|_| FaultServer::http(|_| Answer::faulty(Body::Endless(Duration::ZERO)))).collect();
    let (is_over, measured, watched) =
        (AtomicBool::new(false), Mutex::new(Measured::default()), Mutex::new(Vec::new()));
    let (listing_caller, endless_caller) = (&callers[CALLERS], &callers[CALLERS + 1]);
    let (jobs, good_took) = std::thread::scope(|scope| {
        scope.spawn(|| sample_memory(service.id(), &is_over, &measured));
        scope.spawn(|| list_connectors(listing_caller, &is_over, &measured));
        scope.spawn(|| watch_works(listing_caller, &watched, &is_over, &measured));
        let floods = callers[..CALLERS].iter().enumerate().map(|(turn, caller)| {
            let (servers, watched) = (&silent_servers, &watched);
            scope.spawn(move || {
                let share = (turn..silent).step_by(CALLERS);
                share
                    .map(|number| {
                        let job_id = submit(caller, &servers[number % servers.len()]);
                        if number % 50 < CALLERS {
                            watched.lock().expect("no panic").push(job_id.clone());
                        }
                        job_id
                    })
                    .collect::<Vec<String>>()
            })
        });
        let floods: Vec<_> = floods.collect();
        let endless_jobs = (0..endless).map(|number| submit(endless_caller, &endless_servers[number % 4]));
        let mut jobs: Vec<String> = endless_jobs.collect();
        jobs.extend(floods.into_iter().flat_map(|flood| flood.join().expect("no panic")));
        // Another caller than any of the flood's.
        let good_job = submit(listing_caller, good);
        let started = Instant::now();
        wait_for(listing_caller, &good_job, "completed");
        let good_took = started.elapsed();
        for job_id in &jobs {
            wait_for(listing_caller, job_id, "failed");
        }
        is_over.store(true, Ordering::Relaxed);
        (jobs, good_took)
    });
    (jobs, measured.into_inner().expect("no panic"), good_took)
}

/// Sends a test, again where the queue is full.
fn submit(caller: &Client, server: &FaultServer) -> String {
    let body = json!({ "url": server.url(), "access_key": "a", "secret_key": "s" });
    loop {
        let response = caller.put(TEST, &body);
        if response.status == 202 {
            return response.json()["job_id"].as_str().expect("an id").to_owned();
        }
        assert_eq!(response.status, 503, "{}", response.text());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn status(caller: &Client, job_id: &str) -> String {
    let response = caller.get(&format!("{TEST}?job_id={job_id}"));
    match (response.status, response.json()["status"].as_str()) {
        (200, None) => "completed".to_owned(),
        (202, Some(status)) => status.to_owned(),
        _ => panic!("{}", response.text()),
    }
}

#[track_caller]
fn wait_for(caller: &Client, job_id: &str, end: &str) {
    let started = Instant::now();
    loop {
        let status = status(caller, job_id);
        if status == end {
            return;
        }
        assert!(matches!(status.as_str(), "queued" | "working"), "{status}: {}", job(caller, job_id));
        assert!(started.elapsed() < Duration::from_secs(300), "the job did not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn job(caller: &Client, job_id: &str) -> Value {
    caller.get(&format!("{TEST}?job_id={job_id}")).json()
}

fn sample_memory(process: u32, is_over: &AtomicBool, measured: &Mutex<Measured>) {
    while !is_over.load(Ordering::Relaxed) {
        let now = resident_kib(process);
        let mut measured = measured.lock().expect("no panic");
        measured.most_kib = measured.most_kib.max(now);
        drop(measured);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Resident memory, as Linux counts it.
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

fn list_connectors(caller: &Client, is_over: &AtomicBool, measured: &Mutex<Measured>) {
    while !is_over.load(Ordering::Relaxed) {
        let started = Instant::now();
        caller.get(CONNECTORS).expect_status(200);
        let took = started.elapsed();
        measured.lock().expect("no panic").listings.push(took);
        std::thread::sleep(Duration::from_millis(8));
    }
}

/// Asks about some jobs again and again: how long each was seen working.
fn watch_works(
    caller: &Client,
    watched: &Mutex<Vec<String>>,
    is_over: &AtomicBool,
    measured: &Mutex<Measured>,
) {
    let mut begun: BTreeMap<String, Instant> = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let jobs = watched.lock().expect("no panic").clone();
        for job_id in jobs {
            match status(caller, &job_id).as_str() {
                "queued" => {}
                "working" => drop(begun.entry(job_id).or_insert_with(Instant::now)),
                _ => {
                    let works = begun.remove(&job_id).map(|begun| begun.elapsed());
                    measured.lock().expect("no panic").works.extend(works);
                    watched.lock().expect("no panic").retain(|other| *other != job_id);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
