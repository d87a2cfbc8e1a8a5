//! The shared writers: clients that create, change, rename and remove connectors, and know exactly what was acknowledged.
//!
//! Each client has names of its own and sends one request at a time, so what a service holds of its names must be the
//! state after one prefix of its requests: at least all acknowledged ones. Anything else is lost or torn.

use std::io::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::connection::Connection;
use super::history::{CONNECTORS, Connector, Contents, History, Operation};
use crate::harness::http::Client;
use crate::harness::service::{Service, TestDirectory};

/// A short audit trail: with a long one the live state grows, and the commit log is hardly ever rewritten.
pub const SHORT_TRAIL: [(&str, &str); 2] =
    [("CONNECTORD_AUDIT_KEEP_COUNT", "20"), ("CONNECTORD_AUDIT_REVEAL_KEEP_COUNT", "20")];

/// The short count, or the long one where `CONNECTORD_TEST_FULL` is set.
pub fn count(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}

/// Whether the long counts are asked for.
pub fn is_full() -> bool {
    std::env::var_os("CONNECTORD_TEST_FULL").is_some()
}

/// Prints a line for the list of figures, where the long counts were asked for.
pub fn figure(text: &str) {
    if is_full() {
        eprintln!("figure: {text}");
    }
}

/// An API key that may do everything with connectors, also read their secrets.
pub fn make_key(service: &Service) -> String {
    service.make_key(&["cloud_connectors/*", "cloud_connectors/get_secret_key"])
}

/// Random numbers that a seed repeats: SplitMix64.
pub struct Random(u64);

impl Random {
    /// From `CONNECTORD_TEST_SEED`, or a new seed; says which.
    pub fn new(what: &str) -> Self {
        let given = std::env::var("CONNECTORD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            now.as_nanos() as u64
        });
        eprintln!("{what}: CONNECTORD_TEST_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// When writers end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When they are told; a connection that breaks is a failure.
    Told,
    /// When the service is gone.
    Gone,
}

/// Clients with their histories; they go on over several runs of the service.
pub struct Workload {
    histories: Vec<Mutex<History>>,
    connectors_each: usize,
}

/// How many requests of each client were acknowledged at one moment.
pub struct Marks(Vec<usize>);

impl Workload {
    /// Clients that keep about so many connectors each.
    pub fn new(clients: usize, connectors_each: usize, random: &mut Random) -> Self {
        let mut history = |number| Mutex::new(History::new(number, Random(random.next())));
        Self { histories: (0..clients).map(&mut history).collect(), connectors_each }
    }

    /// Creates every client's connectors.
    pub fn seed(&self, address: &str, key: &str) {
        std::thread::scope(|scope| {
            for history in &self.histories {
                scope.spawn(|| {
                    let mut connection = Connection::new(address, key, true);
                    while lock(history).current.len() < self.connectors_each {
                        let operation = lock(history).creation();
                        perform(history, operation, &mut connection).expect("the service answers");
                    }
                });
            }
        });
    }

