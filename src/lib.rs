//! connectord keeps cloud connectors (endpoint, provider, credentials), tests them by listing their buckets,
//! and serves them by a REST API.
//!
//! # Codemap
//!
//! - `cli`: subcommands and flags; `cli::serve` starts everything and stops it in order, `cli::https` keeps its
//!   certificate current; `cli::keys` is for new keys, `cli::rescue` for what is lost or damaged.
//! - `config`: one table of settings; flags, environment, file and defaults become one validated `Config`.
//! - `server`: sockets only; `server::connections` decides which connection makes room, `server::watched` what takes too
//!   long, `server::tls` has the certificate.
//! - `api`: the whole request flow (`api::handle`), the table of routes (`api::routes`), the handlers; `api::browser` says
//!   which pages may call, `api::forwarded` who is behind a proxy, `api::trail` writes requests into the audit trail.
//!   `api::console` serves the page, whose files are in `src/console/`; `api::constant` compresses what is the same for
//!   everybody.
//! - `app`: the parts in one place, shared by reference.
//! - `audit`: who did or saw what, committed with the change or before the answer.
//! - `jobs`: tests of connectors in the background. `cloud`: how a bucket list is asked for, and the verdict where it
//!   fails.
//! - `credentials`: argon2id in turns, the memory of verified credentials, and the limits of failures.
//! - `store`: reads are snapshots of `store::index`; changes go through `store::writer`, whose commit point is a sync
//!   of `store::commit_log`; sled follows; `store::opening` trusts nothing.
//! - `store::rotation`: new key files, recovery codes and data keys; `store::resealing` seals everything anew.
//! - `domain`: types and rules without I/O, which all others use.
//! - `turns`, `unsent`: how much is worked on at once, and how much memory answers take that wait to be sent. `random`:
//!   random bytes.
//! - `fuzzing`: what has to hold for any bytes, for each parser of foreign ones; only in tests and in `tests/fuzz`.
//!
//! Direction: cli → server → api → app → {audit, jobs, store, cloud, credentials} → domain; a test checks it.
//!
//! A change travels like this: `api::connectors::create` parses the body into domain types, gives a function to
//! `Store::commit`, which runs on the writer's thread against the state as of that moment, and answers once the
//! log is synced.

mod api;
mod app;
mod audit;
pub mod benchmark;
pub mod cli;
mod cloud;
mod config;
mod credentials;
mod domain;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod jobs;
mod random;
mod server;
mod store;
mod turns;
mod unsent;
