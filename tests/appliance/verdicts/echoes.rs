//! Servers and proxies that send back what they were sent, as if it were a code, a region, a host or a place: whatever
//! the verdict is, none of it is shown.

use std::sync::Mutex;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Bench, PROXY_PASSWORD, SECRET_KEY, TOKEN, s3, with};
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::proxy::proxy;
use crate::harness::fault_server::services::{
    bare_credential, hostile_s3_error, keystone_token, s3_error, s3_list,
};

/// An answer that holds a word somewhere.
type Echo = fn(&str) -> Answer;
/// The same, of a server that lists one bucket.
type ListEcho = fn(&Request, &str) -> Answer;

/// Answers that hold a word in one of the places that a verdict may be made of.
const PLACES: &[(&str, Echo)] = &[
    ("the code", |word| s3_error(400, word, "m", "")),
    ("the code of a failing server", |word| s3_error(500, word, "m", "")),
    ("a part of the code", |word| s3_error(400, &word[..word.len() / 2], "m", "")),
    ("the region", |word| {
        s3_error(400, "AuthorizationHeaderMalformed", "m", &format!("<Region>{word}</Region>"))
    }),
    ("the region in a header", |word| {
        s3_error(400, "AuthorizationHeaderMalformed", "m", "").header("x-amz-bucket-region", word)
    }),
    ("the endpoint", |word| {
        s3_error(301, "PermanentRedirect", "m", &format!("<Endpoint>{word}.example</Endpoint>"))
    }),
    ("the host of a redirect", |word| Answer::new(307, "").header("Location", &format!("http://{word}/"))),
    ("a label of a redirect", |word| {
        Answer::new(302, "").header("Location", &format!("https://s3.{word}.example"))
    }),
    ("capitals", |word| {
        Answer::new(302, "").header("Location", &format!("https://{}.example", word.to_uppercase()))
    }),
    ("with hyphens", |word| Answer::new(302, "").header("Location", &format!("https://x-{word}-y.example"))),
    ("the user of a redirect", |word| {
        Answer::new(302, "").header("Location", &format!("https://{word}:{word}@s3.example"))
    }),
    ("the scheme of a redirect", |word| {
        Answer::new(302, "").header("Location", &format!("x{word}://s3.example"))
    }),
    ("the root", |word| Answer::new(200, format!("<x{word}/>"))),
    ("the time", |word| {
        s3_error(403, "RequestTimeTooSkewed", "m", &format!("<ServerTime>{word}</ServerTime>"))
            .header("Date", word)
    }),
    ("Azure's code", |word| Answer::new(400, "").header("x-ms-error-code", word)),
    ("the server's name", |word| Answer::new(404, "").header("Server", word).header("Content-Type", word)),
];

/// Of a list that is there, the places of each bucket's region.
const REGIONS: &[(&str, ListEcho)] = &[
    ("the list", |request, word| match request.path() {
        "/" => Answer::new(
            200,
            format!(
                "<ListAllMyBucketsResult><Buckets><Bucket><Name>a</Name><BucketRegion>{word}</BucketRegion></Bucket>\
                 </Buckets></ListAllMyBucketsResult>"
            ),
        ),
        _ => Answer::new(404, ""),
    }),
    ("the head", |request, word| match request.path() {
        "/" => s3_list(&["a"], ""),
        _ => Answer::new(200, "").header("x-amz-bucket-region", word),
    }),
    ("the location", |request, word| match (request.method.as_str(), request.path()) {
        ("GET", "/") => s3_list(&["a"], ""),
        ("GET", _) => Answer::new(200, format!("<LocationConstraint>{word}</LocationConstraint>")),
        _ => Answer::new(404, ""),
    }),
];

