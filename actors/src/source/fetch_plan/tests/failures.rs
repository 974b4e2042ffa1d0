//! Tries, pauses, other stores, and stores that are not believed.

use super::super::super::stream_limits::Rejected;
use super::*;

#[test]
fn transient_failures_are_tried_again_and_then_go_to_the_next_store() {
    let stores = [FakeStore::new("a", 1), FakeStore::new("b", 1)];
    let mut run = Run::new(&stores, upto(10, 11, AtTip::Fail), limits(4, 10_000));
    for pause in [1, 2] {
        run.fetches(&[(0, 10, 10)]);
        run.fail(10, transient());
        let before = run.now;
        run.wait();
        assert_eq!(run.now.since(before), secs(pause));
    }
    run.fetches(&[(0, 10, 10)]);
    run.fail(10, transient());
    run.fetches(&[(1, 10, 10)]);
    run.found(10);
    run.delivers(1, 10, 10);
    run.fetches(&[(1, 11, 11)]);
}

#[test]
fn server_that_asks_for_a_pause_gets_it() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 11, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 10, 10)]);
    run.fail(10, SourceError::new("f", SourceErrorKind::Throttled { status: 429, after: Some(secs(7)) }));
    run.wait();
    assert_eq!(run.now.since(MonotonicTime::ORIGIN), secs(7));
}

#[test]
fn error_names_every_store_that_was_tried_and_how_often() {
    let stores = [FakeStore::new("first", 1), FakeStore::new("second", 1)];
    let mut run = Run::new(&stores, upto(10, 11, AtTip::Fail), limits(4, 10_000));
    for _ in 0..2 {
        run.next();
        run.fail(10, transient());
        run.wait();
    }
    run.next();
    run.fail(10, transient());
    run.next();
    let missing = stores[1].missing(seq(10));
    run.fail(10, missing);
    let Action::Fail(error) = run.next() else { panic!("goes on") };
    let text = error.to_string();
    assert!(
        text.starts_with("ledger 10: no source gives it: first was tried 3 times in 3.0 s: f: cannot fetch"),
        "{text}"
    );
    assert!(
        text.contains("; second was tried once: key: ledger 10: lake second lacks this ledger"),
        "{text}"
    );
    assert!(matches!(run.next(), Action::End));
}

#[test]
fn ledgers_before_an_error_are_delivered() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 13, AtTip::Fail), limits(4, 10_000));
    run.next();
    run.found(10);
    run.delivers(0, 10, 10);
    run.fetches(&[(0, 11, 11), (0, 12, 12)]);
    let missing = FakeStore::new("a", 1).missing(seq(12));
    run.fail(12, missing);
    assert!(matches!(run.next(), Action::Wait { .. }));
    run.found(11);
    run.delivers(0, 11, 11);
    let Action::Fail(error) = run.next() else { panic!("goes on") };
    assert_eq!(error.ledger, seq(12));
}

#[test]
fn first_store_is_asked_again_after_a_while() {
    let stores = [FakeStore::new("a", 1), FakeStore::new("b", 1)];
    let mut run = Run::new(&stores, upto(10, 99, AtTip::Fail), limits(1, 10_000));
    run.next();
    let missing = stores[0].missing(seq(10));
    run.fail(10, missing);
    run.next();
    run.found(10);
    run.delivers(1, 10, 10);
    run.now = run.now.after(secs(299));
    run.fetches(&[(1, 11, 11)]);
    run.found(11);
    run.delivers(1, 11, 11);
    run.now = run.now.after(secs(1));
    run.fetches(&[(0, 12, 12)]);
}

#[test]
fn rejected_chunk_is_taken_from_another_store() {
    let stores = [FakeStore::new("a", 5), FakeStore::new("b", 1)];
    let rejected = vec![Rejected { ledger: seq(12), source: 0 }];
    let start = StreamStart { rejected: rejected.clone(), ..upto(11, 16, AtTip::Fail) };
    let mut run = Run::new(&stores, start, limits(4, 10_000));
    for ledger in 11..=12 {
        run.next();
        run.found(ledger);
        run.delivers(1, ledger, ledger);
    }
    // What lies after it is not suspected, but the store is left for a while as if it had failed.
    assert!(run.next_source() == 1);
    let both = [rejected, vec![Rejected { ledger: seq(11), source: 1 }]].concat();
    let start = StreamStart { rejected: both, ..upto(11, 16, AtTip::Fail) };
    let Action::Fail(error) = Run::new(&stores, start, limits(4, 10_000)).next() else { panic!("goes on") };
    assert!(error.to_string().contains("what each one gave was rejected"), "{error}");
}

#[test]
fn store_that_gives_other_ledgers_is_not_believed() {
    for ranges in [vec![], vec![11..=11], vec![10..=10, 12..=12], vec![10..=11, 11..=11], vec![10..=21]] {
        let mut run = Run::new(&[FakeStore::new("a", 10)], upto(10, 19, AtTip::Fail), limits(4, 10_000));
        run.next();
        let fetch = run.take(10);
        let objects = ranges.iter().map(|range| object(seq(*range.start())..=seq(*range.end()), 1)).collect();
        run.plan.found(fetch.id, objects, run.now, &mut || u64::MAX);
        let action = run.next();
        assert!(matches!(action, Action::Wait { until: Some(_), .. }), "{ranges:?}: {action:?}");
    }
}
