//! What the tests share: the service as a process, a plain HTTP client, a real S3 server.

use std::io::Write;

pub mod fault_server;
pub mod http;
pub mod keep_alive;
pub mod s3_server;
pub mod service;
pub mod signature;

/// Says in one line that a test cannot run here; where nothing may be skipped, that is a failure.
#[track_caller]
pub fn skip(why: &str) {
    let must_run = ["CI", "CONNECTORD_NO_SKIP"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!must_run, "{why}, and nothing may be skipped here");
    // Not by a macro: what those print of a test that passes is not shown.
    let _ = writeln!(std::io::stderr(), "\nskipped: {why}");
}
