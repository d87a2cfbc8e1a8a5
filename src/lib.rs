//! connectord keeps cloud connectors (endpoint, provider, credentials), tests them by listing their buckets,
//! and serves them by a REST API.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
mod app;
pub mod cli;
mod cloud;
mod config;
mod credentials;
mod domain;
mod jobs;
mod random;
mod server;
mod store;
