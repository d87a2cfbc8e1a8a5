//! The server is another kind than the provider says, a likely mistake: the verdict has to be about the address, and
//! never send somebody to look for a fault in good credentials.

use serde_json::{Value, json};

use super::{azurite, changed, swift, with_service};
use crate::harness::azure_client::{ACCOUNT, key};
use crate::harness::http::Client;
use crate::harness::s3_server::{self, ACCESS_KEY};
use crate::harness::service::TestDirectory;
use crate::harness::swift_client::KEY;
use crate::jobs::{end, start};

/// Fails with one of these codes.
#[track_caller]
fn check(client: &Client, connector: &Value, codes: &[&str]) {
    let ended = end(client, &start(client, connector));
    let code = ended["error"]["code"].as_str().unwrap_or_default();
    assert!(codes.contains(&code), "{connector}: {ended}");
}

#[test]
fn s3s_fs() {
    let files = TestDirectory::new();
    let s3 = s3_server::start(files.path());
    let connector =
        json!({ "url": format!("http://{s3}"), "access_key": ACCESS_KEY, "secret_key": key("s3") });
    with_service(|client| {
        check(client, &changed(&connector, &json!({ "provider": "azure" })), &["not_azure"]);
        for path in ["v3", "auth/v1.0"] {
            let changes = json!({ "provider": "openstack_swift", "url": format!("http://{s3}/{path}"),
                "access_key": "some:tester" });
            check(client, &changed(&connector, &changes), &["not_swift"]);
        }
    });
}

#[test]
fn azure() {
    let Some(azurite) = azurite() else { return };
    let connector =
        json!({ "url": format!("http://{azurite}"), "access_key": ACCOUNT, "secret_key": key(ACCOUNT) });
    with_service(|client| {
        check(client, &connector, &["not_s3", "server_refused"]);
        let with_account = json!({ "url": format!("http://{azurite}/{ACCOUNT}") });
        check(client, &changed(&connector, &with_account), &["not_s3"]);
        for path in ["auth/v1.0", "v3"] {
            let changes = json!({ "provider": "openstack_swift", "url": format!("http://{azurite}/{path}"),
                "access_key": "some:tester" });
            check(client, &changed(&connector, &changes), &["not_swift"]);
        }
    });
}

#[test]
fn openstack_swift() {
    let Some(swift) = swift() else { return };
    let connector =
        json!({ "url": format!("http://{swift}"), "access_key": "some:tester", "secret_key": KEY });
    with_service(|client| {
        let azure = json!({ "provider": "azure", "access_key": ACCOUNT, "secret_key": key(ACCOUNT) });
        check(client, &changed(&connector, &azure), &["not_azure"]);
        // Its s3api takes the path for a bucket and a key.
        let native = json!({ "url": format!("http://{swift}/auth/v1.0") });
        check(client, &changed(&connector, &native), &["url_names_bucket"]);
        let keystone = json!({ "provider": "openstack_swift", "url": format!("http://{swift}/v3") });
        check(client, &changed(&connector, &keystone), &["not_swift", "server_refused"]);
    });
}
