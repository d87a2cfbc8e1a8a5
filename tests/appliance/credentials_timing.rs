//! Wrong passwords of known and of unknown users take the same time.
//!
//! Not a timed assertion on one run: pairs of both in random order, and a bootstrap of the median of their differences.
//! The test passes when the interval that holds it with 99 % lies within [`MARGIN`] of the median time; samples are added
//! until it does, up to a bound. A user who is looked up without hashing would differ by the whole.

use std::time::{Duration, Instant};

use crate::durability::workload::{Random, count};
use crate::harness::http::basic;
use crate::harness::keep_alive::{Connection, LOCALHOST, get};
use crate::harness::service::{Service, TestDirectory};

const CONNECTORS: &str = "/api/v2/cloud_connectors";
/// Of the median time of one sign-in: far less than one of argon2's passes over its memory.
const MARGIN: f64 = 0.1;
const RESAMPLES: usize = 2000;

#[test]
fn known_and_unknown_users_cannot_be_told_apart_by_time() {
    let directory = TestDirectory::new();
    let settings =
        [("limits.failures_per_address", "1000000"), ("limits.failures_per_user_and_address", "1000000")];
    let service = Service::start_with_settings(directory.path(), &settings);
    let mut random = Random::new("timing");
    let (least, most) = (count(100, 1000), count(1500, 5000));
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    loop {
        pairs.extend(sample(&service, least, &mut random));
        let typical = median(&mut pairs.iter().map(|(known, _)| *known).collect::<Vec<_>>());
        let mut differences: Vec<f64> = pairs.iter().map(|(known, unknown)| known - unknown).collect();
        let (low, high) = interval(&differences, &mut random);
        let margin = typical * MARGIN;
        if -margin < low && high < margin {
            eprintln!(
                "figure: wrong password of a known and of an unknown user, {} pairs: median {typical:.2} ms, median difference \
                 {:.3} ms, with 99 % in {low:.3} to {high:.3} ms (margin {margin:.2} ms)",
                pairs.len(),
                median(&mut differences),
            );
            break;
        }
        assert!(
            pairs.len() < most,
            "known and unknown users differ by {low:.3} to {high:.3} ms of {typical:.2} ms in {} pairs",
            pairs.len()
        );
    }
    service.stop();
}

/// Milliseconds for a known and for an unknown user, in random order.
fn sample(service: &Service, pairs: usize, random: &mut Random) -> Vec<(f64, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = Connection::open(service.address(), LOCALHOST).await.expect("connected");
        let mut sampled = Vec::new();
        for _ in 0..pairs {
            let is_known_first = random.below(2) == 0;
            let mut pair = (0.0, 0.0);
            for is_known in [is_known_first, !is_known_first] {
                let password = format!("wrong {:016x}", random.next());
                // Names of the same length.
                let name =
                    if is_known { "admin".to_owned() } else { format!("u{:04}", random.below(10_000)) };
                let request = get(CONNECTORS, &basic(&name, &password));
                let began = Instant::now();
                assert_eq!(connection.ask(&request).await.expect("an answer").status, 401);
                let milliseconds = began.elapsed().div_duration_f64(Duration::from_millis(1));
                if is_known { pair.0 = milliseconds } else { pair.1 = milliseconds }
            }
            sampled.push(pair);
        }
        sampled
    })
}

/// Where the median of the differences lies with 99 %: percentiles of the medians of samples drawn with replacement.
fn interval(differences: &[f64], random: &mut Random) -> (f64, f64) {
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn =
                (0..differences.len()).map(|_| differences[random.below(differences.len() as u64) as usize]);
            median(&mut drawn.collect::<Vec<f64>>())
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    (medians[RESAMPLES / 200], medians[RESAMPLES - 1 - RESAMPLES / 200])
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
