//! THE table of routes. Matching, 405, authorization, the OpenAPI document and the authorization test all come from it.

use std::pin::Pin;

use hyper::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::api::api_keys::{self, ApiKeyBody, ApiKeyListView, ApiKeyView};
use crate::api::audit_events::{self, AuditEventListView, SecretReaderListView};
use crate::api::auth::Caller;
use crate::api::connection_tests::{self, BucketListView, JOB_ID, JobView};
use crate::api::connectors::{self, ConnectorListView, ConnectorView};
use crate::api::console;
use crate::api::document_rules::{changed_connector, created_connector, tested_connector};
use crate::api::error::ApiError;
use crate::api::health::{self, HealthView};
use crate::api::list_query::{AUDIT_EVENT_LIST, CONNECTOR_LIST, LIMIT, OFFSET};
use crate::api::openapi;
use crate::api::reply::Reply;
use crate::api::request::{Call, REVEAL};
use crate::api::users::{self, CurrentUserView};
use crate::domain::scope::{self, Right};

/// What a handler returns.
pub type Answer = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;

/// Who may call a route. A handler that needs a [`Caller`] does not fit into a public row.
pub enum Access {
    /// Anybody.
    Public(fn(Call) -> Answer),
    /// Callers with valid credentials, whatever they may do.
    SignedIn(fn(Caller, Call) -> Answer),
    /// Callers with the right.
    Scoped(Right, fn(Caller, Call) -> Answer),
}

/// Writes the schema of a body.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A query parameter.
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a whole number.
    pub is_integer: bool,
    /// Whether it has to be sent.
    pub is_required: bool,
    /// A sentence.
    pub description: &'static str,
}

/// A route.
pub struct Route {
    /// The method. `HEAD` works where `GET` does.
    pub method: Method,
    /// The path; a segment in braces is variable.
    pub path: &'static str,
    /// The operation's name in the API document.
    pub operation: &'static str,
    /// A sentence.
    pub summary: &'static str,
    /// Who may call it, and what is called.
    pub access: Access,
    /// Query parameters; others are refused.
    pub query: &'static [&'static Parameter],
    /// The body, where it takes one.
    pub body: Option<SchemaOf>,
    /// What success looks like: status, a sentence, the body.
    pub replies: &'static [(u16, &'static str, Option<SchemaOf>)],
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The end of a path that takes all the segments that follow.
const FILE: &str = "{file}";
const CONNECTOR: &str = "/api/v2/cloud_connectors/{cloud_connector_id}";
const CONNECTORS: &str = "/api/v2/cloud_connectors";
const CONNECTION_TEST: &str = "/api/v2/cloud_connectors/-/test";
const SECRET_READERS: &str = "/api/v2/cloud_connectors/{cloud_connector_id}/secret_readers";
const AUDIT_EVENTS: &str = "/api/v2/audit_events";
const CURRENT_USER: &str = "/api/v2/users/me";
const API_KEY: &str = "/api/v2/users/me/api_keys/{api_key_id}";
const API_KEYS: &str = "/api/v2/users/me/api_keys";

/// To who sends the tag of what would be sent.
const NOT_MODIFIED: (u16, &str, Option<SchemaOf>) = (304, "If-None-Match names the current content.", None);

