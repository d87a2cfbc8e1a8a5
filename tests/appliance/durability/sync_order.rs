//! No acknowledgement without a sync after its write, seen from outside by strace; and a sync that fails.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::process;
use super::workload::{Random, Workload, count, figure, make_key};
use crate::harness::service::{Service, TestDirectory};
use crate::harness::skip;

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const EXIT_STORE_FAILED: i32 = 74;

/// An strace that watches a process.
struct Tracer(Child);

impl Tracer {
    /// Attaches; the error is a reason to skip a test.
    fn attach(service: &Service, output: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "16", "-o"]).arg(output).args(arguments);
        command.args(["-p", &service.id().to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("strace: {error}"))?;
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        let _ = said.read_line(&mut line);
        if !line.contains("attached") {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("strace cannot attach: {}", line.trim()));
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(Self(child))
    }

    /// Waits for the end of the watched process, with which strace ends.
    fn wait(mut self) {
        let _ = self.0.wait();
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line of the trace as (thread, call, whether it begins here, whether it ended well here, text).
struct Line<'a> {
    call: &'a str,
    is_begin: bool,
    is_success: bool,
    text: &'a str,
}

fn parse(line: &str) -> Option<(&str, Line<'_>)> {
    let (thread, text) = line.split_once(' ')?;
    let text = text.trim_start();
    let (call, is_begin) = match text.strip_prefix("<... ") {
        Some(rest) => (rest.split(' ').next()?, false),
        None => (text.split('(').next()?, true),
    };
    let result = text.rsplit_once(" = ").map(|(_, result)| result);
    let is_success = result.is_some_and(|result| !result.starts_with(['-', '?']));
    Some((thread, Line { call, is_begin, is_success, text }))
}

/// Counts acknowledgements, each with a whole write to the commit log and a whole sync after that, both before it.
fn count_acknowledged(trace: &str) -> usize {
    let (mut is_written, mut is_synced, mut acknowledged) = (false, false, 0);
    // What each thread has begun on the commit log: the end of a call does not name its file again.
    let mut begun = std::collections::HashMap::new();
    for line in trace.lines() {
        let Some((thread, line)) = parse(line) else { continue };
        if line.is_begin {
            begun.insert(thread, line.text.contains("/commit-log/"));
        }
        let is_log = begun.get(thread).copied().unwrap_or(false);
        match line.call {
            "pwrite64" if is_log => {
                // A sync that began before is of no use to this write.
                is_synced = false;
                is_written |= line.is_success;
            }
            "fdatasync" | "fsync" if is_log && line.is_success => is_synced = is_written,
            _ if line.is_begin && line.text.contains("\"HTTP/1.1 201") => {
                assert!(is_written && is_synced, "acknowledged before it was synced: {}", line.text);
                (is_written, is_synced) = (false, false);
                acknowledged += 1;
            }
            _ => {}
        }
    }
    acknowledged
}

#[test]
fn every_acknowledgement_comes_after_a_sync_of_its_record() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let key = make_key(&service);
    let client = service.with_key(&key);
    client.get(CONNECTORS).expect_status(200);
    let output = directory.path().join("trace.txt");
    let calls = ["-e", "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg"];
    let tracer = match Tracer::attach(&service, &output, &calls) {
        Ok(tracer) => tracer,
        Err(reason) => return skip(&format!("the order of syncs needs strace: {reason}")),
    };
    let writes = count(100, 1000);
    for number in 0..writes {
        client
            .post(CONNECTORS, &json!({ "name": format!("number {number}"), "url": "h" }))
            .expect_status(201);
    }
    service.stop();
    tracer.wait();
    let trace = fs::read_to_string(&output).expect("a trace");
    assert_eq!(count_acknowledged(&trace), writes);
    figure(&format!(
        "sync before ack: {writes} of {writes} writes acknowledged after an fdatasync of their record"
    ));
}

#[test]
fn a_sync_that_fails_ends_the_process_and_the_next_start_writes_anew() {
    let directory = TestDirectory::new();
    let mut service = Service::start(directory.path());
    let key = make_key(&service);
    let mut random = Random::new("failed sync");
    let workload = Workload::new(4, 20, &mut random);
    workload.seed(service.address(), &key);
    let output = directory.path().join("trace.txt");
    let failing = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=20+"];
    let tracer = match Tracer::attach(&service, &output, &failing) {
        Ok(tracer) => tracer,
        Err(reason) => return skip(&format!("a sync that fails needs strace: {reason}")),
    };
    let address = service.address().to_owned();
    let status = workload.run(&address, &key, super::workload::Until::Gone, || service.wait());
    tracer.wait();
    assert_eq!(status.code(), Some(EXIT_STORE_FAILED), "{}", service.log());
    assert!(service.log().contains("syncing the commit log failed"), "{}", service.log());
    let process = process::start(directory.path(), &[]).expect_serving();
    workload.settle(&process.with_key(&key)).unwrap_or_else(|wrong| panic!("{wrong}\n{}", process.log()));
    let newest = fs::read_dir(directory.path().join("data/sled/commit-log")).expect("listed");
    let newest = newest.map(|entry| entry.expect("listed").file_name()).filter(|name| name.len() == 20).max();
    assert_eq!(newest.expect("a log"), "0000000000000002.log", "a new generation");
}
