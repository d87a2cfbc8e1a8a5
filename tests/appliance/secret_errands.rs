//! A key that may test, update, show and list connectors, but not read their secrets, tries every way to have a saved
//! secret, or a signature made with it, sent to a server of its own.

mod errand;

use std::sync::Arc;

use serde_json::json;

use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::services::{hostile_s3_error, s3_list};
use crate::harness::fault_server::{FaultServer, Play};
use crate::harness::service::wait_until;
use crate::harness::signature::is_signed_with;
use crate::jobs::end;

use errand::{CONNECTORS, Errand, MINE, PROXY_PASSWORD, SCOPES, SECRET, TEST, of_saved, start};

fn photos(request: &Request) -> Answer {
    match request.path() {
        "/" => s3_list(&["photos"], ""),
        _ => Answer::new(404, ""),
    }
}

#[test]
fn another_url() {
    let mut errand = Errand::new(photos, json!({}));
    let (evil, original) = (errand.attacker.address(), errand.original.address());
    for url in [
        format!("http://{evil}"),
        format!("http://{evil}/"),
        evil.clone(),
        format!("https://{evil}"),
        format!("HTTP://{evil}"),
        format!("http://localhost:{}", errand.attacker.port()),
        format!("http://{original}@{evil}"),
        format!("http://{original}#@{evil}"),
        format!("http://{evil}\\@{original}"),
        format!("http://{evil}/http://{original}"),
        format!("http://{original}/"),
        format!("http://{original}/../../{evil}"),
        format!("HTTP://{original}"),
        original.clone(),
        format!("http://localhost:{}", errand.original.port()),
        format!(" http://{evil}"),
    ] {
        errand.attempt(json!({ "url": url }));
        errand.attempt(json!({ "url": url, "name": "saved", "region": "us-east-1" }));
        errand.attempt(json!({ "url": url, "access_key": "mine" }));
        errand.attempt(json!({ "url": url, "provider": "wasabi" }));
        errand.attempt(json!({ "url": url, "secret_key": "" }));
        errand.attempt(json!({ "url": url, "secret_key": null }));
        errand.attempt(json!({ "url": url, "secret_key": "***" }));
        errand.attempt(json!({ "url": url, "secret_key": MINE }));
    }
    errand.attempt(json!({ "url": null }));
    errand.attempt(json!({ "url": "" }));
    errand.attempt(json!({}));
    errand.finish();
}

#[test]
fn another_proxy_or_option() {
    let mut errand = Errand::new(photos, json!({}));
    let (evil, socks) = (errand.attacker.address(), errand.socks.address());
    for scheme in ["", "http://", "https://", "socks5://", "HTTP://", "http://a:b@"] {
        errand.attempt(json!({ "url_proxy": format!("{scheme}{evil}") }));
        errand.attempt(json!({ "url_proxy": format!("{scheme}{evil}"), "secret_key": MINE }));
    }
    errand.attempt(json!({ "url_proxy": format!("socks5://{socks}") }));
    for options in [
        format!("url=http://{evil}"),
        format!("uid=1000,url=http://{evil}"),
        format!("uid=1000, url = http://{evil}"),
        format!("-o url=http://{evil},uid=1000"),
        format!("URL=http://{evil}"),
        format!("proxy=http://{evil}"),
        format!("uid=1000,proxy=socks5://{socks}"),
        format!("uid=1000,proxy_cred_file=/tmp/x,proxy={evil}"),
        format!("endpoint={evil}"),
        "uid=1000,no_check_certificate".to_owned(),
        "uid=1000,ssl_verify_hostname=0".to_owned(),
        "uid=1000,use_path_request_style".to_owned(),
        "uid=1000,".to_owned(),
        "UID=1000".to_owned(),
        String::new(),
    ] {
        errand.attempt(json!({ "options": options }));
        errand.attempt(json!({ "options": options, "url": errand.saved["url"] }));
        errand.attempt(json!({ "options": options, "secret_key": MINE }));
    }
    errand.attempt(json!({ "options": null }));
    errand.attempt(json!({ "url_proxy": null }));
    errand.attempt(json!({ "url_proxy": "" }));
    errand.finish();
}

#[test]
fn another_account_provider_or_region() {
    let mut errand = Errand::new(photos, json!({}));
    let evil = errand.attacker.address();
    for provider in [
        "amazon_aws_s3",
        "cloudian_hyperstore",
        "scality_ring",
        "dell_emc_ecs",
        "azure",
        "google_cloud_storage",
        "openstack_swift",
        "wasabi",
        "quantum_activescale",
        "datacore_swarm",
    ] {
        errand.attempt(json!({ "provider": provider }));
        errand.attempt(json!({ "provider": provider, "url": null }));
        errand.attempt(json!({ "provider": provider, "url": format!("http://{evil}/v3") }));
        errand.attempt(json!({ "provider": provider, "url": format!("http://{evil}/auth/v1.0") }));
    }
    for region in [evil.as_str(), "x/../#", "eu-west-9", "us-east-1\n", "US-EAST-1", "", "@evil.example/"] {
        errand.attempt(json!({ "region": region }));
        errand.attempt(json!({ "region": region, "provider": "amazon_aws_s3", "url": null }));
    }
    for access_key in ["other", "", "akidsaved0001", "a\nb", &format!("{evil}/x:y")] {
        errand.attempt(json!({ "access_key": access_key }));
        errand.attempt(json!({ "access_key": access_key, "url": format!("http://{evil}") }));
    }
    errand.finish();
}

