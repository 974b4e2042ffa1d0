//! Ledgers that cannot be right: tried again, taken from elsewhere, or kept as evidence, and never committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use orrery_actors::checkpoint::Seen;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ExitReason, NodeState};

use crate::made::{
    Fault, LAST, Source, check_rows, check_rows_so_far, ledgers, object, pipeline, start, state,
};
use crate::objects::Objects;

/// An object that ends in the middle of a ledger.
fn torn(range: std::ops::RangeInclusive<u32>) -> Bytes {
    let whole = object(&ledgers(1), range);
    whole.slice(..whole.len() - 100)
}

/// An object whose last ledger has one byte changed, near its end.
fn changed(range: std::ops::RangeInclusive<u32>) -> Bytes {
    let mut bytes = object(&ledgers(1), range).to_vec();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_bad_once_is_fetched_again() {
    for bad in [torn, changed] {
        let source = Source::new("source", 1, 4, move |first, earlier| {
            (first == 20 && earlier == 0).then(|| Fault::Gives(bad(20..=23)))
        });
        let (objects, (_folder, state)) = (Objects::sound(), state());
        let mut pipeline = pipeline("main", &[source], &objects, 16, 50);
        pipeline.state = Some(state.clone());
        let metrics = pipeline.metrics.clone();
        let running = start(vec![pipeline]).await;
        running.end_normally().await;
        assert_eq!(running.restarts(), Vec::<String>::new());
        assert_eq!(metrics.counts().refused, 1);
        assert_eq!(state.quarantine.list().unwrap(), []);
        check_rows(&objects, 50).await;
        // What came badly was not processed, so that nothing has changed since it was.
        let whole = orrery_actors::source::ObjectFingerprint::of(&object(&ledgers(1), 20..=23));
        let remember = |first| {
            state.objects.remember("source", LedgerSequence(first), orrery_schemas::Hash32(whole.0)).unwrap()
        };
        let seen: Vec<_> = (20..=23).map(remember).collect();
        assert!(seen.iter().all(|seen| matches!(seen, Seen::New | Seen::Same)), "{seen:?}");
        assert!(seen.contains(&Seen::Same), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_stays_bad_parks_its_pipeline_alone_until_it_is_mended() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let source = Source::new("mirror", 1, 4, move |first, _| {
        let is_bad = (20..24).contains(&first) && !mended.load(Ordering::Relaxed);
        is_bad.then(|| Fault::Gives(torn(20..=23)))
    });
    let (objects, (_folder, state)) = (Objects::sound(), state());
    let mut sick = pipeline("sick", std::slice::from_ref(&source), &objects, 8, 50);
    sick.state = Some(state.clone());
    let well = Objects::sound();
    let slow = Source::new("slow", 1, 1, |_, _| None);
    let mut sibling = pipeline("well", &[slow], &well, 8, LAST);
    sibling.state = Some(state.clone());
    let running = start(vec![sick, sibling]).await;
    running.until("the evidence", || !running.parked().is_empty()).await;

    let kept = state.quarantine.list().unwrap();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((kept.ledger, kept.attempts, kept.pipeline.as_str()), (23, 3, "sick"));
    assert_eq!((kept.source.as_str(), kept.file.as_str()), ("mirror", "mirror/20-23"));
    assert!(kept.reason.contains("truncated"), "{kept:?}");
    let (_, bytes) = state.quarantine.get(LedgerSequence(23)).unwrap().unwrap();
    assert_eq!(bytes, Some(torn(20..=23)));
    assert!(state.parked.reason("sick").unwrap().unwrap().contains("ledger 23"));
    assert_eq!(state.parked.reason("well").unwrap(), None);
    assert_eq!(source.asked().iter().filter(|first| (20..24).contains(*first)).count(), 3);
    let tree = running.handle.tree(std::time::Duration::from_secs(30)).await.unwrap();
    running.until("the parked pipeline", || running.parked().len() == 2).await;
    assert_ne!(tree.find(&["well"]).unwrap().state, NodeState::Parked);

    is_mended.store(true, Ordering::Relaxed);
    assert!(state.parked.resume("sick").unwrap(), "what is noted as parked refuses to start");
    // The supervisor notes it a moment after it has told.
    while running.handle.resume(&["sick"]).await.is_err() {
        tokio::task::yield_now().await;
    }
    running.end_normally().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, 50).await;
    check_rows(&well, LAST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledgers_of_a_fork_are_taken_from_another_source() {
    // From ledger 30 on the first source tells another history: sound in itself, with another parent.
    let fork = Source::new("fork", 1, 4, |first, _| {
        let end = first / 4 * 4 + 3;
        (first >= 30).then(|| Fault::Gives(object(&ledgers(2), first / 4 * 4..=end.min(LAST))))
    });
    let right = Source::new("right", 1, 4, |_, _| None);
    let objects = Objects::sound();
    let pipeline = pipeline("main", &[fork.clone(), right.clone()], &objects, 16, LAST);
    let metrics = pipeline.metrics.clone();
    let running = start(vec![pipeline]).await;
    running.end_normally().await;
    assert_eq!(running.restarts(), Vec::<String>::new());
    check_rows(&objects, LAST).await;
    assert_eq!(metrics.counts().refused, 1, "the other source goes on: {:?}", fork.asked());
    assert!(right.asked().iter().all(|first| *first >= 28), "{:?}", right.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_without_another_source_is_evidence_and_nothing_of_it_is_committed() {
    let fork = Source::new("fork", 1, 4, |first, _| {
        (first >= 32)
            .then(|| Fault::Gives(object(&ledgers(2), first / 4 * 4..=(first / 4 * 4 + 3).min(LAST))))
    });
    let (objects, (_folder, state)) = (Objects::sound(), state());
    let mut pipeline = pipeline("main", &[fork], &objects, 16, LAST);
    pipeline.state = Some(state.clone());
    let running = start(vec![pipeline]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    let kept = state.quarantine.list().unwrap();
    assert_eq!((kept[0].ledger, kept[0].attempts), (32, 3));
    assert!(kept[0].reason.contains("SRC-2"), "{kept:?}");
    check_rows_so_far(&objects, 31).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_are_wrong_each_in_its_own_way_come_to_an_end() {
    let one = Source::new("one", 1, 4, |first, _| (first >= 20).then(|| Fault::Gives(torn(20..=23))));
    let two = Source::new("two", 1, 4, |first, _| (first >= 20).then(|| Fault::Gives(changed(20..=23))));
    let (objects, (_folder, state)) = (Objects::sound(), state());
    let mut pipeline = pipeline("main", &[one, two], &objects, 4, LAST);
    pipeline.state = Some(state.clone());
    let running = start(vec![pipeline]).await;
    let reason = running.end().await;
    assert!(matches!(reason, ExitReason::Parked(_)), "{reason}");
    assert_eq!(state.quarantine.list().unwrap().len(), 1);
    check_rows_so_far(&objects, 19).await;
}
