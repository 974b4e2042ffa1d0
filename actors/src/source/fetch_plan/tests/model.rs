//! Any course of things.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Answer {
    Found(u16),
    Transient,
    NotYet,
    Missing,
}

proptest! {
    /// Whatever order fetches end in, whatever they bring: ledgers come in order, once, and bytes stay inside the budget.
    #[test]
    fn every_ledger_comes_once_and_in_order(
        units in prop::collection::vec(1..7_u32, 1..4),
        depth in 0..9_usize,
        bytes_max in 200..2_000_usize,
        estimates in 1..500_usize,
        last in 1..60_u32,
        course in prop::collection::vec((any::<usize>(), prop_oneof![
            6 => (1..600_u16).prop_map(Answer::Found),
            2 => Just(Answer::Transient),
            1 => Just(Answer::NotYet),
            1 => Just(Answer::Missing),
        ], 0..20_u64), 400),
    ) {
        let stores: Vec<_> = units.iter().map(|unit| FakeStore::new("s", *unit)).collect();
        stores.iter().for_each(|store| store.estimate.store(estimates, Ordering::Relaxed));
        let start = StreamStart { from: seq(2), to: Some(seq(1 + last)), at_tip: AtTip::Wait, rejected: vec![] };
        let mut run = Run::new(&stores, start, limits(depth, bytes_max));
        let mut due = 2;
        let mut course = course.into_iter();
        let mut answer = |run: &mut Run| {
            // Once the course is over everything is found, so that the stream ends.
            let (which, answer, pause) = course.next().unwrap_or((0, Answer::Found(1), 1));
            run.now = run.now.after(secs(pause));
            let fetch = run.running.remove(which % run.running.len());
            match answer {
                Answer::Found(bytes) if usize::from(bytes) > fetch.bytes_max => run.plan.too_large(fetch.id, bytes.into()),
                Answer::Found(bytes) => run.plan.found(fetch.id, vec![object(fetch.range, bytes.into())], run.now, &mut || u64::MAX),
                Answer::Transient => run.plan.failed(fetch.id, transient(), run.now, &mut || 1 << 63),
                Answer::NotYet => run.plan.not_yet(fetch.id, run.now, &mut || 1 << 63),
                Answer::Missing => {
                    let missing = stores[fetch.source].missing(*fetch.range.start());
                    run.plan.failed(fetch.id, missing, run.now, &mut || 0);
                }
            }
        };
        for _ in 0..5_000 {
            match run.next() {
                Action::Deliver { objects, .. } => {
                    for object in objects {
                        prop_assert_eq!(object.range.start().0, due);
                        due = object.range.end().0 + 1;
                    }
                }
                Action::Wait { .. } if !run.running.is_empty() => {
                    prop_assert!(run.running.len() <= depth.max(1));
                    answer(&mut run);
                }
                Action::Wait { until: Some(until), .. } => run.now = run.now.max(until),
                Action::Wait { room, .. } => prop_assert!(false, "stuck for room {:?} with {} free", room, run.free),
                Action::End => {
                    prop_assert_eq!(due, last + 2);
                    prop_assert_eq!(run.free, bytes_max);
                    return Ok(());
                }
                Action::Fail(error) => {
                    prop_assert_eq!(error.ledger.0, due);
                    prop_assert_eq!(error.tried.len(), stores.len());
                    return Ok(());
                }
                Action::Fetch(_) => unreachable!(),
            }
        }
        prop_assert!(false, "the stream does not end");
    }
}
