//! OpenStack Swift by its own protocol, with the tokens of Swift itself (v1) and of Keystone (v3).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Bench, MARKER, SECRET_KEY, TOKEN, case, with};
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::services::{
    hostile, hostile_s3_error, keystone_refusal, keystone_token, sent, swift_listing, swift_v1,
};
use crate::harness::fault_server::tls::{Authority, Flaw};
use crate::harness::fault_server::{FaultServer, Play};

const USER: &str = "project:ann";

fn swift(url: &str) -> Value {
    json!({ "provider": "openstack_swift", "url": url, "access_key": USER, "secret_key": SECRET_KEY })
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("c{number:04}")).collect()
}

/// An account with so many containers, ten on each page.
fn storage(bench: &Bench, count: usize) -> FaultServer {
    bench.http(move |request| swift_listing(request, &names(count), 10))
}

/// A Swift whose own authentication names this storage URL.
fn v1(bench: &Bench, storage_url: &str) -> FaultServer {
    let storage_url = storage_url.to_owned();
    bench.http(move |request| swift_v1(request, USER, SECRET_KEY, &storage_url))
}

#[test]
fn own_authentication() {
    let bench = Bench::new();
    let storage = storage(&bench, 25);
    let server = v1(&bench, &format!("{}/v1/AUTH_project", storage.url()));
    for path in ["/auth/v1.0", "/auth/v1", "/v1.0"] {
        let (found, notes) = bench.completes(path, swift(&format!("{}{path}", server.url())));
        assert_eq!((found, notes), (names(25), vec![]), "{path}");
    }
    assert!(storage.requests().iter().all(|request| request.path() == "/v1/AUTH_project"));
    assert!(!storage.saw(SECRET_KEY), "the storage gets the token alone");
    let at = |server: &FaultServer| swift(&format!("{}/auth/v1.0", server.url()));
    let answers = |answer: fn(&Request) -> Answer| at(&bench.http(answer));
    let no_url = bench.http(|_| Answer::new(200, "").header("X-Auth-Token", TOKEN));
    let rejecting = bench.http(|request| hostile(Answer::new(401, MARKER), request));
    let elsewhere = bench.http(|_| Answer::new(200, "<html/>"));
    bench.run(vec![
        case(
            "another key",
            with(at(&server), json!({ "secret_key": "wrong-f00d-f00d-f00d" })),
            "credentials_wrong",
        ),
        case("another user", with(at(&server), json!({ "access_key": "nobody" })), "credentials_wrong"),
        case("a web page", answers(|request| hostile(Answer::new(200, sent(request)), request)), "not_swift"),
        case("not found", answers(|request| hostile(Answer::new(404, sent(request)), request)), "not_swift"),
        case("no storage URL", at(&no_url), "not_swift").or("answer_malformed").about_any(),
        case("failing", answers(|request| hostile(Answer::new(500, sent(request)), request)), "server_error"),
        case(
            "busy",
            answers(|request| hostile(Answer::new(429, sent(request)), request)),
            "too_many_requests",
        ),
        case("denied", answers(|request| hostile(Answer::new(403, sent(request)), request)), "access_denied")
            .or("credentials_wrong")
            .about_any(),
        case("the token is refused", at(&v1(&bench, &format!("{}/v1/A", rejecting.url()))), "token_refused"),
        case("storage that is a web page", at(&v1(&bench, &elsewhere.url())), "not_swift"),
        case("a redirect", answers(redirect_with_key), "redirected").says("http://127.0.0.1:9"),
        case("version 2", swift("http://127.0.0.1:9/v2.0"), "auth_version_not_supported").says("v3"),
        case("version 2 with a slash", swift("http://127.0.0.1:9/v2.0/"), "auth_version_not_supported"),
    ]);
    // The answer to an encrypted sign-in must not have the token sent in clear.
    let authority = Authority::new("an authority of the test");
    let url = storage.url();
    let play = Play::Http(Arc::new(move |request| swift_v1(request, USER, SECRET_KEY, &url)));
    let encrypted = bench.watch(FaultServer::start_tls(play, authority.server(Flaw::None)));
    let before = storage.requests().len();
    let unchecked = with(at(&encrypted), json!({ "options": "no_check_certificate" }));
    bench.run(vec![case("storage in clear", unchecked, "storage_url_in_clear")]);
    assert_eq!(storage.requests().len(), before);
    bench.finish();
}

/// Where the key stands in the place of a host.
fn redirect_with_key(request: &Request) -> Answer {
    let location = format!("http://127.0.0.1:9/{}", request.header("x-auth-key"));
    hostile(Answer::new(302, sent(request)), request).header("Location", &location)
}

