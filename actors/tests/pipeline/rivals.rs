//! Other writers of the same dataset.

use std::time::Duration;

use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Clock, ExitReason, SystemClock};

use crate::made::{FIRST, LAST, Source, WITHIN, check_rows, pipeline, start};
use crate::objects::{Fate, Objects};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pipelines_write_one_dataset_as_one() {
    let objects = Objects::sound();
    let writer = |name: &str, per_object| pipeline(name, &[Source::sound(per_object)], &objects, 8, LAST);
    let running = start(vec![writer("one", 3), writer("two", 4)]).await;
    running.end_normally().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, LAST).await;
    let undisturbed = Objects::sound();
    start(vec![pipeline("main", &[Source::sound(4)], &undisturbed, 8, LAST)]).await.end_normally().await;
    assert_eq!(objects.contents().await, undisturbed.contents().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rival_that_ends_a_slot_earlier_costs_one_restart_of_each_output() {
    // Ours waits before its first slot until the rival has put a shorter one there.
    let objects = Objects::new(|is_put, path| {
        let is_ours = path.contains("/data/") && path.contains("-15-");
        if is_put && is_ours { Fate::Waits } else { Fate::Done }
    });
    let ours = start(vec![pipeline("ours", &[Source::sound(4)], &objects, 16, LAST)]).await;
    let rival = start(vec![pipeline("rival", &[Source::sound(4)], &objects, 16, FIRST + 4)]).await;
    rival.end_normally().await;
    objects.open_gate();
    ours.end_normally().await;
    // Whoever sends to an output that ended so may fail too, and be told before it.
    let (told, others): (Vec<_>, Vec<_>) = ours
        .restarts()
        .into_iter()
        .partition(|report| report.contains("another writer ended a slot inside of"));
    assert!((1..=2).contains(&told.len()), "{told:?} {others:?}");
    assert!(others.iter().all(|report| report.contains("has ended")), "{others:?}");
    check_rows(&objects, LAST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_of_another_history_is_not_gone_on_with() {
    let objects = Objects::sound();
    let other = Source::new("other", 2, 4, |_, _| None);
    start(vec![pipeline("other", &[other], &objects, 8, 20)]).await.end_normally().await;
    let before = objects.contents().await;
    let running = start(vec![pipeline("main", &[Source::sound(4)], &objects, 8, LAST)]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    assert!(running.parked()[0].contains("ledger 21"), "{:?}", running.parked());
    assert!(objects.contents().await == before, "nothing of it is written");
}

/// Pipelines on ranges of whole slots, in any order: a later one stores what it has and waits for its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_at_once_give_the_dataset_of_one_pipeline() {
    let undisturbed = Objects::sound();
    start(vec![pipeline("main", &[Source::sound(4)], &undisturbed, 8, LAST)]).await.end_normally().await;
    for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 0, 3, 1]] {
        let objects = Objects::sound();
        let bounds = [(FIRST, 23), (24, 31), (32, 71), (72, LAST)];
        let range = |index: usize| {
            let (from, to) = bounds[index];
            let whole = pipeline(&format!("range-{from}"), &[Source::sound(4)], &objects, 8, to);
            SupervisedPipeline { from: Some(LedgerSequence(from)), ..whole }
        };
        // The first three are under way before the last begins.
        let [first @ .., last] = order;
        let early = start(first.map(range).to_vec()).await;
        let late = start(vec![range(last)]).await;
        late.end_normally().await;
        early.end_normally().await;
        assert_eq!((early.restarts(), late.restarts()), (Vec::new(), Vec::new()), "{order:?}");
        check_rows(&objects, LAST).await;
        assert_eq!(objects.contents().await, undisturbed.contents().await, "{order:?}");
    }
}

/// Waiting for the turn of stored slots takes as long as others take; being stopped must not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_waits_for_its_turn_is_stopped_at_once() {
    let clock = SystemClock::new();
    for is_at_its_end in [false, true] {
        let objects = Objects::sound();
        // More slots than may be stored ahead, or all of them stored and the first not due.
        let (from, to) = if is_at_its_end { (24, 39) } else { (24, LAST) };
        let whole = pipeline("range", &[Source::sound(4)], &objects, 8, to);
        let running = start(vec![SupervisedPipeline { from: Some(LedgerSequence(from)), ..whole }]).await;
        let stored = if is_at_its_end { 2 * 2 } else { 2 * 5 };
        let files = async {
            let is_file = |path: &String| path.ends_with(".parquet");
            while objects.contents().await.keys().filter(|path| is_file(path)).count() < stored {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, files).await.expect("nothing is stored ahead");
        running.settle().await;
        let told = clock.now();
        running.handle.stop(WITHIN).await;
        let took = clock.now().since(told);
        assert!(took < Duration::from_secs(3), "it took {took:?} to stop");
        // Nothing of it is in the way of those who go on.
        start(vec![pipeline("main", &[Source::sound(4)], &objects, 8, LAST)]).await.end_normally().await;
        check_rows(&objects, LAST).await;
    }
}

/// Whoever is given ledgers that the dataset has already, or has in part, does the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_is_done_in_part_is_ended() {
    let objects = Objects::sound();
    start(vec![pipeline("main", &[Source::sound(4)], &objects, 8, 39)]).await.end_normally().await;
    for (from, to) in [(24, 31), (32, 71), (FIRST, 50), (72, LAST)] {
        let whole = pipeline("range", &[Source::sound(4)], &objects, 8, to);
        let running = start(vec![SupervisedPipeline { from: Some(LedgerSequence(from)), ..whole }]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new(), "{from}..={to}");
    }
    check_rows(&objects, LAST).await;
}
