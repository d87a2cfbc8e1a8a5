//! One client's connection, kept or not, with errors instead of panics: services are killed under it.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that is kept, or opened for each request.
pub struct Connection {
    address: String,
    key: String,
    is_kept: bool,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub fn new(address: &str, key: &str, is_kept: bool) -> Self {
        Self { address: address.to_owned(), key: key.to_owned(), is_kept, stream: None }
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&mut self, method: &str, target: &str, body: Option<&Value>) -> Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                BufReader::new(stream)
            }
        };
        let body = body.map(Value::to_string).unwrap_or_default();
        let connection = if self.is_kept { "keep-alive" } else { "close" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let answer = read_answer(&mut stream)?;
        self.stream = self.is_kept.then_some(stream);
        Ok(answer)
    }
}

fn read_answer(stream: &mut impl BufRead) -> Result<(u16, Vec<u8>)> {
    let broken = || Error::other("the answer ends too early");
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(broken());
        }
        if line == "\r\n" {
            break;
        }
        let field = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if let Some((_, value)) = field {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, body))
}
