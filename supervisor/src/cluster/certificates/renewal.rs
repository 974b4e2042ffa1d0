//! Certificates that change under a running node, and those that run out.

use std::time::Duration;

use metrics::gauge;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::credentials::Credentials;
use super::validity::{Validity, date};
use crate::{Metric, Shown};

const EXPIRY: &str = "orrery_certificate_expiry_seconds";

/// When the certificate runs out.
pub const METRICS: [Metric; 1] = [Metric::gauge(
    EXPIRY,
    "unix seconds",
    "When the certificate of this node of a cluster runs out, in seconds since 1970 (UTC).",
)
.shown(Shown::Sometimes)];

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks in a row that fail before it is said: files that are copied one after the other do not fit each other for a
/// moment.
const FAILURES_SAID: u32 = 2;

/// A certificate is soon to run out when it has less than this left, or a third of its whole time if that is less.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Between two words about that.
const SAY_EVERY: Duration = Duration::from_secs(86_400);

/// What is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// A new certificate is in use.
    Renewed,
    /// The files are not used, and why.
    Refused(String),
    /// It runs out after this time; none is left if it has.
    RunsOut(Duration),
}

/// Decides what is worth a word.
#[derive(Debug, Default)]
struct Renewal {
    failures: u32,
    refused: Option<String>,
    warned_at: Option<u64>,
}

impl Renewal {
    /// The files were looked at; `now` is in seconds since 1970.
    fn looked(&mut self, result: Result<bool, String>, validity: Validity, now: u64) -> Vec<Word> {
        let mut words = Vec::new();
        match result {
            Ok(is_new) => {
                (self.failures, self.refused) = (0, None);
                if is_new {
                    self.warned_at = None;
                    words.push(Word::Renewed);
                }
            }
            Err(reason) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES_SAID && self.refused.as_ref() != Some(&reason) {
                    self.refused = Some(reason.clone());
                    words.push(Word::Refused(reason));
                }
            }
        }
        let left = Duration::from_secs(validity.until.saturating_sub(now));
        let whole = Duration::from_secs(validity.until.saturating_sub(validity.from));
        let is_due = self.warned_at.is_none_or(|at| now.saturating_sub(at) >= SAY_EVERY.as_secs());
        if left < SOON.min(whole / 3) && is_due {
            self.warned_at = Some(now);
            words.push(Word::RunsOut(left));
        }
        words
    }
}

/// Takes up new certificates, and warns of those that run out, for as long as it is polled.
pub async fn keep_current(credentials: Credentials) {
    let mut renewal = Renewal::default();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let Some(now) = credentials.wall_seconds() else { continue };
        let result = credentials.reload().map_err(|error| error.to_string());
        let validity = credentials.validity();
        gauge!(EXPIRY).set(validity.until as f64);
        for word in renewal.looked(result, validity, now) {
            say(&word, &date(validity.until));
        }
    }
}

fn say(word: &Word, until: &str) {
    match word {
        Word::Renewed => info!(until, "new certificate: new connections use it"),
        Word::Refused(reason) => {
            error!(%reason, until, "new certificate refused: the one from before stays in use");
        }
        Word::RunsOut(Duration::ZERO) => {
            error!(
                until,
                "certificate has run out: nobody accepts this node's new connections; orrery certs issue"
            );
        }
        Word::RunsOut(left) => {
            let days = left.as_secs() / 86_400;
            warn!(until, days, "certificate runs out soon: orrery certs issue, and copy it over the old one");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const YEAR: Validity = Validity { from: 1000 * DAY, until: 1365 * DAY };

    fn refused(reason: &str) -> Word {
        Word::Refused(reason.to_owned())
    }

    #[test]
    fn a_new_certificate_is_told_once_and_a_refused_one_when_it_stays_refused() {
        let mut renewal = Renewal::default();
        let mut check = |result: Result<bool, &str>, expect: &[Word]| {
            let result = result.map_err(str::to_owned);
            assert_eq!(renewal.looked(result.clone(), YEAR, YEAR.from), expect, "{result:?}");
        };
        check(Ok(false), &[]);
        check(Err("half copied"), &[]);
        check(Ok(true), &[Word::Renewed]);
        check(Ok(false), &[]);
        check(Err("foreign"), &[]);
        check(Err("foreign"), &[refused("foreign")]);
        check(Err("foreign"), &[]);
        check(Err("expired"), &[refused("expired")]);
        check(Ok(false), &[]);
        check(Err("expired"), &[]);
        check(Err("expired"), &[refused("expired")]);
    }

    #[test]
    fn who_runs_out_within_a_month_or_a_third_says_so_daily() {
        let check = |validity: Validity, expect: &[u64]| {
            let mut renewal = Renewal::default();
            let minutes = (validity.from..=validity.until + DAY).step_by(60);
            let warned: Vec<u64> = minutes
                .filter(|now| !renewal.looked(Ok(false), validity, *now).is_empty())
                .map(|now| (now - validity.from) / 3600)
                .collect();
            assert_eq!(warned, expect, "{validity:?}");
        };
        let last_month: Vec<u64> = (0..=31).map(|day| (335 + day) * 24).take(31).collect();
        let mut renewal = Renewal::default();
        let days = (YEAR.from..YEAR.until).step_by(60);
        let warned: Vec<u64> = days
            .filter(|now| !renewal.looked(Ok(false), YEAR, *now).is_empty())
            .map(|now| (now - YEAR.from) / 3600)
            .collect();
        assert_eq!((warned.len(), warned.first()), (30, last_month.first()));
        // One for a day: it is renewed when two thirds have passed.
        check(Validity { from: 0, until: DAY }, &[16, 40]);
    }

    #[test]
    fn a_new_certificate_that_runs_out_soon_too_is_warned_of() {
        let mut renewal = Renewal::default();
        let soon = Validity { from: 0, until: 100 * DAY };
        let left = Duration::from_secs(DAY);
        assert_eq!(renewal.looked(Ok(false), soon, 99 * DAY), [Word::RunsOut(left)]);
        assert_eq!(renewal.looked(Ok(true), soon, 99 * DAY), [Word::Renewed, Word::RunsOut(left)]);
        assert_eq!(renewal.looked(Ok(false), soon, 99 * DAY + 60), []);
    }
}
