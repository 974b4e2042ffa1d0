//! Where no more ledgers are yet.

use super::*;

#[test]
fn missing_ledger_at_the_tip_is_an_error_for_who_does_not_wait() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 11, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 10, 10)]);
    assert!(!run.not_yet(10).refresh_tip);
    run.fetches(&[(0, 10, 10)]);
    assert!(run.not_yet(10).refresh_tip, "a gap is told from the tip before it is reported");
    let Action::Fail(error) = run.next() else { panic!("goes on") };
    assert!(matches!(error.tried[0].error.kind, SourceErrorKind::MissingLedger { .. }), "{error}");
}

#[test]
fn tip_is_followed_by_one_fetch_at_a_time() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], StreamStart::follow(seq(10)), limits(8, 10_000));
    for ledger in 10..=12 {
        run.next();
        run.found(ledger);
        run.delivers(0, ledger, ledger);
    }
    // Eight ahead; nothing is there: one is left.
    run.next();
    assert_eq!(run.fetching().len(), 8);
    run.not_yet(20);
    run.not_yet(13);
    run.wait();
    run.fetches(&[(0, 13, 13)]);
    assert!(run.not_yet(13).refresh_tip);
    run.wait();
    run.fetches(&[(0, 13, 13)]);
    assert!(!run.running[0].refresh_tip);
    run.found(13);
    let found = run.now;
    run.delivers(0, 13, 13);
    // The next one is asked for when it is due.
    run.fetches(&[]);
    run.wait();
    assert!(run.now.since(found) > Duration::from_millis(900));
    run.fetches(&[(0, 14, 14)]);
}

#[test]
fn stream_that_was_held_up_at_the_tip_catches_up() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], StreamStart::follow(seq(10)), limits(8, 10_000));
    run.next();
    run.not_yet(10);
    run.wait();
    run.next();
    run.found(10);
    run.delivers(0, 10, 10);
    run.now = run.now.after(secs(100));
    for ledger in 11..=13 {
        run.next();
        run.found(ledger);
        run.delivers(0, ledger, ledger);
    }
    run.next();
    assert_eq!(run.fetching().len(), 8);
}

#[test]
fn store_that_has_stopped_loses_the_tip_to_one_that_goes_on() {
    let stores = [FakeStore::new("a", 1), FakeStore::new("b", 1)];
    let mut run = Run::new(&stores, StreamStart::follow(seq(10)), limits(8, 10_000));
    let mut polls = 0;
    loop {
        run.next();
        if run.running[0].source == 1 {
            break;
        }
        run.not_yet(10);
        polls += 1;
        run.wait();
    }
    assert!(run.now.since(MonotonicTime::ORIGIN) >= secs(30), "after {polls} polls");
    assert!(polls <= 20, "{polls}");
    run.found(10);
    run.delivers(1, 10, 10);
    run.wait();
    run.fetches(&[(1, 11, 11)]);
}
