//! The OpenAPI 3.1 document, made from the table of routes and the types that are served.

use std::sync::LazyLock;

use hyper::body::Bytes;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::error::ErrorBody;
use crate::api::reply::Reply;
use crate::api::request::Call;
use crate::api::routes::{Access, Answer, ROUTES, Route};

/// The document as text; it never changes while the program runs.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// Shows the document to anybody: it says nothing about what is kept.
pub fn show(_call: Call) -> Answer {
    Box::pin(async { Ok(Reply::document(DOCUMENT.clone())) })
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation(route, &mut generator);
    }
    generator.subschema_for::<ErrorBody>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "connectord",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Keeps cloud connectors, tests them by listing their buckets, and serves them.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic", "description": "User and password: everything is allowed." },
                "key": { "type": "http", "scheme": "bearer", "description": "An API key: what its scopes allow." },
                "bare_key": { "type": "apiKey", "in": "header", "name": "Authorization", "description": "An API key without a scheme." },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({ "operationId": route.operation, "summary": route.summary });
    let mut parameters: Vec<Value> = route.path.split('/').filter_map(path_parameter).collect();
    parameters.extend(route.query.iter().map(|parameter| {
        let kind = if parameter.is_integer {
            json!({ "type": "integer", "minimum": 0 })
        } else {
            json!({ "type": "string" })
        };
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_required,
            "description": parameter.description,
            "schema": kind,
        })
    }));
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(schema) = route.body {
        operation["requestBody"] = json!({ "required": true, "content": content(&schema(generator)) });
    }
    let mut responses = Map::new();
    for (status, description, schema) in route.replies {
        let mut response = json!({ "description": description });
        if let Some(schema) = schema {
            response["content"] = content(&schema(generator));
        }
        responses.insert(status.to_string(), response);
    }
    for (status, description) in error_replies(route) {
        let schema = generator.subschema_for::<ErrorBody>();
        responses
            .insert(status.to_owned(), json!({ "description": description, "content": content(&schema) }));
    }
    operation["responses"] = responses.into();
    match &route.access {
        Access::Public(_) => operation["security"] = json!([]),
        Access::Scoped(right, _) => {
            operation["security"] = json!([{ "password": [] }, { "key": [] }, { "bare_key": [] }]);
            operation["description"] =
                format!("API key scope: {} / {}", right.controller, right.action).into();
        }
    }
    operation
}

fn path_parameter(segment: &str) -> Option<Value> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let description = match name {
        "cloud_connector_id" => "Numeric ID or name of the cloud connector.",
        _ => "Numeric ID.",
    };
    Some(json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": { "type": "string", "minLength": 1 },
    }))
}

fn content(schema: &Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// The errors that a route can answer with.
fn error_replies(route: &Route) -> Vec<(&'static str, &'static str)> {
    let has_parameter = route.path.contains('{') || route.operation == "result_cloud_connector_test";
    let is_scoped = matches!(route.access, Access::Scoped(..));
    let has_body = route.body.is_some();
    let candidates = [
        (has_body, "400", "The body is no JSON, or broke off."),
        (is_scoped, "401", "No valid credentials."),
        (is_scoped, "403", "The API key lacks the scope."),
        (has_parameter, "404", "Nothing has this ID or name."),
        (has_body, "408", "The body came too slowly."),
        (route.path.contains("{cloud"), "409", "The name is ambiguous."),
        (true, "413", "The body is too large."),
        (true, "414", "The address is too long."),
        (true, "415", "The body is not sent as JSON."),
        (true, "422", "Something in the request is not valid."),
        (
            is_scoped,
            "429",
            "Too many failed sign-ins from this address; Retry-After says how many seconds to wait.",
        ),
        (is_scoped, "503", "Not at the moment; try again later."),
    ];
    candidates.into_iter().filter(|(applies, ..)| *applies).map(|(_, status, text)| (status, text)).collect()
}
