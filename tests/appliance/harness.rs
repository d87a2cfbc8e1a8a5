//! What the tests share: the service as a process, a plain HTTP client, a real S3 server.

pub mod http;
pub mod s3_server;
pub mod service;