    /// Lets all clients write while the function runs; every second one opens a connection for each request.
    pub fn run<T>(&self, address: &str, key: &str, until: Until, meanwhile: impl FnOnce() -> T) -> T {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let is_told = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (number, history) in self.histories.iter().enumerate() {
                let is_told = &is_told;
                scope.spawn(move || {
                    let mut connection = Connection::new(address, key, number % 2 == 0);
                    while !is_told.load(Ordering::Relaxed) {
                        let operation = lock(history).choose(self.connectors_each);
                        match perform(history, operation, &mut connection) {
                            Err(_) if until == Until::Gone => return,
                            result => result.expect("the service answers"),
                        }
                    }
                });
            }
            let _stop = Stop(&is_told);
            meanwhile()
        })
    }

    /// One client's requests, one after the other.
    pub fn write(&self, address: &str, key: &str, requests: usize) {
        for (number, history) in self.histories.iter().enumerate() {
            let mut connection = Connection::new(address, key, number % 2 == 0);
            for _ in 0..requests {
                let operation = lock(history).choose(self.connectors_each);
                perform(history, operation, &mut connection).expect("the service answers");
            }
        }
    }

    /// What is acknowledged by now.
    pub fn marks(&self) -> Marks {
        Marks(self.histories.iter().map(|history| lock(history).acknowledged).collect())
    }

    /// How many requests were acknowledged since the beginning.
    pub fn acknowledged_in_total(&self) -> usize {
        self.histories.iter().map(|history| lock(history).acknowledged_in_total).sum()
    }

    /// Compares a service with what was acknowledged at the marks; later requests may be there too.
    pub fn compare(&self, client: &Client, marks: &Marks) -> std::result::Result<(), String> {
        let actual = contents(client);
        self.check_strangers(&actual)?;
        for (history, mark) in self.histories.iter().zip(&marks.0) {
            lock(history).find(&actual, *mark)?;
        }
        Ok(())
    }

    /// Compares with all that is acknowledged, and goes on from what is there.
    pub fn settle(&self, client: &Client) -> std::result::Result<(), String> {
        self.compare(client, &self.marks())?;
        self.adopt(&contents(client));
        Ok(())
    }

    fn adopt(&self, actual: &Contents) {
        for history in &self.histories {
            lock(history).adopt(actual);
        }
    }

    /// What was acknowledged, but for the last request of each client.
    pub fn marks_before_last(&self) -> Marks {
        Marks(self.marks().0.iter().map(|mark| mark.saturating_sub(1)).collect())
    }

    fn check_strangers(&self, actual: &Contents) -> std::result::Result<(), String> {
        let is_known =
            |name: &String| self.histories.iter().any(|history| name.starts_with(&lock(history).prefix));
        match actual.keys().find(|name| !is_known(name)) {
            Some(stranger) => Err(format!("nobody wrote {stranger:?}")),
            None => Ok(()),
        }
    }
}

fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that the service lists.
fn contents(client: &Client) -> Contents {
    let listed = client.get(CONNECTORS).expect_status(200).json();
    let connectors = listed["cloud_connectors"].as_array().expect("a list");
    assert_eq!(listed["count"], connectors.len(), "the whole list is shown");
    let with_name = |connector: &Value| {
        let mut attributes = connector.clone();
        let id = attributes.as_object_mut().expect("an object").remove("id").expect("an id");
        let name = attributes["name"].as_str().expect("a name").to_owned();
        (name, Arc::new(Connector { id: id.as_u64(), attributes }))
    };
    connectors.iter().map(with_name).collect()
}

/// Sends one request and notes its acknowledgement. The operation is in the history before it is sent.
fn perform(history: &Mutex<History>, operation: Operation, connection: &mut Connection) -> Result<()> {
    let (method, target, body) = (operation.method, operation.target.clone(), operation.body.clone());
    lock(history).operations.push(operation);
    let (status, answer) = connection.send(method, &target, body.as_ref())?;
    let expected = match method {
        "POST" => 201,
        "PUT" => 200,
        _ => 204,
    };
    assert_eq!(status, expected, "{method} {target}: {}", String::from_utf8_lossy(&answer));
    let id = serde_json::from_slice::<Value>(&answer).ok().and_then(|answer| answer["id"].as_u64());
    lock(history).acknowledge(id);
    Ok(())
}

#[test]
fn the_comparison_notices_what_is_lost_torn_or_strange() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let key = make_key(&service);
    let (admin, client) = (service.admin(), service.with_key(&key));
    let workload = Workload::new(2, 5, &mut Random::new("the comparison"));
    let stranger = json!({ "name": "stranger", "url": "h" });
    let first = |client: &Client| client.get(CONNECTORS).json()["cloud_connectors"][0]["id"].to_string();
    let changes: [&dyn Fn(); 3] = [
        &|| drop(admin.delete(&format!("{CONNECTORS}/{}", first(&client))).expect_status(204)),
        &|| {
            let target = format!("{CONNECTORS}/{}", first(&client));
            admin.put(&target, &json!({ "secret_key": "torn" })).expect_status(200);
        },
        &|| drop(admin.post(CONNECTORS, &stranger).expect_status(201)),
    ];
    for change in changes {
        workload.write(service.address(), &key, 30);
        workload.compare(&client, &workload.marks()).unwrap_or_else(|wrong| panic!("{wrong}"));
        change();
        let wrong = workload.compare(&client, &workload.marks()).expect_err("it is noticed");
        assert!(!wrong.is_empty());
        for connector in client.get(CONNECTORS).json()["cloud_connectors"].as_array().expect("a list") {
            admin.delete(&format!("{CONNECTORS}/{}", connector["id"])).expect_status(204);
        }
        workload.adopt(&Contents::new());
    }
    service.stop();
}
