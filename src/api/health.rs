//! Whether the process serves.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::reply::Reply;
use crate::api::request::Call;
use crate::api::routes::Answer;

/// The process serves.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub struct HealthView {
    /// Always `ok`.
    status: &'static str,
}

/// Answers without credentials, and without asking any other part.
pub fn show(_call: Call) -> Answer {
    Box::pin(async { Ok(Reply::json(StatusCode::OK, &HealthView { status: "ok" })) })
}
