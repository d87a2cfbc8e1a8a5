//! The OpenAPI 3.1 document, made from the table of routes and the types that are served.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::console;
use crate::api::constant::Constant;
use crate::api::document_rules::of_parameter;
use crate::api::error::ErrorBody;
use crate::api::request::Call;
use crate::api::routes::{Access, Answer, ROUTES, Route};

/// The document as it is sent; it never changes while the program runs.
static DOCUMENT: OnceLock<Constant> = OnceLock::new();

/// Shows the document to anybody: it says nothing about what is kept.
pub fn show(call: Call) -> Answer {
    Box::pin(async move {
        let list_items_max = call.app.config.limits.list_items;
        let make = || Constant::new("application/json", document(list_items_max).to_string().into());
        Ok(DOCUMENT.get_or_init(make).reply(&call.wanted))
    })
}

fn document(list_items_max: usize) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation(route, list_items_max, &mut generator);
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

fn operation(route: &Route, list_items_max: usize, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({ "operationId": route.operation, "summary": route.summary });
    let mut parameters: Vec<Value> = route.path.split('/').filter_map(path_parameter).collect();
    parameters.extend(route.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.is_required,
            "description": parameter.description,
            "schema": of_parameter(route, parameter, list_items_max),
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
        let mut response = json!({ "description": description, "headers": headers(*status) });
        if let Some(schema) = schema {
            response["content"] = content(&schema(generator));
        }
        responses.insert(status.to_string(), response);
    }
    for (status, description) in error_replies(route) {
        let content = content(&generator.subschema_for::<ErrorBody>());
        let response = json!({ "description": description, "headers": headers(status), "content": content });
        responses.insert(status.to_string(), response);
    }
    operation["responses"] = responses.into();
    let credentials = json!([{ "password": [] }, { "key": [] }, { "bare_key": [] }]);
    match &route.access {
        Access::Public(_) => operation["security"] = json!([]),
        Access::SignedIn(_) => {
            operation["security"] = credentials;
            operation["description"] = "API key scope: none, any API key will do".into();
        }
        Access::Scoped(right, _) => {
            operation["security"] = credentials;
            operation["description"] =
                format!("API key scope: {} / {}", right.controller, right.action).into();
        }
    }
    operation
}

fn path_parameter(segment: &str) -> Option<Value> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let text = json!({ "type": "string", "minLength": 1 });
    let (description, schema) = match name {
        "cloud_connector_id" => ("Numeric ID or name of the cloud connector.", text),
        "file" => {
            let names: Vec<&str> = console::names().collect();
            ("Name of the file.", json!({ "type": "string", "enum": names }))
        }
        _ => ("Numeric ID.", text),
    };
    Some(json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": schema,
    }))
}

fn content(schema: &Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// The headers that answers of a status have.
fn headers(status: u16) -> Value {
    let own = match status {
        201 => Some(("Location", "The address of what was made.", json!({ "type": "string" }))),
        401 => Some(("WWW-Authenticate", "So that a browser asks.", json!({ "type": "string" }))),
        429 | 503 => {
            let seconds = json!({ "type": "integer", "minimum": 0 });
            Some(("Retry-After", "Seconds to wait.", seconds))
        }
        _ => None,
    };
    let common = ("X-Request-Id", "The request's ID, as in the log.", json!({ "type": "string" }));
    let headers = own.into_iter().chain([common]).map(|(name, description, schema)| {
        let header = json!({ "description": description, "required": true, "schema": schema });
        (name.to_owned(), header)
    });
    Value::Object(headers.collect())
}

/// The errors that a route can answer with.
fn error_replies(route: &Route) -> Vec<(u16, &'static str)> {
    let has_parameter = route.path.contains('{') || route.operation == "result_cloud_connector_test";
    let is_scoped = matches!(route.access, Access::Scoped(..));
    let is_signed_in = !matches!(route.access, Access::Public(_));
    let candidates = [
        (true, 400, "The body is no JSON or broke off, or the host is unclear."),
        (is_signed_in, 401, "No valid credentials."),
        (is_scoped, 403, "The API key lacks the scope, or a page of another site asks for a change."),
        (has_parameter, 404, "Nothing has this ID or name."),
        (true, 408, "The body came too slowly."),
        (route.path.contains("{cloud"), 409, "The name is ambiguous."),
        (true, 413, "The body is too large."),
        (true, 414, "The address is too long."),
        (true, 415, "The body is not sent as JSON."),
        (true, 421, "The service does not go by this host name."),
        (true, 422, "Something in the request is not valid."),
        (
            is_signed_in,
            429,
            "Too many failed sign-ins from this address; Retry-After says how many seconds to wait.",
        ),
        (is_signed_in, 503, "Not at the moment; try again later."),
    ];
    candidates.into_iter().filter(|(applies, ..)| *applies).map(|(_, status, text)| (status, text)).collect()
}
