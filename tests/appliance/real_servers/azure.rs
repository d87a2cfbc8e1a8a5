//! Azure's Blob service, as Azurite does it: requests signed by SharedKey, the account in the path.

use serde_json::{Value, json};

use super::{azurite, check_failures, check_names, completed, names, with_service};
use crate::harness::azure_client::{ACCOUNT, key, put_container};

/// The connector of an account.
pub fn connector(url: &str, account: &str) -> Value {
    json!({ "provider": "azure", "url": url, "access_key": account, "secret_key": key(account) })
}

#[test]
fn list() {
    let Some(azurite) = azurite() else { return };
    for name in ["zebra", "archive", "photos", "b-10", "b-9"] {
        put_container(&azurite, ACCOUNT, name);
    }
    with_service(|client| {
        // An address without a path: the account is appended.
        for path in ["", "/", "/devstoreaccount1", "/devstoreaccount1/"] {
            let connector = connector(&format!("http://{azurite}{path}"), ACCOUNT);
            let all = ["archive", "b-10", "b-9", "photos", "zebra"];
            check_names(client, &connector, &all);
        }
        let ended = completed(client, &connector(&format!("http://{azurite}"), ACCOUNT));
        let nothing_more = json!({ "id": null, "cloud_connector_id": null, "pool_id": null, "name": names(&ended)[0],
            "file_count": null, "file_size_sum": null, "location": null, "price": null, "options": null });
        assert_eq!(ended["cloud_buckets"][0], nothing_more);
        for path in ["", "/empty"] {
            check_names(client, &connector(&format!("http://{azurite}{path}"), "empty"), &[]);
        }
    });
}

#[test]
fn failures() {
    let Some(azurite) = azurite() else { return };
    let url = format!("http://{azurite}/{ACCOUNT}");
    let credentials_wrong = ["credentials_wrong", "authentication", "secret_key"];
    with_service(|client| {
        check_failures(
            client,
            &connector(&url, ACCOUNT),
            &[
                (json!({ "secret_key": key("empty") }), credentials_wrong),
                // Another account than the path's, one that is there and one that is not.
                (json!({ "access_key": "empty", "secret_key": key("empty") }), credentials_wrong),
                (json!({ "access_key": "nobody" }), credentials_wrong),
                (
                    json!({ "secret_key": "wrong-f00d, no base64" }),
                    ["secret_key_not_base64", "configuration", "secret_key"],
                ),
                (json!({ "access_key": null }), ["attribute_missing", "configuration", "access_key"]),
                (json!({ "secret_key": null }), ["attribute_missing", "configuration", "secret_key"]),
                // The account goes into the path here, where Azurite knows none of that name.
                (
                    json!({ "url": format!("http://{azurite}"), "access_key": "nobody" }),
                    ["access_key_unknown", "authentication", "access_key"],
                ),
            ],
        );
    });
}
