//! From when until when a certificate holds.

use std::time::Duration;

use tokio_rustls::rustls::pki_types::UnixTime;

use super::error::CertificateError;

/// Clocks of machines differ: a certificate holds from a little before it was issued.
const BACKDATED: Duration = Duration::from_secs(300);

/// The last second of the year 9999, beyond which X.509 has no dates (RFC 5280, 4.1.2.5).
const LAST_SECOND: u64 = 253_402_300_799;

/// A span of wall time, in whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub from: u64,
    /// Last second.
    pub until: u64,
}

impl Validity {
    /// From five minutes ago until `valid_for` from now.
    pub fn starting_now(valid_for: Duration) -> Self {
        Self::starting_at(UnixTime::now(), valid_for)
    }

    /// As if it were `now`.
    pub fn starting_at(now: UnixTime, valid_for: Duration) -> Self {
        let now = now.as_secs();
        Self {
            from: now.saturating_sub(BACKDATED.as_secs()),
            until: now.saturating_add(valid_for.as_secs()).min(LAST_SECOND),
        }
    }

    /// Writes it into what a certificate is made of.
    pub(super) fn apply(self, parameters: &mut rcgen::CertificateParams) -> Result<(), CertificateError> {
        if self.until <= self.from {
            let reason = format!("it begins at {}; give at least a second", date(self.from));
            return Err(CertificateError::Validity { until: date(self.until), reason });
        }
        let origin = rcgen::date_time_ymd(1970, 1, 1);
        parameters.not_before = origin + Duration::from_secs(self.from.min(LAST_SECOND));
        parameters.not_after = origin + Duration::from_secs(self.until.min(LAST_SECOND));
        Ok(())
    }
}

/// Seconds since 1970 as people read them, in UTC.
pub(super) fn date(seconds: u64) -> String {
    let moment = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.min(LAST_SECOND));
    let (hour, minute, second) = moment.to_hms();
    let month = u8::from(moment.month());
    format!("{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", moment.year(), moment.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |seconds, expect: &str| assert_eq!(date(seconds), expect);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_764_000_000, "2025-11-24T16:00:00Z");
        check(LAST_SECOND, "9999-12-31T23:59:59Z");
        check(u64::MAX, "9999-12-31T23:59:59Z");
    }

    #[test]
    fn validity_is_backdated_and_ends_within_the_calendar() {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1000));
        let day = Validity::starting_at(now, Duration::from_secs(86_400));
        assert_eq!(day, Validity { from: 700, until: 87_400 });
        assert_eq!(Validity::starting_at(now, Duration::MAX).until, LAST_SECOND);
    }
}
