//! An attacker with a key of few rights, and what its servers got.

use serde_json::{Value, json};

use crate::harness::fault_server::FaultServer;
use crate::harness::fault_server::http::{Answer, Request};
use crate::harness::fault_server::proxy::{Socks5, proxy};
use crate::harness::fault_server::services::s3_list;
use crate::harness::http::{Client, Response, basic};
use crate::harness::service::{PASSWORD, Service, TestDirectory};
use crate::harness::signature::is_signed_with;
use crate::jobs::end;

pub const CONNECTORS: &str = "/api/v2/cloud_connectors";
pub const TEST: &str = "/api/v2/cloud_connectors/-/test";
pub const ACCESS_KEY: &str = "AKIDSAVED0001";
/// Base64 too, so that it could also sign as Azure's would.
pub const SECRET: &str = "c2F2ZWQtc2VjcmV0LWYwMGQtMDEyMzQ1Njc4OQ==";
pub const PROXY_PASSWORD: &str = "saved-proxy-pass-77aa55";
pub const MINE: &str = "the-attackers-own-secret";

/// What the key may do.
pub const SCOPES: &[&str] =
    &["cloud_connectors/test", "cloud_connectors/update", "cloud_connectors/show", "cloud_connectors/index"];

/// Connector 1 with its server, and the attacker with servers of its own.
pub struct Errand {
    pub directory: TestDirectory,
    pub service: Service,
    pub admin: Client,
    pub key: Client,
    pub original: FaultServer,
    /// Takes whatever comes as a request to a server or to a proxy.
    pub attacker: FaultServer,
    pub socks: FaultServer,
    pub saved: Value,
    /// Requests to the attacker that were looked at.
    pub checked: usize,
    pub wrong: Vec<String>,
}

impl Errand {
    pub fn new(original: impl Fn(&Request) -> Answer + Send + Sync + 'static, more: Value) -> Self {
        let directory = TestDirectory::new();
        let service = start(&directory);
        let original = FaultServer::http(original);
        let attacker = FaultServer::start(proxy(|_| Some(s3_list(&["stolen"], ""))));
        let socks = FaultServer::socks5(Socks5::default());
        let mut saved = json!({ "name": "saved", "url": original.url(), "provider": "generic_s3", "region": "us-east-1",
            "access_key": ACCESS_KEY, "secret_key": SECRET, "url_proxy": null, "options": "uid=1000" });
        saved.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let admin = service.admin();
        admin.post(CONNECTORS, &saved).expect_status(201);
        let key = service.with_key(&service.make_key(SCOPES));
        Self {
            directory,
            service,
            admin,
            key,
            original,
            attacker,
            socks,
            saved,
            checked: 0,
            wrong: Vec::new(),
        }
    }

    /// Sends the change in both ways that a saved secret could go with: as a test, and as an update before a test.
    pub fn attempt(&mut self, change: Value) {
        self.attempt_raw(&change.to_string());
    }

    pub fn attempt_raw(&mut self, change: &str) {
        let tested = self.key.send_json("PUT", TEST, of_saved(change).as_bytes());
        self.follow(&format!("test {change}"), tested);
        let updated = self.key.send_json("PUT", &format!("{CONNECTORS}/1"), change.as_bytes());
        if updated.status == 200 {
            let tested = self.key.put(TEST, &json!({ "id": 1 }));
            self.follow(&format!("update {change}, test"), tested);
            self.admin.put(&format!("{CONNECTORS}/1"), &self.saved).expect_status(200);
        } else {
            self.follow(&format!("update {change}"), updated);
        }
    }

    /// Waits for the end of what was accepted, and looks at what the attacker got.
    pub fn follow(&mut self, what: &str, response: Response) {
        let shown = match response.status {
            202 => {
                let job_id = response.json()["job_id"].as_str().expect("an id").to_owned();
                end(&self.key, &job_id).to_string()
            }
            _ => response.text(),
        };
        if !matches!(response.status, 202 | 422) {
            self.wrong.push(format!("{what}: {} {shown}", response.status));
        }
        if shown.contains(SECRET) || shown.contains(PROXY_PASSWORD) {
            self.wrong.push(format!("{what}: the answer has a secret: {shown}"));
        }
        self.check_attacker(what);
    }

    pub fn check_attacker(&mut self, what: &str) {
        for server in [&self.attacker, &self.socks] {
            for secret in [SECRET, PROXY_PASSWORD] {
                if server.saw(secret) {
                    self.wrong.push(format!("{what}: the attacker got {secret}"));
                }
            }
        }
        let requests = self.attacker.requests();
        for request in &requests[self.checked..] {
            let is_mine = [MINE, "***"].iter().any(|secret| is_signed_with(request, secret));
            if request.header("proxy-authorization") == basic("ann", PROXY_PASSWORD) {
                self.wrong.push(format!("{what}: the attacker got a proxy's credentials: {request:?}"));
            }
            if !request.header("authorization").is_empty() && !is_mine {
                self.wrong.push(format!("{what}: the attacker got a signature: {request:?}"));
            }
        }
        self.checked = requests.len();
    }

    #[track_caller]
    pub fn finish(self) {
        let signed = |request: &Request| is_signed_with(request, SECRET);
        assert!(
            self.original.requests().iter().any(signed),
            "the check knows a signature of the saved secret"
        );
        let log = self.service.log();
        assert!(!log.contains(SECRET) && !log.contains(PROXY_PASSWORD) && !log.contains("panicked"));
        self.service.stop();
        assert!(self.wrong.is_empty(), "{} ways:\n{}", self.wrong.len(), self.wrong.join("\n"));
        drop(self.directory);
    }
}

/// A service that soon gives up what does not answer.
pub fn start(directory: &TestDirectory) -> Service {
    let path = directory.path().join("password");
    std::fs::write(&path, PASSWORD).expect("written");
    let arguments = ["--admin-password-file", &path.display().to_string()];
    Service::start_command(directory.path(), &arguments, |command| {
        command.env("CONNECTORD_LOG_LEVEL", "trace").env("CONNECTORD_JOBS_DEADLINE_MS", "3000");
    })
}

/// The body of a test of connector 1 with this change.
pub fn of_saved(change: &str) -> String {
    let comma = if change == "{}" { "" } else { "," };
    format!("{{\"id\":1{comma}{}", &change[1..])
}
