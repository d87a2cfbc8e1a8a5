//! A real S3 server in the test's own process: s3s-fs, which checks signatures and leaves Owner out of its lists.

use std::path::Path;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

pub const ACCESS_KEY: &str = "test-access-key";
pub const SECRET_KEY: &str = "test-secret-key-f00d";

/// Starts a server over a directory, whose folders are its buckets; it ends with the test's process.
pub fn start(directory: &Path) -> String {
    start_slow(directory, Duration::ZERO)
}

/// The same with a pause before each answer, as of a server far away.
pub fn start_slow(directory: &Path, pause: Duration) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    listener.set_nonblocking(true).expect("set");
    let files = FileSystem::new(directory).expect("a file system");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let service = service.clone();
                    async move {
                        tokio::time::sleep(pause).await;
                        service.call(request.map(s3s::Body::from)).await
                    }
                });
                tokio::spawn(async move {
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    });
    address
}

/// A server that accepts connections and never answers.
pub fn start_silent() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            held.push(stream);
        }
    });
    address
}
