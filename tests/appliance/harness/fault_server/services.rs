//! Answers of cloud services for which no real server can be installed, and of hostile ones that repeat to the client
//! whatever it sent, wherever an answer can hold a text.

use serde_json::{Value, json};

use super::http::{Answer, Request};

/// Stands for the raw body of an answer, which nobody is shown. No code, region or host has a tilde.
pub const MARKER: &str = "marker~7f3a9c~of~a~raw~body";
/// The token that the fake services hand out.
pub const TOKEN: &str = "token-of-a-session-4242424242";

/// A list of S3 buckets; `more` are further elements.
pub fn s3_list(names: &[&str], more: &str) -> Answer {
    let buckets: String = names.iter().map(|name| format!("<Bucket><Name>{name}</Name></Bucket>")).collect();
    let xmlns = "http://s3.amazonaws.com/doc/2006-03-01/";
    Answer::new(
        200,
        format!(
            "<?xml version=\"1.0\"?><ListAllMyBucketsResult xmlns=\"{xmlns}\"><Buckets>{buckets}</Buckets>{more}\
             </ListAllMyBucketsResult>"
        ),
    )
    .header("Content-Type", "application/xml")
}

/// An S3 error; `more` are further elements.
pub fn s3_error(status: u16, code: &str, message: &str, more: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>{more}\
         <RequestId>{MARKER}</RequestId></Error>"
    );
    Answer::new(status, body).header("Content-Type", "application/xml")
}

/// An S3 error of a hostile server: what it was sent is in every place that a verdict may be made of.
pub fn hostile_s3_error(request: &Request, status: u16, code: &str, more: &str) -> Answer {
    let sent = sent(request);
    let canonical = format!("<StringToSign>{sent}</StringToSign><HostId>{MARKER}</HostId>{more}");
    hostile(s3_error(status, code, &format!("{MARKER} {sent}"), &canonical), request)
}

/// An Azure error, with the code in the header too, as Azure sends it.
pub fn hostile_azure_error(request: &Request, status: u16, code: &str) -> Answer {
    let answer = hostile_s3_error(request, status, code, "").header("x-ms-error-code", code);
    answer.header("x-ms-request-id", MARKER)
}

/// Puts what was sent into headers and the reason phrase.
pub fn hostile(answer: Answer, request: &Request) -> Answer {
    let sent = sent(request);
    let answer = answer.header("Server", MARKER).header("X-Echo", &sent).header("WWW-Authenticate", &sent);
    answer.reason(&format!("{MARKER} {sent}"))
}

/// The credentials in a request, with no character that ends an element or a line.
pub fn sent(request: &Request) -> String {
    let credentials = request.credentials().join(" ");
    let body = String::from_utf8_lossy(&request.body).into_owned();
    format!("{credentials} {body}").replace(['<', '>', '&', '\r', '\n'], " ").trim().to_owned()
}

/// The signature, key or token alone: it may look like a code or a name.
pub fn bare_credential(request: &Request) -> String {
    let names = ["authorization", "x-auth-token", "x-auth-key"];
    let value = names.map(|name| request.header(name)).into_iter().find(|value| !value.is_empty());
    let value = value.unwrap_or_default();
    match value.split_once("Signature=") {
        Some((_, signature)) => signature.to_owned(),
        None => value.rsplit([' ', ':']).next().unwrap_or_default().to_owned(),
    }
}

/// Swift's own authentication (v1): the storage URL where user and key are right, else 401.
pub fn swift_v1(request: &Request, user: &str, key: &str, storage_url: &str) -> Answer {
    let is_right = request.header("x-auth-user") == user && request.header("x-auth-key") == key;
    if !is_right {
        return hostile(Answer::new(401, format!("<html>{MARKER} {}</html>", sent(request))), request);
    }
    Answer::new(200, "").header("X-Storage-Url", storage_url).header("X-Auth-Token", TOKEN)
}

/// A page of an account's containers: those after the marker.
pub fn swift_listing(request: &Request, names: &[String], page: usize) -> Answer {
    if request.header("x-auth-token") != TOKEN {
        return hostile(Answer::new(401, MARKER), request);
    }
    let marker = request.parameter("marker").unwrap_or_default();
    let after = names.iter().filter(|name| **name > marker).take(page);
    let containers: Vec<Value> =
        after.map(|name| json!({ "name": name, "count": 3, "bytes": 5_000_000_000_u64 })).collect();
    Answer::new(200, Value::from(containers).to_string()).header("Content-Type", "application/json")
}

/// A token of Keystone, with a catalogue of these services: type, region, URL.
pub fn keystone_token(catalogue: &[(&str, &str, &str)]) -> Answer {
    let services: Vec<Value> = catalogue
        .iter()
        .map(|(kind, region, url)| {
            let endpoint = |interface: &str, url: &str| {
                json!({ "interface": interface, "region": region, "region_id": region, "url": url, "id": "e" })
            };
            let endpoints = [endpoint("admin", "http://127.0.0.1:9/admin"), endpoint("public", url)];
            json!({ "type": kind, "name": kind, "id": "s", "endpoints": endpoints })
        })
        .collect();
    let body = json!({ "token": { "methods": ["password"], "catalog": services, "expires_at": "2190-01-01T00:00:00Z",
        "project": { "id": "p", "name": "project", "domain": { "id": "default", "name": "Default" } } } });
    Answer::new(201, body.to_string())
        .header("X-Subject-Token", TOKEN)
        .header("Content-Type", "application/json")
}

/// Keystone's 401, by a hostile server.
pub fn keystone_refusal(request: &Request) -> Answer {
    let message = format!("{MARKER} {}", sent(request));
    let body = json!({ "error": { "code": 401, "message": message, "title": "Unauthorized" } });
    hostile(Answer::new(401, body.to_string()), request)
}

/// A page of Azure's containers.
pub fn azure_list(names: &[&str], next: &str) -> Answer {
    let containers: String =
        names.iter().map(|name| format!("<Container><Name>{name}</Name></Container>")).collect();
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"http://h/\">\
         <Containers>{containers}</Containers><NextMarker>{next}</NextMarker></EnumerationResults>"
    );
    Answer::new(200, body).header("Content-Type", "application/xml").header("x-ms-version", "2021-08-06")
}