#[test]
fn keystone() {
    let bench = Bench::new();
    let storage = storage(&bench, 12);
    let url = format!("{}/v1/AUTH_p", storage.url());
    let catalogue = move |request: &Request| {
        if !String::from_utf8_lossy(&request.body).contains(SECRET_KEY) {
            return keystone_refusal(request);
        }
        let wrong_region = "http://127.0.0.1:9/v1/other";
        keystone_token(&[
            ("compute", "east", "http://127.0.0.1:9/compute"),
            ("object-store", "west", wrong_region),
            ("object-store", "east", &url),
        ])
    };
    let server = bench.http(catalogue);
    let at = |access_key: &str, region: &str| {
        let body = swift(&format!("{}/v3", server.url()));
        with(body, json!({ "access_key": access_key, "region": region }))
    };
    for access_key in ["project:ann", "domain/project:ann", "0123456789abcdef"] {
        let (found, notes) = bench.completes(access_key, at(access_key, "east"));
        assert_eq!((found, notes), (names(12), vec![]), "{access_key}");
    }
    let bodies: Vec<Value> = server
        .requests()
        .iter()
        .map(|request| {
            assert_eq!((request.method.as_str(), request.path()), ("POST", "/v3/auth/tokens"));
            serde_json::from_slice(&request.body).expect("JSON")
        })
        .collect();
    let user = |body: &Value| body["auth"]["identity"]["password"]["user"].clone();
    assert_eq!(user(&bodies[0])["name"], "ann");
    assert_eq!(bodies[0]["auth"]["scope"]["project"]["name"], "project");
    assert_eq!(bodies[0]["auth"]["scope"]["project"]["domain"]["name"], "Default");
    assert_eq!(bodies[1]["auth"]["scope"]["project"]["domain"]["name"], "domain");
    assert_eq!(bodies[2]["auth"]["identity"]["application_credential"]["id"], "0123456789abcdef");
    assert!(!storage.saw(SECRET_KEY), "the storage gets the token alone");
    bench.run(vec![
        case("another region", at(USER, "north"), "region_wrong"),
        case(
            "wrong password",
            with(at(USER, "east"), json!({ "secret_key": "wrong-f00d-f00d" })),
            "credentials_wrong",
        ),
        case("no user", at("project:", "east"), "attribute_unusable"),
        case("no project", at(":ann", "east"), "attribute_unusable"),
        case("no domain", at("/project:ann", "east"), "attribute_unusable"),
    ]);
    bench.finish();
}

#[test]
fn answers_of_keystone_that_do_not_help() {
    let bench = Bench::new();
    let at = |answer: fn(&Request) -> Answer| swift(&format!("{}/v3", bench.http(answer).url()));
    bench.run(vec![
        case("401", at(keystone_refusal), "credentials_wrong"),
        case("300", at(|request| hostile(Answer::new(300, "{\"versions\": {}}"), request)), "redirected"),
        case("no object store", at(|_| keystone_token(&[("compute", "r", "http://h/")])), "no_object_store"),
        case("no catalogue", at(|_| keystone_token(&[])), "no_object_store"),
        case("no token", at(|request| hostile(Answer::new(201, "{\"token\": {}}"), request)), "not_swift")
            .or("answer_malformed")
            .about_any(),
        case("a web page", at(|request| hostile(Answer::new(200, sent(request)), request)), "not_swift"),
        case("an S3 server", at(|request| hostile_s3_error(request, 403, "AccessDenied", "")), "not_swift")
            .or("access_denied")
            .about_any(),
        case("not found", at(|request| hostile(Answer::new(404, sent(request)), request)), "not_swift"),
        case("failing", at(|request| hostile(Answer::new(503, sent(request)), request)), "server_error"),
    ]);
    bench.finish();
}

#[test]
fn lists_that_do_not_end() {
    let bench = Bench::new();
    let same = bench.http(|request| {
        let names: Vec<String> = names(10);
        swift_listing(&Request { target: "/".to_owned(), ..request.clone() }, &names, 10)
    });
    let server = v1(&bench, &format!("{}/v1/A", same.url()));
    let first: Vec<String> = names(10);
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let at = |server: &FaultServer| swift(&format!("{}/auth/v1.0", server.url()));
    bench.lists("the marker is ignored", at(&server), &first, &["list_cut_short"]);
    let failing = bench.http(|request| match request.parameter("marker") {
        None => swift_listing(request, &names(30), 10),
        Some(_) => hostile(Answer::new(500, sent(request)), request),
    });
    let server = v1(&bench, &format!("{}/v1/A", failing.url()));
    bench.lists("the second page fails", at(&server), &first, &["list_cut_short"]);
    bench.finish();
}
