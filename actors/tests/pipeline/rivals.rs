//! Other writers of the same dataset.

use crate::made::{FIRST, LAST, Source, check_rows, pipeline, start};
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
        let is_ours = path.contains("/data/") && path.contains("-0000000015-");
        if is_put && is_ours { Fate::Waits } else { Fate::Done }
    });
    let ours = start(vec![pipeline("ours", &[Source::sound(4)], &objects, 16, LAST)]).await;
    let rival = start(vec![pipeline("rival", &[Source::sound(4)], &objects, 16, FIRST + 4)]).await;
    rival.end_normally().await;
    objects.open_gate();
    ours.end_normally().await;
    let restarts = ours.restarts();
    assert!((1..=2).contains(&restarts.len()), "{restarts:?}");
    assert!(
        restarts.iter().all(|report| report.contains("another writer ended a slot inside of")),
        "{restarts:?}"
    );
    check_rows(&objects, LAST).await;
}
