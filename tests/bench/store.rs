//! Durable creates from 64 threads, beside sled with a flush for each write and SQLite (WAL, synchronous FULL), in one
//! run; and opening a large store. Each figure is the median of interleaved runs; trust the ratios.
//!
//! usage: cargo bench --bench store [-- SECONDS_A_RUN]

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connectord::benchmark::DurableStore;

const THREADS: usize = 64;
const RUNS: usize = 3;
const OPENED_CONNECTORS: usize = 100_000;
/// About what a stored connector takes.
const RECORD_BYTES: usize = 355;

fn main() {
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(3);
    let run_time = Duration::from_secs(seconds);
    let directory = std::env::temp_dir().join(format!("connectord-bench-{}", std::process::id()));
    let mut figures: [Vec<f64>; 3] = Default::default();
    for run in 0..RUNS {
        let place = |name: &str| fresh(&directory, &format!("{name}-{run}"));
        figures[0].push(connectord_creates(&place("connectord"), run_time));
        figures[1].push(sled_creates(&place("sled"), run_time));
        figures[2].push(sqlite_creates(&place("sqlite"), run_time));
    }
    let [ours, sled, sqlite] = figures.map(median);
    println!("durable creates/s, {THREADS} threads, median of {RUNS} runs of {seconds} s");
    println!("  connectord's store      {ours:>9.0}   1.00");
    println!("  sled, flush each write  {sled:>9.0}   {:.2}", sled / ours);
    println!("  SQLite, WAL, FULL       {sqlite:>9.0}   {:.2}", sqlite / ours);

    let place = fresh(&directory, "open");
    fill(&place);
    let opened: Vec<f64> = (0..RUNS).map(|_| open_milliseconds(&place)).collect();
    println!("opening {OPENED_CONNECTORS} connectors: {:.0} ms, median of {RUNS}", median(opened));
    std::fs::remove_dir_all(&directory).expect("removed");
}

fn fresh(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    std::fs::create_dir_all(&path).expect("created");
    path
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Lets all threads write until the time is over; returns writes a second.
fn measure(run_time: Duration, write: impl Fn(u64) + Sync) -> f64 {
    let (counter, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    write(counter.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        std::thread::sleep(run_time);
        is_over.store(true, Ordering::Relaxed);
    });
    counter.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn connectord_creates(directory: &Path, run_time: Duration) -> f64 {
    let store = DurableStore::open(directory).expect("opened");
    let rate = measure(run_time, |number| {
        store.create(&format!("connector {number}")).expect("created");
    });
    store.close();
    rate
}

fn sled_creates(directory: &Path, run_time: Duration) -> f64 {
    let database =
        sled::Config::new().path(directory).cache_capacity(8 * 1024 * 1024).open().expect("opened");
    measure(run_time, |number| {
        database.insert(number.to_be_bytes(), vec![7; RECORD_BYTES]).expect("inserted");
        database.flush().expect("flushed");
    })
}

fn sqlite_creates(directory: &Path, run_time: Duration) -> f64 {
    let connection = rusqlite::Connection::open(directory.join("bench.db")).expect("opened");
    connection.pragma_update(None, "journal_mode", "WAL").expect("set");
    connection.pragma_update(None, "synchronous", "FULL").expect("set");
    connection.execute("CREATE TABLE connectors (id INTEGER PRIMARY KEY, record BLOB)", ()).expect("created");
    let connection = Mutex::new(connection);
    measure(run_time, |_| {
        let connection = connection.lock().expect("no panic");
        let mut insert =
            connection.prepare_cached("INSERT INTO connectors (record) VALUES (?1)").expect("prepared");
        insert.execute((vec![7_u8; RECORD_BYTES],)).expect("inserted");
    })
}

fn fill(directory: &Path) {
    let store = DurableStore::open(directory).expect("opened");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            let numbers = (thread..OPENED_CONNECTORS).step_by(THREADS);
            scope.spawn(move || {
                for number in numbers {
                    store.create(&format!("connector {number}")).expect("created");
                }
            });
        }
    });
    store.close();
}

fn open_milliseconds(directory: &Path) -> f64 {
    let started = Instant::now();
    let store = DurableStore::open(directory).expect("opened");
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(store.count(), OPENED_CONNECTORS);
    store.close();
    milliseconds
}