#[test]
fn bodies_that_say_two_things() {
    let mut errand = Errand::new(photos, json!({}));
    let (evil, original) = (errand.attacker.url(), errand.original.url());
    for body in [
        format!(r#"{{"url":"{original}","url":"{evil}"}}"#),
        format!(r#"{{"url":"{evil}","url":"{original}"}}"#),
        format!(r#"{{"id":2,"url":"{evil}"}}"#),
        format!(r#"{{"id":1.0,"url":"{evil}"}}"#),
        format!(r#"{{"id":null,"url":"{evil}"}}"#),
        format!(r#"{{"secret_key":"x","secret_key":null,"url":"{evil}"}}"#),
        format!(r#"{{"URL":"{evil}"}}"#),
        format!(r#"{{"url\u0000":"{evil}"}}"#),
        format!(r#"{{"cloud_connector":{{"url":"{evil}"}},"settings":{{"url":"{evil}"}}}}"#),
        format!(r#"{{"secret_key":["{MINE}"],"url":"{evil}"}}"#),
        format!(r#"{{"secret_key":false,"url":"{evil}"}}"#),
    ] {
        let tested = errand.key.send_json("PUT", TEST, of_saved(&body).as_bytes());
        let is_answered = [202, 400, 422].contains(&tested.status);
        assert!(is_answered, "{body}: {} {}", tested.status, tested.text());
        if tested.status != 400 {
            errand.follow(&body, tested);
        }
        errand.key.send_json("PUT", &format!("{CONNECTORS}/1"), body.as_bytes());
        let after = errand.key.put(TEST, &json!({ "id": 1 }));
        errand.follow(&format!("update {body}, test"), after);
        errand.admin.put(&format!("{CONNECTORS}/1"), &errand.saved).expect_status(200);
    }
    // By name: a test knows connectors by id alone.
    for body in [
        json!({ "name": "saved", "url": evil }),
        json!({ "name": "saved" }),
        json!({ "id": "1", "url": evil }),
    ] {
        let tested = errand.key.put(TEST, &body);
        errand.follow(&body.to_string(), tested);
    }
    errand.finish();
}

#[test]
fn masked_passwords_of_a_proxy_sent_back() {
    // The saved proxy forwards to the server, so that the connector works.
    let forward =
        FaultServer::start(crate::harness::fault_server::proxy::guarded_proxy("ann", PROXY_PASSWORD));
    let place = forward.address();
    let mut errand = Errand::new(
        photos,
        json!({
            "url_proxy": format!("http://ann:{PROXY_PASSWORD}@{place}"),
            "options": format!("uid=1000,proxy=http://ann:{PROXY_PASSWORD}@{place}"),
        }),
    );
    errand.attempt(json!({}));
    let evil = errand.attacker.address();
    let shown = errand.key.get(&format!("{CONNECTORS}/1")).json();
    assert_eq!(shown["url_proxy"], format!("http://ann:***@{place}"));
    for proxy in [
        format!("http://ann:***@{evil}"),
        format!("http://ann:***@{place}@{evil}"),
        format!("http://ann:***@{evil}/"),
        format!("ann:***@{place}"),
        format!("socks5://ann:***@{evil}"),
        format!("http://ann:***@{place}"),
    ] {
        errand.attempt(json!({ "url_proxy": proxy }));
        errand.attempt(json!({ "url_proxy": proxy, "secret_key": MINE }));
        errand.attempt(json!({ "url_proxy": proxy, "secret_key": MINE, "url": format!("http://{evil}") }));
        errand.attempt(json!({ "options": format!("uid=1000,proxy={proxy}") }));
        errand.attempt(json!({ "options": format!("proxy={proxy},uid=1000"), "secret_key": MINE }));
        errand.attempt(json!({ "options": format!("uid=1000,proxy={proxy},url=http://{evil}") }));
        errand.attempt(
            json!({ "options": format!("uid=1000,proxy={proxy}"), "url": format!("http://{evil}") }),
        );
    }
    errand.attempt(json!({ "options": null }));
    errand.attempt(json!({ "url_proxy": null }));
    errand.attempt(json!({ "url_proxy": null, "options": null, "secret_key": MINE }));
    errand.finish();
}

#[test]
fn errands_of_the_original_server() {
    // The server of the connector works for the attacker: it redirects, and names other places wherever it can.
    let evil = FaultServer::http(|_| s3_list(&["stolen"], ""));
    let (port, address) = (evil.port(), evil.address());
    let answers = [301, 302, 303, 307, 308].map(|status| {
        let address = address.clone();
        Arc::new(move |request: &Request| {
            let endpoint = format!("<Endpoint>{address}</Endpoint><Bucket>b</Bucket>");
            hostile_s3_error(request, status, "TemporaryRedirect", &endpoint)
                .header("Location", &format!("http://{address}{}", request.target))
                .header("x-amz-bucket-region", &format!("{address}/"))
        })
    });
    for answer in answers {
        let whole = Arc::clone(&answer);
        let errand = Errand::new(move |request| whole(request), json!({}));
        probe(errand, &address);
        // The list works; only what is asked of each bucket is redirected.
        let errand = Errand::new(
            move |request| match request.path() {
                "/" => s3_list(&[&format!("@127.0.0.1:{port}/"), &format!("//127.0.0.1:{port}/"), "b"], ""),
                _ => answer(request),
            },
            json!({}),
        );
        probe(errand, &address);
    }
    let denying = |request: &Request| hostile_s3_error(request, 403, "AccessDenied", "");
    probe(Errand::new(denying, json!({})), &address);
    assert_eq!(evil.connections(), 0, "nobody came: {:?}", evil.requests());
}

/// Tests the saved connector with names of buckets that could be other places.
fn probe(mut errand: Errand, evil: &str) {
    let names = [
        format!("@{evil}"),
        format!("x:y@{evil}/"),
        format!("//{evil}/"),
        format!("http://{evil}/"),
        format!("{evil}#"),
        "..".to_owned(),
    ];
    for names in names.iter().map(|name| json!([name])).chain([json!(names), json!([])]) {
        let tested = errand.key.put(TEST, &json!({ "id": 1, "probe_buckets": names }));
        errand.follow(&names.to_string(), tested);
        let elsewhere = json!({ "id": 1, "probe_buckets": names, "url": format!("http://{evil}") });
        let tested = errand.key.put(TEST, &elsewhere).expect_status(422);
        assert_eq!(tested.errors("secret_key"), ["blank"]);
    }
    errand.finish();
}

#[test]
fn updates_that_race_with_tests() {
    let mut errand = Errand::new(photos, json!({}));
    let mine = json!({ "url": errand.attacker.url(), "secret_key": MINE });
    let saved = json!({ "url": errand.original.url(), "secret_key": SECRET });
    let path = format!("{CONNECTORS}/1");
    let job_ids: Vec<String> = std::thread::scope(|scope| {
        let tests = scope.spawn(|| {
            let mut job_ids = Vec::new();
            while job_ids.len() < 60 {
                let tested = errand.key.put(TEST, &json!({ "id": 1 }));
                if tested.status == 202 {
                    job_ids.push(tested.json()["job_id"].as_str().expect("an id").to_owned());
                }
            }
            job_ids
        });
        while !tests.is_finished() {
            errand.key.put(&path, &mine).expect_status(200);
            errand.admin.put(&path, &saved).expect_status(200);
        }
        tests.join().expect("no panic")
    });
    for job_id in job_ids {
        end(&errand.key, &job_id);
    }
    for request in errand.original.requests() {
        assert!(is_signed_with(&request, SECRET), "{request:?}");
    }
    errand.check_attacker("a race");
    errand.finish();
}

#[test]
fn a_test_that_is_interrupted_keeps_its_own_endpoint() {
    let mut errand = Errand::new(photos, json!({}));
    errand.attempt(json!({}));
    let silent = FaultServer::start(Play::Silent);
    let path = format!("{CONNECTORS}/1");
    errand.admin.put(&path, &json!({ "url": silent.url(), "secret_key": SECRET })).expect_status(200);
    let tested = errand.key.put(TEST, &json!({ "id": 1 })).expect_status(202).json();
    let target = format!("{TEST}?job_id={}", tested["job_id"].as_str().expect("an id"));
    wait_until("the test to run", || errand.key.get(&target).json()["status"] == "working");
    errand.key.put(&path, &json!({ "url": errand.attacker.url(), "secret_key": MINE })).expect_status(200);
    let before = silent.connections();
    let Errand { directory, service, attacker, socks, original, wrong, saved, checked, .. } = errand;
    service.kill();
    let service = start(&directory);
    wait_until("the test to run again", || silent.connections() > before);
    let (admin, key) = (service.admin(), service.with_key(&service.make_key(SCOPES)));
    assert!(attacker.requests().is_empty(), "{:?}", attacker.requests());
    let mut errand =
        Errand { directory, service, admin, key, original, attacker, socks, saved, checked, wrong };
    errand.check_attacker("after the restart");
    errand.finish();
}
