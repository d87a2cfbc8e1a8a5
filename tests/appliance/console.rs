//! The console's files: types, codings, what a browser that has them already gets, and the policy of the page.

use std::io::{Read as _, Write as _};

use flate2::read::GzDecoder;

use crate::harness::http::{Client, Response};
use crate::harness::service::{Service, TestDirectory};

const DOCUMENT: &str = "/api/v2/openapi.json";
/// All files of the page, compressed.
const WEIGHT_MAX_BYTES: usize = 150_000;

/// The page and every file of it, as the API document names them.
fn targets(client: &Client) -> Vec<String> {
    let document = client.get(DOCUMENT).expect_status(200).json();
    let names = &document["paths"]["/console/{file}"]["get"]["parameters"][0]["schema"]["enum"];
    let names = names.as_array().expect("names").iter();
    let files = names.map(|name| format!("/console/{}", name.as_str().expect("a name")));
    let targets: Vec<String> = ["/".to_owned()].into_iter().chain(files).collect();
    assert!(targets.len() > 1, "the page has files");
    targets
}

fn get(client: &Client, target: &str, headers: &[(&str, &str)]) -> Response {
    client.send("GET", target, headers, b"")
}

fn decompressed(response: &Response) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(response.body.as_slice()).read_to_end(&mut content).expect("gzip");
    content
}

fn entity_tag(response: &Response) -> String {
    let tag = response.header("etag").expect("an entity tag");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 16, "{tag} is no strong tag");
    tag.to_owned()
}

#[test]
fn every_file_is_served_plain_and_compressed_and_only_once() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let client = service.anonymous();
    let files = targets(&client);
    let mut weight_bytes = 0;
    for target in files.iter().map(String::as_str).chain([DOCUMENT]) {
        let plain = get(&client, target, &[]).expect_status(200);
        let gzip = get(&client, target, &[("Accept-Encoding", "gzip, deflate, br")]).expect_status(200);
        assert_eq!((plain.header("content-encoding"), gzip.header("content-encoding")), (None, Some("gzip")));
        assert!(!plain.body.is_empty() && decompressed(&gzip) == plain.body, "{target}");
        assert_ne!(entity_tag(&plain), entity_tag(&gzip), "{target}");
        let expected = match target.rsplit('.').next() {
            Some("json") => "application/json",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        for (accepted, full) in [("gzip;q=0, *", &plain), ("identity", &plain), ("*", &gzip)] {
            let again = get(&client, target, &[("Accept-Encoding", accepted)]).expect_status(200);
            assert_eq!(again.body, full.body, "{target} {accepted}");
            let tag = entity_tag(full);
            let length = full.body.len().to_string();
            let head = client.send("HEAD", target, &[("Accept-Encoding", accepted)], b"").expect_status(200);
            for (name, value) in [
                ("content-type", expected),
                ("content-length", &length),
                ("etag", &tag),
                ("vary", "Accept-Encoding"),
                ("cache-control", "no-cache"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(again.header(name), Some(value), "{target} {name}");
                assert_eq!(head.header(name), Some(value), "HEAD {target} {name}");
            }
            assert!(head.body.is_empty());
            check_conditions(&client, target, accepted, &tag);
        }
        if target != DOCUMENT {
            weight_bytes += gzip.body.len();
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "\nfigure: the console weighs {weight_bytes} bytes compressed, in {} files",
        files.len()
    );
    assert!(weight_bytes < WEIGHT_MAX_BYTES, "the console weighs {weight_bytes} bytes compressed");
    service.stop();
}

/// Asks with `If-None-Match`: 304 with the headers of the 200 and no body, or the whole file.
fn check_conditions(client: &Client, target: &str, accepted: &str, tag: &str) {
    let policy = get(client, target, &[]).header("content-security-policy").map(str::to_owned);
    for (condition, is_had) in [
        (tag.to_owned(), true),
        (format!("W/{tag}"), true),
        (format!("\"other\", {tag}"), true),
        ("*".to_owned(), true),
        ("\"other\"".to_owned(), false),
        (tag.trim_matches('"').to_owned(), false),
        (String::new(), false),
    ] {
        let headers = [("Accept-Encoding", accepted), ("If-None-Match", condition.as_str())];
        for method in ["GET", "HEAD"] {
            let answer = client.send(method, target, &headers, b"");
            assert_eq!(answer.status, if is_had { 304 } else { 200 }, "{method} {target} {condition}");
            assert_eq!(answer.header("etag"), Some(tag), "{target} {condition}");
            if is_had {
                assert!(answer.body.is_empty(), "{target} {condition}");
                assert_eq!(answer.header("content-length").unwrap_or("not sent"), "not sent", "{target}");
                assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
                assert_eq!(answer.header("content-security-policy"), policy.as_deref(), "{target}");
            }
        }
    }
}

#[test]
fn the_page_runs_its_own_files_alone() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let client = service.anonymous();
    let page = client.get("/").expect_status(200);
    let policies = page.headers.iter().filter(|(name, _)| name == "content-security-policy");
    assert_eq!(policies.count(), 1, "two policies would both hold");
    let policy = page.header("content-security-policy").unwrap_or_default();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split("; ").any(|other| other == directive), "{directive} in {policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    for target in targets(&client).iter().skip(1) {
        let policy = client.get(target).header("content-security-policy").map(str::to_owned);
        assert_eq!(policy.as_deref(), Some("default-src 'none'; frame-ancestors 'none'"), "{target}");
    }
    for target in targets(&client).iter().map(String::as_str).chain(["/console/none", DOCUMENT]) {
        let answer = client.get(target);
        assert!(!answer.header("content-security-policy").unwrap_or("unsafe").contains("unsafe"), "{target}");
    }

    // What the page names is there, and it names nothing elsewhere.
    let text = page.text();
    let named: Vec<&str> = text.split(['"', '\'']).filter(|part| part.starts_with("console/")).collect();
    assert!(named.contains(&"console/icon.svg"), "without an icon browsers ask for /favicon.ico");
    for target in named {
        client.get(&format!("/{target}")).expect_status(200);
    }
    for elsewhere in
        ["src=\"http", "src=\"//", "rel=\"stylesheet\" href=\"http", "<style", "style=\"", "<script>"]
    {
        assert!(!text.contains(elsewhere), "the page has {elsewhere}");
    }
    service.stop();
}

#[test]
fn the_console_is_a_route_like_any_other() {
    let directory = TestDirectory::new();
    let service = Service::start(directory.path());
    let client = service.anonymous();
    for target in ["/", "/console/icon.svg"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        client.send_raw(request.as_bytes()).expect("an answer").expect_status(421).errors("base");
        let refused = client.send("POST", target, &[], b"").expect_status(405);
        assert_eq!(refused.header("allow"), Some("GET, HEAD"), "{target}");
    }
    for target in
        ["/console", "/console/", "/console/index.html", "/console/..%2Fapi.rs", "//", "/index.html"]
    {
        client.get(target).expect_status(404).errors("base");
    }
    client.get("/console/icon.svg").expect_status(200);
    let log = service.log();
    assert!(log.contains("route=\"/console/{file}\" status=200"), "{log}");
    assert!(log.contains("route=\"/\" status=421") || log.contains("route=\"\" status=421"), "{log}");
    service.stop();
}
