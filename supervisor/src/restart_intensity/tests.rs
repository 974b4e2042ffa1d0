use proptest::prelude::*;

use super::RestartVerdict::{Escalate, Restart};
use super::*;
use crate::clock::{Clock, ManualClock};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Restarts at the given seconds; the last verdict.
fn check(max: u32, period: u64, restarts_at: &[u64], expect: RestartVerdict) {
    let mut window = RestartWindow::new(RestartIntensity::new(max, secs(period)).unwrap());
    let verdicts: Vec<_> =
        restarts_at.iter().map(|at| window.record(MonotonicTime::ORIGIN.after(secs(*at)))).collect();
    let (last, before) = verdicts.split_last().unwrap();
    assert_eq!(*last, expect, "{max} in {period} s, at {restarts_at:?}");
    assert!(!before.contains(&Escalate), "{max} in {period} s, at {restarts_at:?}: escalated early");
}

#[test]
fn escalates_at_the_first_restart_above_the_intensity() {
    check(3, 60, &[0, 1, 2], Restart { restarts_in_window: 3 });
    check(3, 60, &[0, 1, 2, 3], Escalate);
    check(3, 60, &[5, 5, 5, 5], Escalate);
    check(1, 5, &[0], Restart { restarts_in_window: 1 });
    check(1, 5, &[0, 1], Escalate);
}

#[test]
fn intensity_of_zero_allows_no_restart() {
    check(0, 60, &[0], Escalate);
    check(0, 60, &[1_000_000], Escalate);
}

#[test]
fn restart_counts_up_to_the_last_instant_of_its_period() {
    check(1, 5, &[10, 15], Escalate);
    check(1, 5, &[10, 16], Restart { restarts_in_window: 1 });
    check(2, 5, &[0, 4, 6], Restart { restarts_in_window: 2 });
    check(2, 5, &[0, 4, 6, 9], Escalate);
}

#[test]
fn count_is_of_those_that_still_count() {
    let mut window = RestartWindow::new(RestartIntensity::new(2, secs(5)).unwrap());
    for at in [10, 12, 13] {
        window.record(MonotonicTime::ORIGIN.after(secs(at)));
    }
    let check = |at, expect| assert_eq!(window.count(MonotonicTime::ORIGIN.after(secs(at))), expect, "{at}");
    check(13, 2);
    check(15, 2);
    check(16, 1);
    check(18, 0);
}

#[test]
fn slow_failures_never_escalate() {
    let every_six_seconds: Vec<u64> = (0..10_000).map(|restart| restart * 6).collect();
    check(1, 5, &every_six_seconds, Restart { restarts_in_window: 1 });
}

#[test]
fn senseless_intensity_is_refused() {
    assert_eq!(RestartIntensity::new(3, Duration::ZERO), Err(RestartIntensityError::ZeroPeriod));
    let max = RestartIntensity::MAX_LIMIT + 1;
    assert_eq!(RestartIntensity::new(max, secs(1)), Err(RestartIntensityError::MaxTooLarge { max }));
}

/// Restarts of a child that always fails at once and waits the longest delay each time, until it is given up.
fn restarts_until_given_up(intensity: RestartIntensity, backoff: &Backoff) -> Option<u32> {
    let clock = ManualClock::default();
    let mut window = RestartWindow::new(intensity);
    (1..=10_000).find(|restart| {
        let verdict = window.record(clock.now());
        clock.advance(backoff.delay(*restart, &mut || u64::MAX));
        verdict == Escalate
    })
}

#[test]
fn backoff_that_outlasts_the_period_is_refused_because_it_would_never_escalate() {
    let backoff = Backoff::new(secs(1), secs(20)).unwrap();
    let enough = RestartIntensity::new(5, secs(60)).unwrap(); // 1 + 2 + 4 + 8 + 16 + 20 = 51
    assert_eq!(enough.can_be_exceeded_with(&backoff), Ok(()));
    assert_eq!(restarts_until_given_up(enough, &backoff), Some(6));

    let hopeless = RestartIntensity::new(5, secs(30)).unwrap();
    let error = hopeless.can_be_exceeded_with(&backoff).unwrap_err();
    assert_eq!(error, RestartIntensityError::NeverExceeded { max: 5, period: secs(30), delays: secs(51) });
    assert!(error.to_string().contains("6 delays last up to 51s"), "{error}");
    assert_eq!(restarts_until_given_up(hopeless, &backoff), None);
}

/// The rule word for word: keep everything, look at all of it each time.
fn naive(max: u32, period: Duration, restarts: &[MonotonicTime]) -> RestartVerdict {
    let now = restarts[restarts.len() - 1];
    let in_window = restarts.iter().filter(|restart| now.since(**restart) <= period).count() as u32;
    if in_window > max { Escalate } else { Restart { restarts_in_window: in_window } }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn window_agrees_with_the_rule_word_for_word(
        max in 0_u32..8,
        period in 1_u64..40,
        gaps in prop::collection::vec(0_u64..20, 1..60),
    ) {
        let period = Duration::from_millis(period);
        let mut window = RestartWindow::new(RestartIntensity::new(max, period).unwrap());
        let mut restarts = vec![];
        let mut now = MonotonicTime::ORIGIN;
        for gap in gaps {
            now = now.after(Duration::from_millis(gap));
            restarts.push(now);
            let verdict = window.record(now);
            prop_assert_eq!(verdict, naive(max, period, &restarts));
            prop_assert!(window.restarts.len() <= max as usize);
            if verdict == Escalate {
                break;
            }
        }
    }

    #[test]
    fn accepted_pair_of_intensity_and_backoff_gives_up_after_exactly_max_restarts(
        max in 0_u32..20,
        period in 1_u64..100_000,
        first in 1_u64..1000,
        more in 0_u64..10_000,
    ) {
        let intensity = RestartIntensity::new(max, Duration::from_millis(period)).unwrap();
        let backoff = Backoff::new(Duration::from_millis(first), Duration::from_millis(first + more)).unwrap();
        if intensity.can_be_exceeded_with(&backoff).is_ok() {
            prop_assert_eq!(restarts_until_given_up(intensity, &backoff), Some(max + 1));
        }
    }
}
