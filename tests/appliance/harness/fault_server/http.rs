//! HTTP as a fault server speaks it: requests read whole, answers that may be wrong in every way.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Connection, Handler, drain};

const HEAD_MAX_BYTES: usize = 256 * 1024;

/// A request, read whole.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// As it was sent: a path, an absolute URL, or a host and port.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

/// What follows the head of an answer, and what is wrong with it.
#[derive(Debug, Clone)]
pub enum Body {
    /// Whole.
    Whole(Vec<u8>),
    /// More is announced, then the connection is closed.
    CutOff(String),
    /// More is announced, then nothing comes.
    Stalled(String),
    /// A text that does not fit the announced length, which is this text; the connection stays open.
    Announced(String, String),
    /// Chunks without end, with a pause after each.
    Endless(Duration),
    /// The head itself goes on without end.
    EndlessHeaders,
    /// The head is begun, then nothing comes.
    StalledHead,
}

impl Request {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The path, without a query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The decoded value of a parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(other, _)| *other == name)?;
        // As most servers do, a plus is read as a space.
        let value = value.replace('+', " ");
        Some(percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned())
    }

    /// What in the headers is secret: signatures, tokens, keys, passwords. Each also without what stands before it.
    pub fn credentials(&self) -> Vec<String> {
        let names = ["authorization", "proxy-authorization", "x-auth-key", "x-auth-token", "x-subject-token"];
        let values = self.headers.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let mut found = Vec::new();
        for (_, value) in values {
            found.push(value.clone());
            // "Signature=…", "SharedKey account:…", "Basic …"
            for separator in ["Signature=", ":", " "] {
                found.extend(value.rsplit_once(separator).map(|(_, secret)| secret.to_owned()));
            }
        }
        found.retain(|secret| secret.len() >= 12 && !secret.starts_with("SignedHeaders"));
        found
    }
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, reason: "Some Reason".to_owned(), headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    pub fn faulty(body: Body) -> Self {
        Self { body, ..Self::new(200, "") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = reason.to_owned();
        self
    }
}

/// Answers requests until the other side ends, or an answer does.
pub async fn serve(mut connection: Connection, handler: &Handler) -> io::Result<()> {
    while let Some(request) = read_request(&mut connection).await? {
        let is_last = request.header("connection").eq_ignore_ascii_case("close");
        let answer = handler(&request);
        let goes_on = write_answer(&mut connection, &answer, &request.method, is_last).await?;
        if is_last || !goes_on {
            break;
        }
    }
    connection.shutdown().await
}

/// Reads and records a request. `None` where the connection ends first, or what comes is not HTTP.
pub async fn read_request(connection: &mut Connection) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > HEAD_MAX_BYTES || connection.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if !bytes[0].is_ascii_alphabetic() {
            // TLS, for example: answered as real servers do.
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let mut request =
        Request { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    request.body = bytes.split_off(end + 4);
    while request.body.len() < length {
        if connection.read_buf(&mut request.body).await? == 0 {
            return Ok(None);
        }
    }
    connection.record(&request);
    Ok(Some(request))
}

/// Whether the connection can carry another answer.
pub async fn write_answer(
    connection: &mut Connection,
    answer: &Answer,
    method: &str,
    is_last: bool,
) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, answer.reason);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if is_last {
        head.push_str("Connection: close\r\n");
    }
    let announced = |text: &str| (text.len() + 1000).to_string();
    let (length, text): (String, &[u8]) = match &answer.body {
        Body::Whole(bytes) => (bytes.len().to_string(), bytes),
        Body::CutOff(text) | Body::Stalled(text) => (announced(text), text.as_bytes()),
        Body::Announced(length, text) => (length.clone(), text.as_bytes()),
        Body::Endless(pause) => return write_endless_body(connection, &head, *pause).await,
        Body::EndlessHeaders => return write_endless_head(connection, &head).await,
        Body::StalledHead => {
            connection.write_all(head.as_bytes()).await?;
            connection.flush().await?;
            drain(connection).await?;
            return Ok(false);
        }
    };
    let has_no_body = method == "HEAD" || answer.status == 204 || answer.status == 304;
    head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
    connection.write_all(head.as_bytes()).await?;
    if !has_no_body {
        connection.write_all(text).await?;
    }
    connection.flush().await?;
    if matches!(answer.body, Body::Stalled(_) | Body::Announced(..)) {
        drain(connection).await?;
    }
    Ok(matches!(answer.body, Body::Whole(_)))
}

async fn write_endless_body(connection: &mut Connection, head: &str, pause: Duration) -> io::Result<bool> {
    connection.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
    let size = if pause.is_zero() { 64 * 1024 } else { 16 };
    let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
    loop {
        connection.write_all(chunk.as_bytes()).await?;
        connection.flush().await?;
        tokio::time::sleep(pause).await;
    }
}

async fn write_endless_head(connection: &mut Connection, head: &str) -> io::Result<bool> {
    connection.write_all(head.as_bytes()).await?;
    for number in 0_u64.. {
        connection.write_all(format!("x-{number}: {}\r\n", "y".repeat(1000)).as_bytes()).await?;
    }
    Ok(false)
}
