//! No plaintext of any secret in any file of the data directory, or in the log.

use std::path::Path;

use serde_json::json;

use crate::harness::s3_server;
use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
const KEYS: &str = "/api/v2/users/me/api_keys";

#[test]
fn files_and_log_hold_no_secret_in_plain() {
    let directory = TestDirectory::new();
    let silent = s3_server::start_silent();
    let service = Service::start_command(directory.path(), &[], |command| {
        command.env("CONNECTORD_LOG_LEVEL", "trace");
    });
    let first_start =
        std::fs::read_to_string(directory.path().join("data/first-start.txt")).expect("the first password");
    let first =
        first_start.lines().find_map(|line| line.strip_prefix("password: ")).expect("a password").to_owned();
    let admin = service.anonymous().sending(&crate::harness::http::basic("admin", &first));
    let code = first_start.lines().find_map(|line| line.strip_prefix("recovery code: ")).expect("a code");
    let key_file = directory.path().join("data/secret.key");
    let key = std::fs::read_to_string(&key_file).expect("a key file");
    let key = key.trim().trim_start_matches("cdk1_").to_owned();
    let mut secrets = vec![first.clone(), code.to_owned(), code.replace('-', ""), key.clone()];
    for number in 0..5 {
        let secret = |kind: &str| format!("PLAIN-{kind}-{number}-0123456789abcdef");
        let body = json!({
            "name": format!("c{number}"), "url": format!("http://{silent}"), "access_key": "a", "secret_key": secret("key"),
            "url_proxy": format!("http://user:{}@127.0.0.1:1", secret("proxy")),
            "options": format!("proxy=http://user:{}@h,uid=1", secret("option")),
        });
        admin.post(CONNECTORS, &body).expect_status(201);
        admin
            .put(&format!("{CONNECTORS}/c{number}"), &json!({ "secret_key": secret("changed") }))
            .expect_status(200);
        admin.put(
            &format!("{CONNECTORS}/-/test"),
            &json!({ "url": silent, "access_key": "a", "secret_key": secret("test") }),
        );
        // Refused, in every way that might echo it.
        let mut wrong = body.clone();
        wrong["secret_key"] = json!({ "x": secret("wrong") });
        wrong["url"] = json!(format!("http://user:{}@h", secret("url")));
        admin.post(CONNECTORS, &wrong).expect_status(422);
        admin.get(&format!("{CONNECTORS}?secret_key={}", secret("query"))).expect_status(422);
        let password = crate::harness::http::basic("admin", &secret("password"));
        service.anonymous().sending(&password).get(CONNECTORS).expect_status(401);
        let kinds = ["key", "proxy", "option", "changed", "test", "wrong", "url", "query", "password"];
        secrets.extend(kinds.iter().map(|kind| secret(kind)));
        let key =
            admin.post(KEYS, &json!({})).expect_status(201).json()["key"].as_str().expect("a key").to_owned();
        service.with_key(&key).get(CONNECTORS).expect_status(403);
        // Without its checksum too: the random part alone would do.
        secrets.push(key[16..56].to_owned());
    }
    let while_running = search(directory.path(), &secrets);
    service.kill();
    let service = Service::start_plain(directory.path(), &[]);
    service.stop();
    let mut found = [while_running, search(directory.path(), &secrets)].concat();
    let key_in_its_file = format!("{}: {key}", key_file.display());
    assert!(found.contains(&key_in_its_file), "the search finds keys");
    found.retain(|line| *line != key_in_its_file);
    assert!(found.is_empty(), "{found:#?}");
    assert!(search(directory.path(), &["c3".to_owned()]).len() > 1, "the search finds what is there");
}

/// The files below a directory that hold one of the texts, with the text.
pub fn search(directory: &Path, texts: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(search(&path, texts));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let holds = |text: &&String| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        found.extend(texts.iter().filter(holds).map(|text| format!("{}: {text}", path.display())));
    }
    found
}
