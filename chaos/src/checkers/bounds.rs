//! I10 bounded resources, I11 liveness.

use std::collections::BTreeMap;

use super::{Finding, Findings};
use crate::history::{Entry, Op};

/// Moments at which a trend must have been looked at: fewer say nothing.
const MOMENTS_MIN: usize = 10;

/// I10: no gauge is above its bound; what is to come back comes back once the faults have ended; what may not grow does not.
pub fn bounded(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(10);
    let mut levels: BTreeMap<&str, Level> = BTreeMap::new();
    let mut trends: BTreeMap<&str, Trend> = BTreeMap::new();
    let mut is_healed = false;
    for entry in history {
        match &entry.what {
            Op::Gauge { name, value, max } if value > max => {
                findings.add(format!("{name} of {} is {value}, at most {max} may be", entry.process));
            }
            Op::Level { name, value, slack } => {
                let level = levels.entry(name).or_insert(Level { first: *value, slack: *slack, last: None });
                level.last = is_healed.then_some(*value);
            }
            Op::Trend { name, value, per_hour_max } => {
                let new = || Trend { per_hour_max: *per_hour_max, moments: Vec::new() };
                trends.entry(name).or_insert_with(new).moments.push((entry.at_us, *value));
            }
            Op::Healed { .. } => is_healed = true,
            _ => {}
        }
    }
    for (name, Level { first, slack, last }) in levels.into_iter().filter(|_| is_healed) {
        match last {
            Some(last) if last <= first.saturating_add(slack) => {}
            Some(last) => {
                findings.add(format!(
                    "{name} is {last} after the faults, {first} before them, {slack} more may be"
                ));
            }
            None => findings.add(format!("{name} was {first}, and nobody looked again after the faults")),
        }
    }
    for (name, Trend { per_hour_max, moments }) in trends {
        match growth_per_hour(&moments) {
            Some(growth) if growth <= per_hour_max as f64 => {}
            Some(growth) => {
                findings.add(format!("{name} grows by {growth:.0} an hour, at most {per_hour_max} may be"));
            }
            None => findings.add(format!("{name} was looked at {} times: too few to tell", moments.len())),
        }
    }
    findings.found
}

/// What is to come back.
struct Level {
    first: u64,
    slack: u64,
    /// As it was seen last, if that was after the faults.
    last: Option<u64>,
}

/// What may not grow.
struct Trend {
    per_hour_max: u64,
    /// In microseconds, and what it was.
    moments: Vec<(u64, u64)>,
}

/// Slope of the line of least squares through moments in microseconds, in an hour. `None` of too few, or of one moment alone.
fn growth_per_hour(moments: &[(u64, u64)]) -> Option<f64> {
    let count = moments.len() as f64;
    let hours = |at_us: u64| at_us as f64 / 3.6e9;
    let mean_hours = moments.iter().map(|(at, _)| hours(*at)).sum::<f64>() / count;
    let mean = moments.iter().map(|(_, value)| *value as f64).sum::<f64>() / count;
    let (mut together, mut alone) = (0.0, 0.0);
    for (at, value) in moments {
        let late = hours(*at) - mean_hours;
        together += late * (*value as f64 - mean);
        alone += late * late;
    }
    (moments.len() >= MOMENTS_MIN && alone > 0.0).then(|| together / alone)
}

/// I11: who is awaited is done within the time after the faults have ended, and nobody has stopped for a person where
/// nothing false was given to anybody.
pub fn liveness(history: &[Entry]) -> Vec<Finding> {
    let mut findings = Findings::of(11);
    let (mut awaited, mut healed) = (BTreeMap::new(), None);
    let mut halted: Vec<(&str, &str)> = Vec::new();
    let mut is_tampered = false;
    for entry in history {
        match &entry.what {
            Op::Healed { within_us } => healed = Some(entry.at_us.saturating_add(*within_us)),
            // Who was done before the faults ended is done.
            Op::Awaited { subject } => drop(awaited.entry(subject.as_str()).or_insert(None)),
            Op::Done { subject } => drop(awaited.insert(subject.as_str(), Some(entry.at_us))),
            Op::Halted { subject, reason } => halted.push((subject, reason)),
            Op::Tampered { .. } => is_tampered = true,
            _ => {}
        }
    }
    for (subject, reason) in halted.into_iter().filter(|_| !is_tampered) {
        findings.add(format!("{subject} halted though nothing was false: {reason}"));
    }
    let Some(deadline) = healed else { return findings.found };
    for (subject, done) in awaited {
        match done {
            Some(at) if at <= deadline => {}
            Some(at) => findings.add(format!("{subject} was done at {at} us, {} us late", at - deadline)),
            None => findings.add(format!("{subject} was never done")),
        }
    }
    findings.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::tests::{check, seen};

    #[test]
    fn what_is_above_its_bound_is_found() {
        let gauge = |value| Op::Gauge { name: "batches".to_owned(), value, max: 3 };
        check(bounded, &seen([gauge(0), gauge(3)]), "");
        check(bounded, &seen([gauge(4)]), "batches of p is 4, at most 3 may be");
    }

    #[test]
    fn what_does_not_come_back_after_the_faults_is_found() {
        let level = |value| Op::Level { name: "files".to_owned(), value, slack: 2 };
        let healed = || Op::Healed { within_us: 1 };
        check(bounded, &seen([level(5), level(90), healed(), level(40), level(7)]), "");
        check(
            bounded,
            &seen([level(5), level(90), healed(), level(8)]),
            "files is 8 after the faults, 5 before",
        );
        check(bounded, &seen([level(5), level(5), healed()]), "nobody looked again");
        check(bounded, &seen([level(5), level(90)]), "");
    }

    #[test]
    fn what_grows_is_found_though_it_goes_up_and_down() {
        let of = |value: fn(u64) -> u64, count: u64| {
            let trend =
                |at| Op::Trend { name: "memory".to_owned(), value: value(at), per_hour_max: 1_000_000 };
            seen((0..count).map(trend))
        };
        // A moment is a millisecond: one more each makes 3.6 millions an hour.
        check(bounded, &of(|_| 7, 60), "");
        check(bounded, &of(|at| 1000 + at % 2 * 500, 61), "");
        check(bounded, &of(|at| 1000 + at + at % 2 * 500, 600), "memory grows by 36");
        check(bounded, &of(|at| 1000 - at, 60), "");
        check(bounded, &of(|_| 7, 9), "looked at 9 times: too few");
    }

    #[test]
    fn what_is_not_done_in_time_is_found() {
        let awaited = || Op::Awaited { subject: "w".to_owned() };
        let done = || Op::Done { subject: "w".to_owned() };
        let healed = |within_us| Op::Healed { within_us };
        check(liveness, &seen([awaited(), healed(5000), done()]), "");
        check(liveness, &seen([awaited(), healed(500), done()]), "w was done at 2000 us, 500 us late");
        check(liveness, &seen([done(), awaited(), healed(5000)]), "");
        check(liveness, &seen([awaited(), healed(5000)]), "w was never done");
        let halted = || Op::Halted { subject: "w".to_owned(), reason: "no".to_owned() };
        check(liveness, &seen([halted()]), "w halted though nothing was false: no");
        let tampered = Op::Tampered { pipeline: "w".to_owned(), ledger: 1, hash: String::new() };
        check(liveness, &seen([tampered, halted()]), "");
    }
}
