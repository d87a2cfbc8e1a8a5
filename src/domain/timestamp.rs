//! Moments in time as the program keeps them: whole milliseconds since 1970, in UTC.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// What the machine's clock says now. On a box without a clock battery that may be wrong.
    pub fn now() -> Self {
        let nanoseconds = OffsetDateTime::now_utc().unix_timestamp_nanos();
        Self((nanoseconds / 1_000_000) as i64)
    }

    /// From a stored count of milliseconds.
    pub const fn from_unix_ms(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// For storing.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339, for example `2026-05-01T00:00:00Z`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self((moment.unix_timestamp_nanos() / 1_000_000) as i64))
    }

    /// As RFC 3339 in UTC. A moment beyond the year 9999 is written as the last that the form holds.
    pub fn to_rfc3339(self) -> String {
        const LAST_MS: i64 = 253_402_300_799_000;
        let milliseconds = self.0.clamp(0, LAST_MS);
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
            .expect("a moment between 1970 and 9999 has an RFC 3339 form")
    }

    /// Whole seconds from `earlier` to this moment; 0 where the clock went backwards.
    pub fn seconds_since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trip_and_bounds() {
        let moment = Timestamp::parse_rfc3339("2026-05-01T02:00:00+02:00").expect("valid");
        assert_eq!(moment.to_rfc3339(), "2026-05-01T00:00:00Z");
        assert_eq!(Timestamp::parse_rfc3339("tomorrow"), None);
        assert_eq!(Timestamp::from_unix_ms(i64::MAX).to_rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(moment.seconds_since(Timestamp::from_unix_ms(i64::MAX)), 0);
    }
}
