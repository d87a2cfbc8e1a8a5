//! A server in the test's own process that plays a script to everybody who connects, mostly a wrong one, and records
//! all that it is sent, so that a test can prove that a secret never arrived, or that nothing did.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub mod http;
pub mod proxy;
pub mod services;
pub mod tls;

use http::{Answer, Request};
use proxy::{ProxyHandler, Socks5};

/// Bytes recorded at most; a test that sends more looks for something else.
const RECORDED_MAX_BYTES: usize = 16 * 1024 * 1024;

/// All servers of the process share it; it ends with the process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// What happens on each connection.
#[derive(Clone)]
pub enum Play {
    /// Nothing is ever answered; what comes is read.
    Silent,
    /// Closed at once.
    Close,
    /// Closed once a request was read.
    CloseAfterRequest,
    /// Broken at once with a TCP reset.
    Reset,
    /// Broken with a TCP reset once a request was read.
    ResetAfterRequest,
    /// These bytes are sent at once, and then nothing.
    Banner(Vec<u8>),
    /// HTTP/1.1 with keep-alive.
    Http(Handler),
    /// An HTTP proxy.
    Proxy(ProxyHandler),
    /// A SOCKS5 proxy.
    Socks5(Socks5),
}

/// Chooses the answer to a request.
pub type Handler = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// What is needed of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// All that a server was sent.
#[derive(Default)]
pub struct Record {
    connections: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    bytes: Mutex<Vec<u8>>,
}

/// A running server.
#[derive(Clone)]
pub struct FaultServer {
    address: SocketAddr,
    scheme: &'static str,
    record: Arc<Record>,
}

impl FaultServer {
    /// Plays without TLS.
    pub fn start(play: Play) -> Self {
        Self::listen(play, None)
    }

    /// Plays within TLS.
    pub fn start_tls(play: Play, config: Arc<ServerConfig>) -> Self {
        Self::listen(play, Some(config))
    }

    /// Answers HTTP requests.
    pub fn http(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(Play::Http(Arc::new(answer)))
    }

    fn listen(play: Play, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let scheme = match (&play, &tls) {
            (Play::Socks5(_), _) => "socks5",
            (_, Some(_)) => "https",
            (_, None) => "http",
        };
        let record = Arc::new(Record::default());
        let server = Self { address, scheme, record: Arc::clone(&record) };
        RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                record.connections.fetch_add(1, Ordering::Relaxed);
                RUNTIME.spawn(serve(stream, play.clone(), tls.clone(), Arc::clone(&record)));
            }
        });
        server
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `scheme://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// The HTTP requests so far, in the order of their coming.
    pub fn requests(&self) -> Vec<Request> {
        self.record.requests.lock().expect("no panic").clone()
    }

    /// Whether these bytes came, in whatever protocol; within TLS they are searched as they were sent.
    pub fn saw(&self, text: &str) -> bool {
        let bytes = self.record.bytes.lock().expect("no panic");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Every credential that came in a header: what must never be shown to anybody.
    pub fn credentials(&self) -> Vec<String> {
        self.requests().iter().flat_map(Request::credentials).collect()
    }
}

/// An address on which no connection is ever completed: its queue of connections is full. It holds as long as the value.
pub struct FullBacklog {
    address: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl FullBacklog {
    pub fn new() -> Self {
        RUNTIME.block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
            let listener = socket.listen(0).expect("it listens");
            let address = listener.local_addr().expect("an address");
            let mut held = Vec::new();
            let patience = Duration::from_millis(300);
            while let Ok(Ok(stream)) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
                held.push(stream);
                assert!(held.len() < 100, "the queue does not get full");
            }
            Self { address, _held: (listener, held) }
        })
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

/// A connection that records what it is sent.
pub struct Connection {
    stream: Box<dyn Stream>,
    record: Arc<Record>,
}

impl Connection {
    pub fn record(&self, request: &Request) {
        self.record.requests.lock().expect("no panic").push(request.clone());
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let mut bytes = self.record.bytes.lock().expect("no panic");
        if bytes.len() < RECORDED_MAX_BYTES {
            bytes.extend_from_slice(&buffer.filled()[before..]);
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn serve(stream: TcpStream, play: Play, tls: Option<Arc<ServerConfig>>, record: Arc<Record>) {
    let _ = stream.set_nodelay(true);
    if matches!(play, Play::Reset | Play::ResetAfterRequest) {
        // With what was sent unread or not, the end of this connection is a reset.
        let _ = stream.set_zero_linger();
    }
    if matches!(play, Play::Close | Play::Reset) {
        // Not before the other side knows that it is connected, so that it is no matter of luck what it sees.
        tokio::time::sleep(Duration::from_millis(30)).await;
        return;
    }
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
    };
    // How a connection ends is the other side's business.
    let _ = act(Connection { stream, record }, play).await;
}

async fn act(mut connection: Connection, play: Play) -> io::Result<()> {
    match play {
        Play::Close | Play::Reset => Ok(()),
        Play::Silent => drain(&mut connection).await,
        Play::CloseAfterRequest | Play::ResetAfterRequest => {
            http::read_request(&mut connection).await.map(|_| ())
        }
        Play::Banner(bytes) => {
            connection.write_all(&bytes).await?;
            connection.flush().await?;
            drain(&mut connection).await
        }
        Play::Http(handler) => http::serve(connection, &handler).await,
        Play::Proxy(handler) => proxy::serve_http(connection, &handler).await,
        Play::Socks5(socks) => proxy::serve_socks5(connection, &socks).await,
    }
}

/// Reads on until the other side ends.
pub async fn drain(connection: &mut Connection) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while connection.read(&mut buffer).await? > 0 {}
    Ok(())
}
