//! Nothing piles up, nothing is passed over, and a range has an end.

use orrery_actors::source::AtTip;
use orrery_supervisor::ExitReason;

use crate::made::{self, FIRST, LAST, Source, check_rows, check_rows_so_far, pipeline, settled, start};
use crate::objects::{Fate, Objects};

/// A store in which every put to a data folder that contains `part` waits for the gate.
fn gated(part: &'static str) -> std::sync::Arc<Objects> {
    Objects::new(move |is_put, path| match is_put && path.contains(part) {
        true => Fate::Waits,
        false => Fate::Done,
    })
}

/// A sink that stands still stops the fetcher when it has sent what the sum says, besides what the sink had taken.
async fn check_stall(part: &'static str, per_object: u32, width: u32) {
    let objects = gated(part);
    let pipeline = pipeline("main", &[Source::sound(per_object)], &objects, width, LAST);
    let (limits, metrics) = (pipeline.limits, pipeline.metrics.clone());
    let running = start(vec![pipeline]).await;
    // The batch that ends the first slot is being written, those before it are taken.
    let first_slot = width - FIRST % width;
    let taken = (first_slot + FIRST % per_object).div_ceil(per_object) - 1;
    let batches = limits.batches_in_flight_max() + taken;
    let objects_until = |batches: u32| u64::from((batches * per_object).min(LAST + 1) - FIRST);
    // Objects are numbered from ledger 0.
    let expected = objects_until(batches + FIRST / per_object);
    let counts = settled(&running, &metrics, |counts| counts.received_ledgers >= expected).await;
    assert_eq!(counts.received_ledgers, expected, "{part} {per_object} {width}: {batches} batches");
    objects.open_gate();
    running.end_normally().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, LAST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_output_stops_the_fetcher_at_exactly_the_written_sum() {
    check_stall("token_transfers/data/", 1, 1).await;
    check_stall("ledgers/data/", 1, 1).await;
    check_stall("ledgers/data/", 1, 16).await;
    check_stall("ledgers/data/", 4, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_any_size_fill_slots_of_any_size() {
    let mut seen = std::collections::BTreeMap::new();
    for (per_object, width) in [(1, 7), (7, 7), (16, 7), (64, 7), (5, 64), (64, 64), (3, 1024)] {
        let objects = Objects::sound();
        let running = start(vec![pipeline("main", &[Source::sound(per_object)], &objects, width, 90)]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new(), "{per_object} {width}");
        check_rows(&objects, 90).await;
        let contents = objects.contents().await;
        let first = seen.entry(width).or_insert_with(|| contents.clone());
        assert_eq!(*first, contents, "objects of {per_object} ledgers, slots of {width}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_begins_at_the_output_that_is_furthest_behind() {
    // The log of one table takes nothing after its third slot: the other one runs ahead.
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_open = open.clone();
    let objects = Objects::new(move |is_put, path| {
        let is_late = path.starts_with("ledgers/_delta_log/") && path.ends_with("3.json");
        match is_put && is_late && !is_open.load(std::sync::atomic::Ordering::Relaxed) {
            true => Fate::Fails,
            false => Fate::Done,
        }
    });
    let first = pipeline("main", &[Source::sound(3)], &objects, 4, 40);
    let running = start(vec![first]).await;
    running.until("the stop of one table", || running_ahead(&objects)).await;
    running.handle.stop(std::time::Duration::from_secs(10)).await;
    open.store(true, std::sync::atomic::Ordering::Relaxed);
    let before = made::over(&objects);
    let next = |kind| {
        let store = before.clone();
        async move {
            let table = orrery_actors::dataset::Table::open(&store, kind, &made::settings(4)).await.unwrap();
            table.tip().next_ledger.0
        }
    };
    let transfers = next(orrery_actors::dataset::TableKind::TokenTransfers).await;
    let ledgers = next(orrery_actors::dataset::TableKind::Ledgers).await;
    assert!(ledgers < transfers, "{ledgers} {transfers}");
    let source = Source::sound(3);
    let running = start(vec![pipeline("main", std::slice::from_ref(&source), &objects, 4, 40)]).await;
    running.end_normally().await;
    assert_eq!(source.asked()[0], ledgers);
    check_rows(&objects, 40).await;
    let undisturbed = Objects::sound();
    start(vec![pipeline("main", &[Source::sound(3)], &undisturbed, 4, 40)]).await.end_normally().await;
    assert_eq!(objects.contents().await, undisturbed.contents().await);
}

fn running_ahead(objects: &Objects) -> bool {
    let contents = futures::executor::block_on(objects.contents());
    contents.keys().any(|path| path.starts_with("token_transfers/_delta_log/") && path.ends_with("5.json"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounded_run_ends_with_a_short_slot_and_another_goes_on_behind_it() {
    let objects = Objects::sound();
    for to in [20, 20, 21, 50] {
        let running = start(vec![pipeline("main", &[Source::sound(4)], &objects, 16, to)]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new());
        check_rows(&objects, to).await;
    }
    let slots = objects.contents().await;
    let slots = slots.keys().filter(|path| path.starts_with("ledgers/_delta_log/"));
    // The table; 2-15, 16-20; 21-21; 22-31, 32-47, 48-50.
    assert_eq!(slots.count(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_beyond_the_end_of_the_source_parks_and_says_so() {
    let objects = Objects::sound();
    let running = start(vec![pipeline("main", &[Source::sound(4)], &objects, 16, LAST + 10)]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    let parked = running.parked();
    assert!(parked[0].contains(&format!("ledger {}", LAST + 1)), "{parked:?}");
    assert!(parked[0].contains("lacks this ledger"), "{parked:?}");
    assert_eq!(running.restarts(), Vec::<String>::new());
    // Whole slots alone, of which the last ones before the end may have been on their way.
    check_rows_so_far(&objects, 95).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_pipeline_goes_on_where_it_was() {
    let objects = Objects::sound();
    let follow = || {
        let mut pipeline = pipeline("main", &[Source::sound(2)], &objects, 8, LAST);
        (pipeline.to, pipeline.at_tip) = (None, AtTip::Wait);
        pipeline
    };
    for _ in 0..2 {
        let pipeline = follow();
        let metrics = pipeline.metrics.clone();
        let running = start(vec![pipeline]).await;
        running
            .until("a commit", || {
                metrics.counts().checkpoint > 0 || metrics.counts().fetched >= u64::from(LAST)
            })
            .await;
        assert_eq!(running.handle.stop(std::time::Duration::from_secs(10)).await, ExitReason::Shutdown);
    }
    start(vec![pipeline("main", &[Source::sound(2)], &objects, 8, LAST)]).await.end_normally().await;
    check_rows(&objects, LAST).await;
}
