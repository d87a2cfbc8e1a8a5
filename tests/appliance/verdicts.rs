//! Every verdict on a connector, brought about by a server of the test that does just that, and what no verdict shows.
//!
//! The servers repeat what they are sent; none of it may be in a verdict, a note or the log.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::services::{MARKER, TOKEN};
use crate::harness::fault_server::{FaultServer, Play};
use crate::harness::http::Client;
use crate::harness::service::{PASSWORD, Service, TestDirectory, binary, command};
use crate::jobs::{end, start};

mod addresses;
mod azure;
mod echoes;
mod lists;
mod options;
mod probing;
mod proxy;
mod resolve;
mod s3_errors;
mod swift;
mod table;
mod tls;
mod transport;

use table::{About, Case, VERDICTS, case, judge, judge_part};

const ACCESS_KEY: &str = "AKIDTESTER0001";
const SECRET_KEY: &str = "hunter2-secret-f00d-0123456789";
const PROXY_PASSWORD: &str = "proxy-pass-77aa55";

/// An S3 connector.
fn s3(url: &str) -> Value {
    json!({ "url": url, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY })
}

/// The same connector with other attributes.
fn with(mut body: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("{changes} is no object") };
    body.as_object_mut().expect("an object").extend(changes);
    body
}

/// A service with a log of everything, and the servers that its tests are sent to.
struct Bench {
    directory: TestDirectory,
    service: Service,
    admin: Client,
    servers: RefCell<Vec<FaultServer>>,
    secrets: Vec<String>,
    wrong: RefCell<Vec<String>>,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        Self::within(TestDirectory::new(), variables)
    }

    fn within(directory: TestDirectory, variables: &[(&str, &str)]) -> Self {
        Self::spawned(directory, "127.0.0.1:0", &[], variables).expect("the service starts")
    }

    /// A bench whose service listens elsewhere, or is run by another program, which these arguments begin.
    fn spawned(
        directory: TestDirectory,
        listen: &str,
        wrapper: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self, String> {
        let path = directory.path().join("password");
        std::fs::write(&path, PASSWORD).expect("written");
        let data = directory.path().join("data").display().to_string();
        let path = path.display().to_string();
        let arguments = ["serve", "--listen", listen, "--data-dir", &data, "--admin-password-file", &path];
        let binary = binary().display().to_string();
        let words: Vec<&str> = wrapper.iter().copied().chain([binary.as_str()]).chain(arguments).collect();
        let mut command = command(&words[1..]);
        if !wrapper.is_empty() {
            let mut wrapped = Command::new(words[0]);
            wrapped.args(&words[1..]).stdin(Stdio::null());
            for (name, _) in command.get_envs() {
                wrapped.env_remove(name);
            }
            command = wrapped;
        }
        command.env("CONNECTORD_LOG_LEVEL", "trace").envs(variables.iter().copied());
        let service = Service::spawn(directory.path(), command)?;
        let admin = service.admin();
        let secrets = [SECRET_KEY, PROXY_PASSWORD, TOKEN, MARKER].map(str::to_owned).to_vec();
        let (servers, wrong) = (RefCell::default(), RefCell::default());
        Ok(Self { directory, service, admin, servers, secrets, wrong })
    }

    /// With times so short that a server which does not answer is soon given up.
    fn impatient() -> Self {
        Self::with(&[("CONNECTORD_JOBS_DEADLINE_MS", "1500"), ("CONNECTORD_JOBS_CONNECT_TIMEOUT_MS", "400")])
    }

    /// Takes a server whose credentials are to be looked for.
    fn watch(&self, server: FaultServer) -> FaultServer {
        self.servers.borrow_mut().push(server.clone());
        server
    }

    fn play(&self, play: Play) -> FaultServer {
        self.watch(FaultServer::start(play))
    }

    fn http(&self, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> FaultServer {
        self.watch(FaultServer::http(answer))
    }

    /// Runs all cases at once. What is wrong is said at the end, of all of them.
    fn run(&self, cases: Vec<Case>) -> Vec<Value> {
        let started: Vec<String> = cases.iter().map(|case| start(&self.admin, &case.body)).collect();
        let ended = cases.iter().zip(started).map(|(case, job_id)| {
            let ended = end(&self.admin, &job_id);
            if let Err(wrong) = judge(case, &ended) {
                self.wrong.borrow_mut().push(format!("{}: {wrong}: {ended}", case.what));
            }
            self.check_shown(&case.what, &ended.to_string());
            ended
        });
        ended.collect()
    }

    /// Any end: only what it shows matters.
    fn ends(&self, what: &str, body: Value) -> Value {
        let ended = end(&self.admin, &start(&self.admin, &body));
        self.check_shown(what, &ended.to_string());
        ended
    }

    /// A test that completes: the names of the buckets and the codes of the notes.
    fn completes(&self, what: &str, body: Value) -> (Vec<String>, Vec<String>) {
        let ended = self.ends(what, body);
        let Some(buckets) = ended["cloud_buckets"].as_array() else {
            self.wrong.borrow_mut().push(format!("{what}: not completed: {ended}"));
            return Default::default();
        };
        let names = buckets.iter().map(|bucket| bucket["name"].as_str().unwrap_or_default().to_owned());
        (names.collect(), self.note_codes(what, &ended["notes"]))
    }

    /// As [`Bench::completes`], where the names and notes are known.
    fn lists(&self, what: &str, body: Value, names: &[&str], notes: &[&str]) {
        let (actual, actual_notes) = self.completes(what, body);
        if actual != names || actual_notes != notes {
            let wrong =
                format!("{what}: {actual:?} with notes {actual_notes:?}, not {names:?} with {notes:?}");
            self.wrong.borrow_mut().push(wrong);
        }
    }

    /// The codes of notes in the shape that notes have.
    fn note_codes(&self, what: &str, notes: &Value) -> Vec<String> {
        let notes = notes.as_array().cloned().unwrap_or_default();
        for note in &notes {
            let code = note["code"].as_str().unwrap_or_default();
            if let Err(wrong) = judge_part(note, &[code], About::Any, None) {
                self.wrong.borrow_mut().push(format!("{what}: a note: {wrong}: {note}"));
            }
        }
        notes.iter().map(|note| note["code"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn check_shown(&self, what: &str, shown: &str) {
        let sent: BTreeSet<String> =
            self.servers.borrow().iter().flat_map(FaultServer::credentials).collect();
        for secret in self.secrets.iter().chain(&sent).filter(|secret| shown.contains(secret.as_str())) {
            self.wrong.borrow_mut().push(format!("{what}: {secret:?} is shown in {shown}"));
        }
    }

    fn note_wrong(&self, wrong: String) {
        self.wrong.borrow_mut().push(wrong);
    }

    /// Stops the service, looks into its log, and fails where anything was wrong.
    #[track_caller]
    fn finish(self) {
        let log = self.service.log();
        let Self { directory, service, servers, secrets, wrong, .. } = self;
        service.stop();
        let mut wrong = wrong.into_inner();
        let sent = servers.into_inner();
        let sent: BTreeSet<String> = sent.iter().flat_map(FaultServer::credentials).collect();
        for secret in secrets.iter().chain(&sent) {
            let line = log.lines().find(|line| line.contains(secret.as_str()) || line.contains("panicked"));
            wrong.extend(line.map(|line| format!("in the log, looking for {secret:?}: {line}")));
        }
        assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
        drop(directory);
    }
}

#[test]
fn an_error_and_a_note_have_every_part() {
    let bench = Bench::new();
    let server = bench.http(|_| Answer::new(500, ""));
    let body = with(s3(&server.url()), json!({ "options": "conect_timeout=5" }));
    let error = bench.ends("a failing server", body)["error"].clone();
    let keys = |part: &Value| {
        part.as_object().expect("an object").keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys(&error), "code hint message notes stage", "about no attribute: {error}");
    assert_eq!(keys(&error["notes"][0]), "attribute code hint message stage", "{error}");
    bench.finish();
}

#[test]
fn every_verdict_has_a_case() {
    let sources = [
        include_str!("verdicts/addresses.rs"),
        include_str!("verdicts/azure.rs"),
        include_str!("verdicts/echoes.rs"),
        include_str!("verdicts/lists.rs"),
        include_str!("verdicts/options.rs"),
        include_str!("verdicts/probing.rs"),
        include_str!("verdicts/proxy.rs"),
        include_str!("verdicts/resolve.rs"),
        include_str!("verdicts/s3_errors.rs"),
        include_str!("verdicts/swift.rs"),
        include_str!("verdicts/tls.rs"),
        include_str!("verdicts/transport.rs"),
    ];
    for (code, ..) in VERDICTS {
        let quoted = format!("\"{code}\"");
        assert!(sources.iter().any(|source| source.contains(&quoted)), "{code} has no case");
    }
}
