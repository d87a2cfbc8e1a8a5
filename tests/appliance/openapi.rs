//! The API document: complete, consistent in itself, and in agreement with what is served.

use serde_json::{Value, json};

use crate::harness::service::{Service, TestDirectory};

#[test]
fn the_document_describes_what_is_served() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let response = service.anonymous().get("/api/v2/openapi.json").expect_status(200);
    let document = response.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let is_write = matches!(method.as_str(), "post" | "put");
            assert_eq!(operation["requestBody"].is_object(), is_write, "{method} {path}");
            assert!(
                operation["operationId"].is_string() && operation["summary"].is_string(),
                "{method} {path}"
            );
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
        }
    }

    // Rules that a client can check by itself.
    let schemas = &document["components"]["schemas"];
    let created = &schemas["CloudConnectorNew"];
    assert_eq!(created["required"], json!(["name"]));
    assert_eq!(created["properties"]["provider"]["enum"].as_array().map(Vec::len), Some(13));
    assert_eq!(created["properties"]["url"]["maxLength"], 1024);
    assert_eq!(schemas["CloudConnectorTest"]["properties"]["probe_buckets"]["maxItems"], 100);
    assert!(schemas["CloudConnectorBody"]["required"].is_null());
    let list = &document["paths"]["/api/v2/cloud_connectors"]["get"];
    assert_eq!(
        list["parameters"][0]["schema"],
        json!({ "type": "integer", "minimum": 0, "maximum": 10_000 })
    );
    for status in ["400", "401", "403", "408", "413", "414", "415", "421", "422", "429", "503"] {
        assert!(list["responses"][status]["headers"]["X-Request-Id"].is_object(), "{status}");
    }

    // What is served has exactly the attributes of its schema.
    let admin = service.admin();
    let created =
        admin.post("/api/v2/cloud_connectors", &json!({ "name": "a", "url": "h" })).expect_status(201).json();
    assert_same_attributes(&document, "CloudConnector", &created);
    assert_same_attributes(
        &document,
        "CloudConnectorCollection",
        &admin.get("/api/v2/cloud_connectors").json(),
    );
    let key = admin.post("/api/v2/users/me/api_keys", &json!({})).expect_status(201).json();
    assert_same_attributes(&document, "ApiKeyFull", &key);
    assert_same_attributes(&document, "ApiKeyCollection", &admin.get("/api/v2/users/me/api_keys").json());
    admin.post("/api/v2/cloud_connectors", &json!({ "name": "b", "url": "h", "secret_key": "s" }));
    let events = admin.get("/api/v2/audit_events").json();
    assert_same_attributes(&document, "AuditEventCollection", &events);
    assert_same_attributes(&document, "AuditEvent", &events["audit_events"][0]);
    let readers = admin.get("/api/v2/cloud_connectors/b/secret_readers").json();
    assert_same_attributes(&document, "SecretReaderCollection", &readers);
    assert_same_attributes(&document, "SecretReader", &readers["secret_readers"][0]);
    let key = service.with_key(key["key"].as_str().expect("a key"));
    let caller = key.get("/api/v2/users/me").json();
    assert_same_attributes(&document, "CurrentUser", &caller);
    assert_same_attributes(&document, "CurrentApiKey", &caller["api_key"]);
    assert_same_attributes(&document, "KnownScope", &caller["all_scopes"][0]);
    let caller = admin.get("/api/v2/users/me").json();
    assert_same_attributes(&document, "GrantedScope", &caller["scopes"][0]);
    assert_same_attributes(&document, "Error", &admin.get("/api/v2/cloud_connectors/77").json());
    assert_same_attributes(&document, "Health", &service.anonymous().get("/healthz").json());
    let sent =
        document["components"]["schemas"]["CloudConnectorBody"]["properties"].as_object().expect("a schema");
    let shown = created.as_object().expect("an object");
    // What is for a test alone is never shown.
    let sent = sent.keys().filter(|attribute| *attribute != "probe_buckets");
    assert_eq!(sent.collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
    service.stop();
}

#[track_caller]
fn assert_same_attributes(document: &Value, schema: &str, served: &Value) {
    let described = document["components"]["schemas"][schema]["properties"].as_object().expect("a schema");
    let served = served.as_object().expect("an object");
    assert_eq!(described.keys().collect::<Vec<_>>(), served.keys().collect::<Vec<_>>(), "{schema}");
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
