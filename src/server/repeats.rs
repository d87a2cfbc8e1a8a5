//! What would fill the log where it happens again and again: told at once, then once a minute with how often.

use std::time::Duration;

use tokio::time::Instant;

/// How often the log tells of it.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Counts what happens between two reports.
#[derive(Debug, Default)]
pub struct Repeats {
    unreported: u64,
    reported: Option<Instant>,
}

impl Repeats {
    /// Counts one more. Where it is time for a report, says how many it is about.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.reported.is_some_and(|reported| now.duration_since(reported) < REPORT_INTERVAL) {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_a_minute_tells_of_all() {
        let (start, mut repeats) = (Instant::now(), Repeats::default());
        let seconds = [0, 1, 30, 59, 60, 61, 119, 500, 501];
        let told = seconds.map(|second| repeats.count(start + Duration::from_secs(second)));
        assert_eq!(told, [Some(1), None, None, None, Some(4), None, None, Some(3), None]);
    }
}
