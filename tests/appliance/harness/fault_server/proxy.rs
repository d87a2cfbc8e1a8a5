//! Proxies: HTTP (absolute URLs and CONNECT) and SOCKS5. What they forward goes to the asked port of 127.0.0.1, whatever
//! host was asked for, so that a test can give any name to a server of its own.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use super::http::{Answer, Request, read_request, write_answer};
use super::{Connection, FaultServer, Play};

/// The answer to a request; `None` forwards it.
pub type ProxyHandler = Arc<dyn Fn(&Request) -> Option<Answer> + Send + Sync>;

/// A SOCKS5 proxy.
#[derive(Clone, Copy, Default)]
pub struct Socks5 {
    /// User and password that it wants.
    pub credentials: Option<(&'static str, &'static str)>,
    /// What it replies (RFC 1928, section 6); 0 forwards.
    pub reply: u8,
}

/// A play that answers or forwards.
pub fn proxy(answer: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Play {
    Play::Proxy(Arc::new(answer))
}

/// A play that forwards everything.
pub fn open_proxy() -> Play {
    proxy(|_| None)
}

/// A play that forwards for a user with a password, and answers 407 to all others, telling them what they sent.
pub fn guarded_proxy(user: &'static str, password: &'static str) -> Play {
    let right = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    proxy(move |request| {
        let sent = request.header("proxy-authorization");
        let refusal = || {
            Answer::new(407, format!("<html>{sent} is wrong</html>"))
                .header("Proxy-Authenticate", "Basic realm=\"proxy\"")
                .header("X-Echo", sent)
                .reason(&format!("Not {sent}"))
        };
        (sent != format!("Basic {right}")).then(refusal)
    })
}

/// A play that answers everything with this status.
pub fn refusing_proxy(status: u16, headers: &'static [(&'static str, &'static str)]) -> Play {
    proxy(move |request| {
        let answer = Answer::new(status, format!("<html>{}</html>", request.header("proxy-authorization")));
        Some(headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
    })
}

impl FaultServer {
    pub fn socks5(socks: Socks5) -> Self {
        Self::start(Play::Socks5(socks))
    }
}

pub async fn serve_http(mut connection: Connection, handler: &ProxyHandler) -> io::Result<()> {
    let Some(request) = read_request(&mut connection).await? else { return Ok(()) };
    if let Some(answer) = handler(&request) {
        write_answer(&mut connection, &answer, &request.method, true).await?;
        return connection.shutdown().await;
    }
    let is_tunnel = request.method == "CONNECT";
    let authority = request.target.strip_prefix("http://").unwrap_or(&request.target);
    let (authority, path) = authority.split_once('/').unwrap_or((authority, ""));
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        let refusal = Answer::new(502, "").header("Proxy-Status", "fault; error=connection_refused");
        write_answer(&mut connection, &refusal, &request.method, true).await?;
        return connection.shutdown().await;
    };
    if is_tunnel {
        connection.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        let mut head = format!("{} /{path} HTTP/1.1\r\nConnection: close\r\n", request.method);
        for (name, value) in &request.headers {
            if !matches!(name.as_str(), "connection" | "proxy-authorization" | "proxy-connection") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        server.write_all(format!("{head}\r\n").as_bytes()).await?;
        server.write_all(&request.body).await?;
    }
    connection.flush().await?;
    copy_bidirectional(&mut connection, &mut server).await.map(|_| ())
}

pub async fn serve_socks5(mut connection: Connection, socks: &Socks5) -> io::Result<()> {
    let mut greeting = [0; 2];
    connection.read_exact(&mut greeting).await?;
    let mut methods = vec![0; usize::from(greeting[1])];
    connection.read_exact(&mut methods).await?;
    let method = if socks.credentials.is_some() { 2 } else { 0 };
    if greeting[0] != 5 || !methods.contains(&method) {
        connection.write_all(&[5, 0xff]).await?;
        return connection.shutdown().await;
    }
    connection.write_all(&[5, method]).await?;
    connection.flush().await?;
    if let Some((user, password)) = socks.credentials {
        connection.read_u8().await?;
        let sent_user = read_counted(&mut connection).await?;
        let sent_password = read_counted(&mut connection).await?;
        let is_right = sent_user == user.as_bytes() && sent_password == password.as_bytes();
        connection.write_all(&[1, u8::from(!is_right)]).await?;
        connection.flush().await?;
        if !is_right {
            return connection.shutdown().await;
        }
    }
    let mut request = [0; 4];
    connection.read_exact(&mut request).await?;
    match request[3] {
        1 => drop(connection.read_u32().await?),
        3 => drop(read_counted(&mut connection).await?),
        _ => drop(connection.read_u128().await?),
    }
    let port = connection.read_u16().await?;
    let mut reply = socks.reply;
    let server = TcpStream::connect(("127.0.0.1", port)).await;
    if reply == 0 && server.is_err() {
        reply = 5;
    }
    connection.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    connection.flush().await?;
    match server {
        Ok(mut server) if reply == 0 => copy_bidirectional(&mut connection, &mut server).await.map(|_| ()),
        Ok(_) | Err(_) => connection.shutdown().await,
    }
}

/// A text after its length.
async fn read_counted(connection: &mut Connection) -> io::Result<Vec<u8>> {
    let length = connection.read_u8().await?;
    let mut text = vec![0; usize::from(length)];
    connection.read_exact(&mut text).await?;
    Ok(text)
}
