//! Fetches ahead, and what comes of them in order.

use super::*;

#[test]
fn fetches_ahead_double_up_to_the_depth_and_deliver_in_order() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 17, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 10, 10)]);
    run.found(10);
    run.delivers(0, 10, 10);
    run.fetches(&[(0, 11, 11), (0, 12, 12)]);
    run.found(12);
    run.fetches(&[(0, 11, 11)]);
    run.found(11);
    run.delivers(0, 11, 11);
    run.delivers(0, 12, 12);
    run.fetches(&[(0, 13, 13), (0, 14, 14), (0, 15, 15), (0, 16, 16)]);
    (13..=16).rev().for_each(|ledger| run.found(ledger));
    (13..=16).for_each(|ledger| run.delivers(0, ledger, ledger));
    run.fetches(&[(0, 17, 17)]);
    run.found(17);
    run.delivers(0, 17, 17);
    assert!(matches!(run.next(), Action::End));
    assert_eq!(run.free, 10_000);
}

#[test]
fn objects_of_many_ledgers_are_clipped_to_what_is_wanted() {
    let mut run = Run::new(&[FakeStore::new("a", 10)], upto(14, 25, AtTip::Fail), limits(4, 10_000));
    run.fetches(&[(0, 14, 19)]);
    run.found(14);
    run.delivers(0, 14, 19);
    run.fetches(&[(0, 20, 25)]);
}

#[test]
fn larger_object_than_its_share_is_fetched_again_with_room() {
    let mut run = Run::new(&[FakeStore::new("a", 1)], upto(10, 30, AtTip::Fail), limits(4, 400));
    run.next();
    run.found(10);
    run.delivers(0, 10, 10);
    run.fetches(&[(0, 11, 11), (0, 12, 12)]);
    let fetch = run.take(11);
    run.plan.too_large(fetch.id, 350);
    // The one behind it is given up, so that there is room.
    run.fetches(&[(0, 11, 11)]);
    assert_eq!((run.running[0].bytes_max, run.free), (350, 50));
    run.found(11);
    run.delivers(0, 11, 11);
    run.fetches(&[(0, 12, 12), (0, 13, 13), (0, 14, 14), (0, 15, 15)]);
}

#[test]
fn short_answer_is_completed_by_another_fetch() {
    let mut run = Run::new(&[FakeStore::new("a", 10)], upto(10, 29, AtTip::Fail), limits(4, 10_000));
    run.next();
    let fetch = run.take(10);
    let objects = vec![object(seq(10)..=seq(10), 1), object(seq(11)..=seq(13), 1)];
    run.plan.found(fetch.id, objects, run.now, &mut || u64::MAX);
    run.delivers(0, 10, 13);
    run.fetches(&[(0, 14, 19), (0, 20, 29)]);
}