#[test]
fn signatures() {
    let bench = Bench::new();
    for (what, answer) in PLACES {
        let server = bench.http(|request| answer(&bare_credential(request)));
        bench.ends(what, s3(&server.url()));
    }
    for (what, answer) in REGIONS {
        let server = bench.http(|request| answer(request, &bare_credential(request)));
        bench.ends(&format!("a bucket's region in {what}"), s3(&server.url()));
    }
    for (what, answer) in PLACES {
        let azure = bench.http(|request| answer(&bare_credential(request).replace(['+', '/', '='], "x")));
        bench.ends(
            what,
            json!({ "provider": "azure", "url": azure.url(), "access_key": "account7",
            "secret_key": base64::engine::general_purpose::STANDARD.encode(SECRET_KEY) }),
        );
    }
    bench.finish();
}

#[test]
fn signatures_of_an_earlier_page() {
    let bench = Bench::new();
    let first = Mutex::new(String::new());
    let server = bench.http(move |request| {
        let mut first = first.lock().expect("no panic");
        if request.parameter("continuation-token").is_none() && request.path() == "/" {
            *first = bare_credential(request);
            return s3_list(&["a"], "<ContinuationToken>next</ContinuationToken>");
        }
        hostile_s3_error(request, 400, &first, "")
    });
    bench.lists("the first signature as the second code", s3(&server.url()), &["a"], &["list_cut_short"]);
    bench.finish();
}

#[test]
fn passwords_of_proxies() {
    let bench = Bench::new();
    // Plain requests: the proxy itself could have made the server's answer.
    for (what, answer) in PLACES {
        for word in [PROXY_PASSWORD, "YW5uOnByb3h5LXBhc3MtNzdhYTU1"] {
            let forward = bench.play(proxy(move |_| Some(answer(word))));
            let proxy = forward.url().replace("://", &format!("://ann:{PROXY_PASSWORD}@"));
            bench.ends(
                &format!("{what}: {word}"),
                with(s3("http://h.example"), json!({ "url_proxy": proxy })),
            );
            let option = json!({ "options": format!("proxy={proxy}") });
            bench.ends(&format!("{what}: {word}"), with(s3("http://h.example"), option));
        }
    }
    bench.finish();
}

/// A connector whose key, password or token goes over the wire as it is.
fn swift(url: &str, path: &str) -> Value {
    json!({ "provider": "openstack_swift", "url": format!("{url}{path}"), "access_key": "p:u", "secret_key": SECRET_KEY,
        "region": "east" })
}

#[test]
fn keys_and_tokens_of_swift() {
    let bench = Bench::new();
    for (what, answer) in PLACES {
        let server = bench.http(|_| answer(SECRET_KEY));
        bench.ends(&format!("v1, {what}"), swift(&server.url(), "/auth/v1.0"));
        bench.ends(&format!("v3, {what}"), swift(&server.url(), "/v3"));
        let storage = bench.http(|_| answer(TOKEN));
        let url = format!("{}/v1/A", storage.url());
        let server = bench
            .http(move |_| Answer::new(200, "").header("X-Storage-Url", &url).header("X-Auth-Token", TOKEN));
        bench.ends(&format!("storage, {what}"), swift(&server.url(), "/auth/v1.0"));
    }
    for word in [SECRET_KEY, TOKEN] {
        for url in [
            format!("http://{word}.invalid/v1/A"),
            format!("https://{word}/v1/A"),
            format!("http://127.0.0.1:1/{word}"),
            format!("http://{word}:{word}@127.0.0.1:1/v1/A"),
            format!("{word}://127.0.0.1:1/v1/A"),
            format!("http://169.254.169.254/{word}"),
        ] {
            let storage_url = url.clone();
            let v1 = bench.http(move |_| {
                Answer::new(200, "").header("X-Storage-Url", &storage_url).header("X-Auth-Token", TOKEN)
            });
            bench.ends(&format!("the storage of v1: {url}"), swift(&v1.url(), "/auth/v1.0"));
            let storage_url = url.clone();
            let v3 = bench.http(move |_| keystone_token(&[("object-store", "east", &storage_url)]));
            bench.ends(&format!("the storage of v3: {url}"), swift(&v3.url(), "/v3"));
        }
        let region = bench.http(move |_| keystone_token(&[("object-store", word, "http://127.0.0.1:1/")]));
        bench.ends("the region of the catalogue", swift(&region.url(), "/v3"));
    }
    bench.finish();
}
