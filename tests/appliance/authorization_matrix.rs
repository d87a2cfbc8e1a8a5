//! Every route with nothing, wrong credentials, a key without the scope, a key with it, and a password.
//!
//! The routes come from the API document, which the program makes from its table of routes, and are compared with a
//! golden list here: a route that is new, gone, or public by mistake is seen.

use serde_json::json;

use crate::harness::http::{Client, Response, basic};
use crate::harness::service::{Service, TestDirectory};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Public,
    /// Any valid credentials will do.
    SignedIn,
    Scope(&'static str),
}

use Access::{Public, Scope, SignedIn};

/// Method, path, who may call.
const GOLDEN: &[(&str, &str, Access)] = &[
    ("get", "/api/v2/cloud_connectors", Scope("cloud_connectors/index")),
    ("post", "/api/v2/cloud_connectors", Scope("cloud_connectors/create")),
    ("get", "/api/v2/cloud_connectors/-/test", Scope("cloud_connectors/test")),
    ("put", "/api/v2/cloud_connectors/-/test", Scope("cloud_connectors/test")),
    ("get", "/api/v2/cloud_connectors/{cloud_connector_id}", Scope("cloud_connectors/show")),
    ("put", "/api/v2/cloud_connectors/{cloud_connector_id}", Scope("cloud_connectors/update")),
    ("delete", "/api/v2/cloud_connectors/{cloud_connector_id}", Scope("cloud_connectors/destroy")),
    ("get", "/api/v2/cloud_connectors/{cloud_connector_id}/secret_readers", Scope("audit_events/index")),
    ("get", "/api/v2/audit_events", Scope("audit_events/index")),
    ("get", "/api/v2/users/me", SignedIn),
    ("get", "/api/v2/users/me/api_keys", Scope("api_keys/index")),
    ("post", "/api/v2/users/me/api_keys", Scope("api_keys/create")),
    ("get", "/api/v2/users/me/api_keys/{api_key_id}", Scope("api_keys/show")),
    ("put", "/api/v2/users/me/api_keys/{api_key_id}", Scope("api_keys/update")),
    ("delete", "/api/v2/users/me/api_keys/{api_key_id}", Scope("api_keys/destroy")),
    ("get", "/api/v2/openapi.json", Public),
    ("get", "/", Public),
    ("get", "/console/{file}", Public),
    ("get", "/healthz", Public),
];

/// Routes that need a second scope, which the summary in the API document says.
const SECOND_SCOPE: &[(&str, &str)] =
    &[("/api/v2/cloud_connectors/{cloud_connector_id}/secret_readers", "cloud_connectors/show")];

#[test]
fn every_route_lets_in_whom_it_should() {
    let directory = TestDirectory::new();
    // Two wrong passwords and a wrong key for every route, all from one address.
    let settings =
        [("limits.failures_per_address", "100000"), ("limits.failures_per_user_and_address", "100000")];
    let service = Service::start_with_settings(directory.path(), &settings);
    assert_eq!(served_routes(&service), golden_routes());

    let scopes: Vec<&str> = GOLDEN
        .iter()
        .filter_map(|(_, _, access)| match access {
            Scope(scope) => Some(*scope),
            Public | SignedIn => None,
        })
        .collect();
    let well_formed_unknown = {
        let key = service.make_key(&["*/*"]);
        service.admin().delete("/api/v2/users/me/api_keys/1").expect_status(204);
        key
    };
    for (method, path, access) in GOLDEN {
        let call = |client: &Client| call(client, method, path);
        let anonymous = service.anonymous();
        if *access == Public {
            call(&anonymous).expect_status(200);
            continue;
        }
        let refused = call(&anonymous).expect_status(401);
        assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
        refused.errors("base");
        for wrong in
            [basic("admin", "wrong password"), basic("nobody", "wrong password"), well_formed_unknown.clone()]
        {
            call(&anonymous.sending(&wrong)).expect_status(401);
        }
        let_in(&call(&service.admin()), method, path);
        let Scope(scope) = access else {
            call(&service.with_key(&service.make_key(&[]))).expect_status(200);
            continue;
        };
        let others: Vec<&str> = scopes.iter().copied().filter(|other| other != scope).collect();
        let refused = call(&service.with_key(&service.make_key(&others))).expect_status(403);
        assert!(refused.text().contains(&scope.replace('/', " / ")), "{}", refused.text());
        call(&service.with_key(&service.make_key(&[]))).expect_status(403);
        let (controller, action) = scope.split_once('/').expect("controller/action");
        let second = SECOND_SCOPE.iter().find(|(second, _)| second == path).map(|(_, scope)| *scope);
        if let Some(second) = second {
            let refused = call(&service.with_key(&service.make_key(&[scope]))).expect_status(403);
            assert!(refused.text().contains(&second.replace('/', " / ")), "{}", refused.text());
        }
        for granting in
            [(*scope).to_owned(), format!("*/{action}"), format!("{controller}/*"), "*/*".to_owned()]
        {
            let scopes: Vec<&str> = [granting.as_str()].into_iter().chain(second).collect();
            let_in(&call(&service.with_key(&service.make_key(&scopes))), method, path);
        }
    }
    assert!(!service.log().contains("panic"));
    service.stop();
}

/// Past the authorization: the ids and bodies of these calls are such that nothing is found or valid.
#[track_caller]
fn let_in(response: &Response, method: &str, path: &str) {
    assert!(
        matches!(response.status, 200 | 201 | 404 | 422),
        "{method} {path}: {} {}",
        response.status,
        response.text()
    );
}

fn call(client: &Client, method: &str, path: &str) -> Response {
    let target = path
        .replace("{cloud_connector_id}", "999999")
        .replace("{api_key_id}", "999999")
        .replace("{file}", "icon.svg");
    match method {
        "post" | "put" => {
            client.send_json(&method.to_uppercase(), &target, json!({ "url": 5 }).to_string().as_bytes())
        }
        _ => client.send(&method.to_uppercase(), &target, &[], b""),
    }
}

fn served_routes(service: &Service) -> Vec<(String, String, String)> {
    let document = service.anonymous().get("/api/v2/openapi.json").expect_status(200).json();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            let scope =
                operation["description"].as_str().and_then(|text| text.strip_prefix("API key scope: "));
            assert_eq!(is_public, scope.is_none(), "{method} {path}");
            routes.push((method.clone(), path.clone(), scope.unwrap_or("public").replace(" / ", "/")));
        }
    }
    routes.sort();
    routes
}

fn golden_routes() -> Vec<(String, String, String)> {
    let own = |(method, path, access): &(&str, &str, Access)| {
        let access = match access {
            Public => "public",
            SignedIn => "none, any API key will do",
            Scope(scope) => scope,
        };
        ((*method).to_owned(), (*path).to_owned(), access.to_owned())
    };
    let mut routes: Vec<_> = GOLDEN.iter().map(own).collect();
    routes.sort();
    routes
}
