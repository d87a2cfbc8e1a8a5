//! Connections that stay open: many requests over each, from an address of this machine's choice.

use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Every address of 127.0.0.0/8 is this machine's own.
pub const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A connection of one client.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of an answer.
pub struct Answer {
    pub status: u16,
    pub retry_after_secs: Option<u64>,
}

/// A `GET` with an `Authorization` header.
pub fn get(target: &str, authorization: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n").into_bytes()
}

impl Connection {
    pub async fn open(address: &str, from: Ipv4Addr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(address.parse().map_err(Error::other)?).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer whole.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::other("the connection was closed"));
            }
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).map_err(Error::other)?;
        let number = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
            found.next().and_then(|(_, value)| value.trim().parse::<u64>().ok())
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let answer = Answer {
            status: status.ok_or_else(|| Error::other("no status"))?,
            retry_after_secs: number("retry-after"),
        };
        let end = head_end + number("content-length").unwrap_or(0) as usize;
        while self.buffer.len() < end {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::other("the body broke off"));
            }
        }
        Ok(answer)
    }
}

/// Asks once, over a connection of its own.
pub fn ask_from(address: &str, from: Ipv4Addr, request: &[u8]) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        Connection::open(address, from).await.expect("connected").ask(request).await.expect("an answer")
    })
}
