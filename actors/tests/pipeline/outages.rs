//! Sources and stores that are away for a while are waited for, and no restart is spent on them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_actors::metrics::Outages;
use orrery_supervisor::{Clock, ErrorClass, ExitReason, MonotonicTime, SystemClock};

use crate::made::{Fault, LAST, Source, check_rows, check_rows_so_far, pipeline, start};
use crate::objects::{Fate, Objects};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_goes_away_is_waited_for() {
    // More looks than a pipeline has restarts.
    let source =
        Source::new("source", 1, 4, |first, earlier| (first == 20 && earlier < 12).then_some(Fault::Away));
    let objects = Objects::sound();
    let mut pipeline = pipeline("main", std::slice::from_ref(&source), &objects, 16, 50);
    // Time that passes as the fetcher looks at it, rather than by the machine.
    pipeline.clock = Arc::new(Fast::default());
    let running = start(vec![pipeline]).await;
    running.end_normally().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    assert_eq!(source.asked().iter().filter(|first| **first == 20).count(), 13);
    check_rows(&objects, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_while_it_lasts_of_sources_and_of_the_dataset() {
    let [sources_away, dataset_away] = [(); 2].map(|()| Arc::new(AtomicBool::new(true)));
    let (of_sources, of_dataset) = (sources_away.clone(), dataset_away.clone());
    let source = Source::new("source", 1, 4, move |first, _| {
        (first == 20 && of_sources.load(Ordering::Relaxed)).then_some(Fault::Away)
    });
    let objects = Objects::new(move |is_put, path| {
        match is_put && path.ends_with("8.json") && of_dataset.load(Ordering::Relaxed) {
            true => Fate::Fails,
            false => Fate::Done,
        }
    });
    let pipeline = pipeline("main", &[source], &objects, 4, 50);
    let metrics = pipeline.metrics.clone();
    let running = start(vec![pipeline]).await;
    running.until("outage of the sources", || metrics.outages().sources.is_some()).await;
    assert_eq!(metrics.outages().dataset, None);
    sources_away.store(false, Ordering::Relaxed);
    running.until("outage of the dataset", || metrics.outages().dataset.is_some()).await;
    assert_eq!(metrics.outages().sources, None);
    dataset_away.store(false, Ordering::Relaxed);
    running.end_normally().await;
    assert_eq!(metrics.outages(), Outages::default());
    check_rows(&objects, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_with_a_source_has_an_end() {
    let source = Source::new("source", 1, 4, |first, _| (first == 20).then_some(Fault::Away));
    let objects = Objects::sound();
    let mut pipeline = pipeline("main", &[source], &objects, 4, 50);
    (pipeline.clock, pipeline.patience) = (Arc::new(Fast::default()), Some(Duration::from_secs(60)));
    let running = start(vec![pipeline]).await;
    let ExitReason::Failed(error) = running.end().await else { panic!("{:?}", running.restarts()) };
    assert_eq!(error.class, ErrorClass::Exhausted);
    assert!(error.message.contains("503"), "{error}");
    assert_eq!(running.restarts(), Vec::<String>::new(), "a restart would wait as long again");
    check_rows_so_far(&objects, 19).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_with_a_store_has_an_end() {
    let objects = Objects::new(|is_put, path| match is_put && path.ends_with("4.json") {
        true => Fate::Fails,
        false => Fate::Done,
    });
    let mut pipeline = pipeline("main", &[Source::sound(4)], &objects, 4, 50);
    (pipeline.clock, pipeline.patience) = (Arc::new(Fast::default()), Some(Duration::from_secs(10)));
    let running = start(vec![pipeline]).await;
    let ExitReason::Failed(error) = running.end().await else { panic!("{:?}", running.restarts()) };
    assert_eq!(error.class, ErrorClass::Exhausted);
    assert!(error.message.contains("4.json"), "{error}");
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows_so_far(&objects, 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_never_answers_once_is_asked_again_by_a_pipeline_that_begins_anew() {
    let hangs = AtomicBool::new(true);
    let objects = Objects::new(move |is_put, path| {
        match is_put && path.ends_with("4.json") && hangs.swap(false, Ordering::Relaxed) {
            true => Fate::Waits,
            false => Fate::Done,
        }
    });
    let mut pipeline = pipeline("main", &[Source::sound(4)], &objects, 4, 50);
    pipeline.hangs_after = Some(Duration::from_secs(1));
    let running = start(vec![pipeline]).await;
    running.end_normally().await;
    let restarts = running.restarts();
    assert!(matches!(&restarts[..], [one] if one.contains("node/main/sink/")), "{restarts:?}");
    assert!(restarts[0].contains("stalled: no progress"), "{restarts:?}");
    check_rows(&objects, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_store_that_is_away_does_not_hang() {
    let (limit, clock) = (Duration::from_secs(3), SystemClock::new());
    let elapsed = move || clock.now().since(MonotonicTime::ORIGIN);
    // Pauses between attempts double: the last one is shorter than the limit, and all together are longer.
    let objects = Objects::new(move |is_put, path| {
        match is_put && path.ends_with("4.json") && elapsed() < limit.mul_f64(1.3) {
            true => Fate::Fails,
            false => Fate::Done,
        }
    });
    let mut pipeline = pipeline("main", &[Source::sound(4)], &objects, 4, 50);
    pipeline.hangs_after = Some(limit);
    let running = start(vec![pipeline]).await;
    running.end_normally().await;
    assert!(elapsed() > limit);
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, 50).await;
}

/// A second passes whenever somebody looks.
#[derive(Default)]
struct Fast(orrery_supervisor::ManualClock);

impl Clock for Fast {
    fn now(&self) -> MonotonicTime {
        self.0.advance(Duration::from_secs(1));
        self.0.now()
    }
}

/// Runs over a store in which request number `n` for each object has the fate `fate(is_put, path, n)`; the dataset must be
/// as in a store without faults.
async fn check(fate: impl Fn(bool, &str, usize) -> Fate + Send + Sync + 'static) {
    let counts = Mutex::new(HashMap::new());
    let objects = Objects::new(move |is_put, path| {
        let mut counts = counts.lock().unwrap();
        let count: &mut usize = counts.entry((is_put, path.to_owned())).or_default();
        *count += 1;
        fate(is_put, path, *count - 1)
    });
    let running = start(vec![pipeline("main", &[Source::sound(4)], &objects, 16, LAST)]).await;
    running.end_normally().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, LAST).await;
    let undisturbed = Objects::sound();
    start(vec![pipeline("main", &[Source::sound(4)], &undisturbed, 16, LAST)]).await.end_normally().await;
    assert_eq!(objects.contents().await, undisturbed.contents().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_whose_store_is_away_for_a_while_is_the_same_dataset() {
    // Four attempts make one wait.
    check(|is_put, path, earlier| match is_put && path.ends_with("3.json") && earlier < 9 {
        true => Fate::Fails,
        false => Fate::Done,
    })
    .await;
    // Also while it is opened.
    check(|_, path, earlier| match path.ends_with("0.json") && earlier < 6 {
        true => Fate::Fails,
        false => Fate::Done,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_after_the_commit_change_nothing() {
    check(|is_put, _, earlier| if is_put && earlier == 0 { Fate::AnswerLost } else { Fate::Done }).await;
    // The answer is lost, and then nothing can be read for a while.
    check(|is_put, path, earlier| match (is_put, earlier) {
        (true, 0) => Fate::AnswerLost,
        (false, 0..6) if path.contains("data/") || path.ends_with("2.json") => Fate::Fails,
        _ => Fate::Done,
    })
    .await;
}
