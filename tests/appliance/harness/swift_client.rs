//! Fills accounts of the OpenStack Swift that tests/servers/swift starts, over its native API.

use super::http::Client;

/// The password of all users that tests/servers/swift makes, but for the account `test`.
pub const KEY: &str = "secret-f00d";

/// A user who has signed in.
pub struct SwiftClient {
    client: Client,
    account: String,
    token: String,
}

impl SwiftClient {
    /// Signs in as the user `tester` of an account.
    pub fn sign_in(address: &str, account: &str) -> Self {
        let client = Client::new(address, None);
        let user = format!("{account}:tester");
        let answer = client.send("GET", "/auth/v1.0", &[("X-Auth-User", &user), ("X-Auth-Key", KEY)], b"");
        let token = answer.expect_status(200).header("x-auth-token").expect("a token").to_owned();
        Self { client, account: account.to_owned(), token }
    }

    /// Makes a container; one that is there stays.
    pub fn put_container(&self, name: &str) {
        self.put(name, &[], b"");
    }

    /// Makes a container that a user may read and whose existence he may see.
    pub fn put_readable_container(&self, name: &str, user: &str) {
        self.put(name, &[("X-Container-Read", user)], b"");
    }

    /// Makes a container of objects of these sizes.
    pub fn put_full_container(&self, name: &str, sizes: &[usize]) {
        self.put_container(name);
        for (number, size) in sizes.iter().enumerate() {
            self.put(&format!("{name}/object-{number}"), &[], &vec![b'x'; *size]);
        }
        // The account's list learns of the objects from a daemon that does not run here, or when the container is put.
        self.put_container(name);
    }

    #[track_caller]
    fn put(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut all = vec![("X-Auth-Token", self.token.as_str())];
        all.extend(headers);
        let answer = self.client.send("PUT", &format!("/v1/AUTH_{}/{path}", self.account), &all, body);
        assert!(matches!(answer.status, 201 | 202), "{path}: {} {}", answer.status, answer.text());
    }
}