/// Every route.
pub static ROUTES: [Route; 19] = [
    Route {
        method: Method::GET,
        path: CONNECTORS,
        operation: "index_cloud_connectors",
        summary: "Lists all cloud connectors.",
        access: Access::Scoped(scope::CONNECTORS_INDEX, connectors::index),
        query: CONNECTOR_LIST,
        body: None,
        replies: &[(200, "List of cloud connectors.", Some(of::<ConnectorListView<'static>>))],
    },
    Route {
        method: Method::POST,
        path: CONNECTORS,
        operation: "create_cloud_connector",
        summary: "Creates a new cloud connector.",
        access: Access::Scoped(scope::CONNECTORS_CREATE, connectors::create),
        query: &[&REVEAL],
        body: Some(created_connector),
        replies: &[(201, "A specific cloud connector.", Some(of::<ConnectorView<'static>>))],
    },
    Route {
        method: Method::GET,
        path: CONNECTION_TEST,
        operation: "result_cloud_connector_test",
        summary: "Check result of cloud connector test job.",
        access: Access::Scoped(scope::CONNECTORS_TEST, connection_tests::show),
        query: &[&JOB_ID],
        body: None,
        replies: &[
            (200, "Simple list of cloud buckets.", Some(of::<BucketListView<'static>>)),
            (202, "The job is queued or working, or it failed.", Some(of::<JobView<'static>>)),
        ],
    },
    Route {
        method: Method::PUT,
        path: CONNECTION_TEST,
        operation: "test_cloud_connector",
        summary: "Test an unsaved cloud connector.",
        access: Access::Scoped(scope::CONNECTORS_TEST, connection_tests::create),
        query: &[],
        body: Some(tested_connector),
        replies: &[(202, "An active job.", Some(of::<JobView<'static>>))],
    },
    Route {
        method: Method::GET,
        path: CONNECTOR,
        operation: "show_cloud_connector",
        summary: "Displays a specific cloud connector.",
        access: Access::Scoped(scope::CONNECTORS_SHOW, connectors::show),
        query: &[&REVEAL],
        body: None,
        replies: &[(200, "A specific cloud connector.", Some(of::<ConnectorView<'static>>))],
    },
    Route {
        method: Method::PUT,
        path: CONNECTOR,
        operation: "update_cloud_connector",
        summary: "Updates a specific cloud connector.",
        access: Access::Scoped(scope::CONNECTORS_UPDATE, connectors::update),
        query: &[&REVEAL],
        body: Some(changed_connector),
        replies: &[(200, "A specific cloud connector.", Some(of::<ConnectorView<'static>>))],
    },
    Route {
        method: Method::DELETE,
        path: CONNECTOR,
        operation: "destroy_cloud_connector",
        summary: "Destroys a specific cloud connector.",
        access: Access::Scoped(scope::CONNECTORS_DESTROY, connectors::destroy),
        query: &[],
        body: None,
        replies: &[(204, "Cloud connector destroyed.", None)],
    },
    Route {
        method: Method::GET,
        path: SECRET_READERS,
        operation: "index_secret_readers",
        summary: "Lists who has seen a cloud connector's secret since it last changed. Needs the scope cloud_connectors / show too.",
        access: Access::Scoped(scope::AUDIT_EVENTS_INDEX, audit_events::secret_readers),
        query: &[&LIMIT, &OFFSET],
        body: None,
        replies: &[(
            200,
            "Who has seen the secret, the last one first.",
            Some(of::<SecretReaderListView<'static>>),
        )],
    },
    Route {
        method: Method::GET,
        path: AUDIT_EVENTS,
        operation: "index_audit_events",
        summary: "Lists the audit trail, the newest event first unless sort_by says otherwise.",
        access: Access::Scoped(scope::AUDIT_EVENTS_INDEX, audit_events::index),
        query: AUDIT_EVENT_LIST,
        body: None,
        replies: &[(200, "List of audit events.", Some(of::<AuditEventListView<'static>>))],
    },
    Route {
        method: Method::GET,
        path: CURRENT_USER,
        operation: "show_current_user",
        summary: "Displays the caller: the current user, what was signed in with, and the scopes that are held.",
        access: Access::SignedIn(users::me),
        query: &[],
        body: None,
        replies: &[(200, "The caller.", Some(of::<CurrentUserView<'static>>))],
    },
    Route {
        method: Method::GET,
        path: API_KEYS,
        operation: "index_api_keys",
        summary: "Lists the API keys of the current user.",
        access: Access::Scoped(scope::API_KEYS_INDEX, api_keys::index),
        query: &[&LIMIT, &OFFSET],
        body: None,
        replies: &[(200, "List of API keys.", Some(of::<ApiKeyListView<'static>>))],
    },
    Route {
        method: Method::POST,
        path: API_KEYS,
        operation: "create_api_key",
        summary: "Creates a new API key; it is shown whole this once.",
        access: Access::Scoped(scope::API_KEYS_CREATE, api_keys::create),
        query: &[],
        body: Some(of::<ApiKeyBody>),
        replies: &[(201, "The API key with its whole key.", Some(of::<ApiKeyView<'static>>))],
    },
    Route {
        method: Method::GET,
        path: API_KEY,
        operation: "show_api_key",
        summary: "Displays a specific API key.",
        access: Access::Scoped(scope::API_KEYS_SHOW, api_keys::show),
        query: &[],
        body: None,
        replies: &[(200, "A specific API key.", Some(of::<ApiKeyView<'static>>))],
    },
    Route {
        method: Method::PUT,
        path: API_KEY,
        operation: "update_api_key",
        summary: "Updates a specific API key.",
        access: Access::Scoped(scope::API_KEYS_UPDATE, api_keys::update),
        query: &[],
        body: Some(of::<ApiKeyBody>),
        replies: &[(200, "A specific API key.", Some(of::<ApiKeyView<'static>>))],
    },
    Route {
        method: Method::DELETE,
        path: API_KEY,
        operation: "destroy_api_key",
        summary: "Revokes a specific API key.",
        access: Access::Scoped(scope::API_KEYS_DESTROY, api_keys::destroy),
        query: &[],
        body: None,
        replies: &[(204, "API key revoked.", None)],
    },
    Route {
        method: Method::GET,
        path: "/api/v2/openapi.json",
        operation: "show_api_document",
        summary: "This document.",
        access: Access::Public(openapi::show),
        query: &[],
        body: None,
        replies: &[(200, "An OpenAPI 3.1 document.", None), NOT_MODIFIED],
    },
    Route {
        method: Method::GET,
        path: "/",
        operation: "show_console",
        summary: "The console, for people with a browser.",
        access: Access::Public(console::page),
        query: &[],
        body: None,
        replies: &[(200, "A page.", None), NOT_MODIFIED],
    },
    Route {
        method: Method::GET,
        path: "/console/{file}",
        operation: "show_console_file",
        summary: "What the console's page is made of.",
        access: Access::Public(console::file),
        query: &[],
        body: None,
        replies: &[(200, "A file of the page.", None), NOT_MODIFIED],
    },
    Route {
        method: Method::GET,
        path: "/healthz",
        operation: "show_health",
        summary: "Answers while the process serves.",
        access: Access::Public(health::show),
        query: &[],
        body: None,
        replies: &[(200, "The process serves.", Some(of::<HealthView>))],
    },
];

/// What became of matching a request.
pub enum Match<'path> {
    /// A route, and the variable segment of the path.
    Route(&'static Route, &'path str),
    /// The path exists, with these methods.
    OtherMethods(Vec<Method>),
    /// No such path.
    None,
}

/// Finds the route of a request. A trailing slash is not a different resource.
pub fn find<'path>(method: &Method, path: &'path str) -> Match<'path> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut allowed = Vec::new();
    for route in &ROUTES {
        let pattern = route.path.strip_suffix('/').unwrap_or(route.path);
        let Some(parameter) = match_path(pattern, path) else { continue };
        if route.method == method {
            return Match::Route(route, parameter);
        }
        allowed.push(route.method.clone());
        if route.method == Method::GET {
            allowed.push(Method::HEAD);
        }
    }
    if allowed.is_empty() { Match::None } else { Match::OtherMethods(allowed) }
}

/// The variable segment, or an empty text where the pattern has none.
fn match_path<'path>(pattern: &str, path: &'path str) -> Option<&'path str> {
    if let Some(folder) = pattern.strip_suffix(FILE) {
        return path.strip_prefix(folder).filter(|file| !file.is_empty());
    }
    let mut parameter = "";
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') && !segment.is_empty() {
            parameter = segment;
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: Method, path: &str, expected: &str) {
        let actual = match find(&method, path) {
            Match::Route(route, parameter) => format!("{} {parameter}", route.operation),
            Match::OtherMethods(methods) => format!("{methods:?}"),
            Match::None => "none".to_owned(),
        };
        assert_eq!(actual, expected, "{method} {path}");
    }

    #[test]
    fn paths() {
        check(Method::GET, "/api/v2/cloud_connectors", "index_cloud_connectors ");
        check(Method::HEAD, "/api/v2/cloud_connectors/", "index_cloud_connectors ");
        check(Method::GET, "/api/v2/cloud_connectors/a%2Fb/", "show_cloud_connector a%2Fb");
        check(Method::PUT, "/api/v2/cloud_connectors/-/test", "test_cloud_connector ");
        check(Method::PATCH, "/api/v2/cloud_connectors/7", "[GET, HEAD, PUT, DELETE]");
        check(Method::OPTIONS, "/healthz", "[GET, HEAD]");
        check(Method::GET, "/api/v2/cloud_connectors/a%2Fb/secret_readers", "index_secret_readers a%2Fb");
        check(Method::GET, "/", "show_console ");
        check(Method::POST, "/", "[GET, HEAD]");
        check(Method::GET, "/console/icon.svg", "show_console_file icon.svg");
        check(Method::GET, "/console/a/b.js", "show_console_file a/b.js");
        for path in [
            "//",
            "/console",
            "/console/",
            "/api/v2",
            "/api/v2/cloud_connectors//",
            "/api/v2/cloud_connectors/a/b",
            "*",
        ] {
            check(Method::GET, path, "none");
        }
    }

    /// A route that is added, removed or made public has to be written down here too.
    #[test]
    fn the_golden_list_of_routes() {
        let listed: Vec<String> = ROUTES
            .iter()
            .map(|route| {
                let access = match &route.access {
                    Access::Public(_) => "public".to_owned(),
                    Access::SignedIn(_) => "signed in".to_owned(),
                    Access::Scoped(right, _) => format!("{} / {}", right.controller, right.action),
                };
                format!("{} {}: {access}", route.method, route.path)
            })
            .collect();
        let golden = [
            "GET /api/v2/cloud_connectors: cloud_connectors / index",
            "POST /api/v2/cloud_connectors: cloud_connectors / create",
            "GET /api/v2/cloud_connectors/-/test: cloud_connectors / test",
            "PUT /api/v2/cloud_connectors/-/test: cloud_connectors / test",
            "GET /api/v2/cloud_connectors/{cloud_connector_id}: cloud_connectors / show",
            "PUT /api/v2/cloud_connectors/{cloud_connector_id}: cloud_connectors / update",
            "DELETE /api/v2/cloud_connectors/{cloud_connector_id}: cloud_connectors / destroy",
            "GET /api/v2/cloud_connectors/{cloud_connector_id}/secret_readers: audit_events / index",
            "GET /api/v2/audit_events: audit_events / index",
            "GET /api/v2/users/me: signed in",
            "GET /api/v2/users/me/api_keys: api_keys / index",
            "POST /api/v2/users/me/api_keys: api_keys / create",
            "GET /api/v2/users/me/api_keys/{api_key_id}: api_keys / show",
            "PUT /api/v2/users/me/api_keys/{api_key_id}: api_keys / update",
            "DELETE /api/v2/users/me/api_keys/{api_key_id}: api_keys / destroy",
            "GET /api/v2/openapi.json: public",
            "GET /: public",
            "GET /console/{file}: public",
            "GET /healthz: public",
        ];
        assert_eq!(listed, golden);
    }

    #[test]
    fn every_ordinary_right_opens_a_route() {
        for right in scope::ALL_RIGHTS {
            let opens =
                ROUTES.iter().any(|route| matches!(&route.access, Access::Scoped(own, _) if *own == right));
            assert_eq!(opens, !right.is_explicit, "{right:?}");
        }
    }
}
