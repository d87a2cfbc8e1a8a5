//! A plain HTTP client: it sends exactly the bytes that a test wants, also wrong ones.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one service.
#[derive(Clone)]
pub struct Client {
    address: String,
    authorization: Option<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The value of a Basic `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// Percent-encodes everything but letters and digits.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl Client {
    pub fn new(address: &str, authorization: Option<&str>) -> Self {
        Self { address: address.to_owned(), authorization: authorization.map(str::to_owned) }
    }

    /// The same service with another `Authorization` header.
    pub fn sending(&self, authorization: &str) -> Self {
        Self::new(&self.address, Some(authorization))
    }

    pub fn get(&self, target: &str) -> Response {
        self.send("GET", target, &[], b"")
    }

    pub fn delete(&self, target: &str) -> Response {
        self.send("DELETE", target, &[], b"")
    }

    pub fn post(&self, target: &str, body: &Value) -> Response {
        self.send_json("POST", target, body.to_string().as_bytes())
    }

    pub fn put(&self, target: &str, body: &Value) -> Response {
        self.send_json("PUT", target, body.to_string().as_bytes())
    }

    pub fn send_json(&self, method: &str, target: &str, body: &[u8]) -> Response {
        self.send(method, target, &[("Content-Type", "application/json")], body)
    }

    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut request =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.send_raw(&bytes).unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// Sends bytes as they are; the answer may come before all of them are sent.
    pub fn send_raw(&self, bytes: &[u8]) -> std::io::Result<Response> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let sent = stream.write_all(bytes);
        let mut answer = Vec::new();
        let received = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            sent?;
            received?;
        }
        Response::parse(&answer).ok_or_else(|| {
            std::io::Error::other(format!("no HTTP answer: {:?}", String::from_utf8_lossy(&answer)))
        })
    }
}

impl Response {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if status == 100 {
            return Self::parse(&bytes[end + 4..]);
        }
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Self { status, headers, body: bytes[end + 4..].to_vec() })
    }

    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The errors of an attribute, from an answer in the one shape that errors have.
    #[track_caller]
    pub fn errors(&self, attribute: &str) -> Vec<String> {
        let body = self.json();
        let object = body.as_object().expect("an object");
        assert_eq!(object.keys().collect::<Vec<_>>(), ["details", "messages"], "{body}");
        let messages = body["messages"].as_array().expect("messages");
        assert!(!messages.is_empty() && messages.iter().all(Value::is_string), "{body}");
        for (name, errors) in body["details"].as_object().expect("details") {
            for error in errors.as_array().unwrap_or_else(|| panic!("{name}: {errors}")) {
                assert!(error["error"].is_string(), "{body}");
                assert!(error["value"].is_null() || error["value"].is_string(), "{body}");
            }
        }
        let errors = body["details"][attribute].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["error"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
