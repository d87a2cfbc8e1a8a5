//! The appliance as a whole: every test starts the real binary in a directory of its own, on a free port.
//!
//! `CONNECTORD_TEST_BINARY` names another binary than the one that cargo built for the tests. Tests that need a
//! server which is not there say so and pass; with `CI` or `CONNECTORD_NO_SKIP` set they fail.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod api_keys;
mod audit;
mod authorization_matrix;
mod bad_input;
mod browser;
mod command_line;
mod connectors;
mod console;
mod credentials_flood;
mod credentials_limits;
mod credentials_timing;
mod current_user;
mod durability;
mod flood;
mod harness;
mod jobs;
mod keys;
mod layering;
mod limits;
mod load;
mod openapi;
mod real_servers;
mod rescue;
mod restarts;
mod restoring;
mod revocation;
mod secret_errands;
mod secrets;
mod slow_clients;
mod tls;
mod unix_socket;
mod unsent;
mod verdicts;
