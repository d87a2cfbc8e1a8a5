//! Thousands of clients that send a byte a second: everybody else is served as before, and all are closed in their limit.
//!
//! The count is a short one, with limits in proportion; with `CONNECTORD_TEST_FULL` set there are 2,000 against the
//! limits that are the default.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::harness::http::Client;
use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
/// "As before": the slowest request of a hundred takes at most so many times as long as without the slow clients, and
/// what a busy machine adds to any. One that waits for a slow client, or for a connection, takes a second or more.
const RATIO_MAX: u32 = 10;
const NOISE: Duration = Duration::from_millis(50);
/// What a busy machine may add to the limit of a connection.
const LATE: Duration = Duration::from_secs(3);

/// Where the slow clients are.
#[derive(Debug, Clone, Copy)]
enum From {
    OneAddress,
    ManyAddresses,
}

/// What comes slowly.
#[derive(Debug, Clone, Copy)]
enum Part {
    Header,
    Body,
}

impl From {
    fn address(self, number: u32) -> IpAddr {
        let number = match self {
            From::OneAddress => 7,
            From::ManyAddresses => 7 + number * 251,
        };
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number))
    }
}

impl Part {
    fn beginning(self, key: &str) -> String {
        match self {
            Part::Header => "GET /healthz HTTP/1.1\r\nHost: h\r\nX-Slow: ".to_owned(),
            Part::Body => format!(
                "POST {CONNECTORS} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
            ),
        }
    }
}

/// Sends the beginning, then a byte a second, until the service closes the connection; says how long it was open.
async fn drip(from: IpAddr, to: SocketAddr, beginning: String) -> std::io::Result<Duration> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let mut stream = socket.connect(to).await?;
    let opened = Instant::now();
    // A service that has closed already says so below.
    let _ = stream.write_all(beginning.as_bytes()).await;
    let (mut reader, mut writer) = stream.split();
    let closed = async {
        let mut buffer = [0; 1024];
        while matches!(reader.read(&mut buffer).await, Ok(1..)) {}
    };
    let sending = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = writer.write_all(b" ").await;
        }
    };
    tokio::select! {
        () = closed => {}
        () = sending => {}
    }
    Ok(opened.elapsed())
}

/// Asks as others do, each request over a connection of its own; how long each took, in order.
fn ask(client: &Client, during: Duration) -> Vec<Duration> {
    let ask_alone = || {
        let started = Instant::now();
        let mut latencies = Vec::new();
        while started.elapsed() < during {
            for target in ["/healthz", CONNECTORS] {
                let asked = Instant::now();
                client.get(target).expect_status(200);
                latencies.push(asked.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        latencies
    };
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(ask_alone));
        threads.into_iter().flat_map(|thread| thread.join().expect("all are served")).collect()
    });
    latencies.sort();
    latencies
}

fn percentile_99(latencies: &[Duration]) -> Duration {
    latencies[latencies.len() * 99 / 100]
}

#[test]
fn slow_clients_hold_nobody_up_and_are_closed_in_their_limit() {
    let is_full = std::env::var_os("CONNECTORD_TEST_FULL").is_some();
    let (count, limit_secs, settings) = if is_full {
        (2000, 10, "")
    } else {
        let settings = "[limits]\nconnections = 200\nconnections_per_address = 100\nheader_timeout_secs = 3\nbody_timeout_secs = 3\n";
        (400, 3, settings)
    };
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: files.maximum, maximum: files.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)
        .expect("up to the maximum is allowed");

    let directory = TestDirectory::new();
    let config = directory.path().join("connectord.toml");
    std::fs::write(&config, settings).expect("written");
    let service = Service::start_with(directory.path(), &["--config", &config.display().to_string()]);
    let address: SocketAddr = service.address().parse().expect("an address");
    let key = service.make_key(&["cloud_connectors/index", "cloud_connectors/create"]);
    let client = service.with_key(&key);
    client.get(CONNECTORS).expect_status(200);
    let before = percentile_99(&ask(&client, Duration::from_secs(2)));

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for part in [Part::Header, Part::Body] {
        for from in [From::OneAddress, From::ManyAddresses] {
            let slow: Vec<_> = (0..count)
                .map(|number| runtime.spawn(drip(from.address(number), address, part.beginning(&key))))
                .collect();
            let latencies = ask(&client, Duration::from_secs(limit_secs));
            let during = percentile_99(&latencies);
            let open: Vec<Duration> = slow
                .into_iter()
                .map(|slow| runtime.block_on(slow).expect("no panic").expect("connected"))
                .collect();
            let longest = open.iter().max().expect("many");
            eprintln!(
                "figure: {count} slow clients, {part:?}, {from:?}: of {} other requests p99 {during:.1?} (before: {before:.1?}), longest connection {longest:.1?}",
                latencies.len()
            );
            assert!(during <= before * RATIO_MAX + NOISE, "{part:?} {from:?}: {during:?}, before {before:?}");
            assert!(*longest <= Duration::from_secs(limit_secs) + LATE, "{part:?} {from:?}: {longest:?}");
        }
    }
    assert_eq!(client.get(CONNECTORS).json()["count"], 0);
    service.stop();
}
