//! What a node noted of its dataset: an alarm if the dataset has gone back (CKPT-1), and nothing otherwise.

use std::fs;
use std::path::Path;

use orrery_actors::checkpoint::{NodeState, Quarantined};
use orrery_actors::dataset::{DatasetUrl, Grid, Retry, Store};
use orrery_actors::pipeline::supervised::SupervisedPipeline;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::ExitReason;
use tempfile::TempDir;

use crate::made::{Source, pipeline, start, state};
use crate::objects::Objects;

fn dataset(folder: &Path) -> Store {
    Store::connect(&DatasetUrl::File(folder.to_owned()), &|_| None, Retry::new(1).unwrap()).unwrap()
}

/// A pipeline with slots of four ledgers into a folder, up to ledger `to`.
fn into(folder: &Path, state: &NodeState, to: u32) -> SupervisedPipeline {
    let pipeline = pipeline("main", &[Source::sound(4)], &Objects::sound(), 4, to);
    SupervisedPipeline { dataset: dataset(folder), state: Some(state.clone()), ..pipeline }
}

async fn run(pipeline: SupervisedPipeline) -> ExitReason {
    start(vec![pipeline]).await.end().await
}

fn noted(state: &NodeState) -> Vec<(String, u32)> {
    let mut noted: Vec<_> =
        state.checkpoints.list().unwrap().into_iter().map(|(key, ledger)| (key.table, ledger.0)).collect();
    noted.sort();
    noted
}

fn both(ledger: u32) -> [(String, u32); 2] {
    ["ledgers", "token_transfers"].map(|table| (table.to_owned(), ledger))
}

/// A dataset up to ledger 47, written by the node of this state.
async fn written() -> (TempDir, TempDir, NodeState) {
    let (folder, (home, state)) = (tempfile::tempdir().unwrap(), state());
    assert_eq!(run(into(folder.path(), &state, 47)).await, ExitReason::Normal);
    assert_eq!(noted(&state), both(47));
    (folder, home, state)
}

/// Takes the last slots from a table, as a copy that is restored would.
fn set_back(folder: &Path, table: &str, slots_kept: usize) {
    let log = folder.join(table).join("_delta_log");
    let mut slots: Vec<_> = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()).collect();
    slots.retain(|slot| slot.extension().is_some_and(|extension| extension == "json"));
    slots.sort();
    slots[slots_kept..].iter().for_each(|slot| fs::remove_file(slot).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_that_went_back_parks_its_pipeline_until_a_person_takes_it_as_it_is() {
    for tables in [&["ledgers"][..], &["token_transfers", "ledgers"]] {
        let (folder, _home, state) = written().await;
        tables.iter().for_each(|table| set_back(folder.path(), table, 5));
        for _ in 0..2 {
            let reason = run(into(folder.path(), &state, 61)).await;
            let ExitReason::Parked(reason) = reason else { panic!("{reason}") };
            for says in
                ["CKPT-1", "every ledger up to 47", "it ends with 15", "orrery resume main", "from ledger 16"]
            {
                assert!(reason.contains(says), "it does not say `{says}`: {reason}");
            }
            let log = folder.path().join("ledgers/_delta_log");
            assert!(!log.join("00000000000000000006.json").exists(), "nothing was written");
        }
        assert!(state.parked.resume("main").unwrap());
        assert_eq!(run(into(folder.path(), &state, 61)).await, ExitReason::Normal);
        assert_eq!(noted(&state), both(61));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dataset_that_is_gone_and_made_with_the_same_settings_has_gone_back() {
    let (folder, _home, state) = written().await;
    fs::remove_dir_all(folder.path()).unwrap();
    let reason = run(into(folder.path(), &state, 47)).await;
    let ExitReason::Parked(reason) = reason else { panic!("{reason}") };
    assert!(reason.contains("now it has none"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_datasets_and_one_that_is_made_anew_otherwise_are_no_alarm() {
    let (folder, _home, state) = written().await;
    // Another one, which has less, and then the first one again.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(run(into(other.path(), &state, 9)).await, ExitReason::Normal);
    assert_eq!(run(into(folder.path(), &state, 51)).await, ExitReason::Normal);
    assert_eq!(run(into(other.path(), &state, 17)).await, ExitReason::Normal);
    // The first one is removed, and another begins in its place.
    fs::remove_dir_all(folder.path()).unwrap();
    let mut anew = into(folder.path(), &state, 9);
    anew.settings.grid = Some(Grid::uniform(2).unwrap());
    assert_eq!(run(anew).await, ExitReason::Normal);
    assert_eq!(
        noted(&state),
        [("ledgers".to_owned(), 9), ("ledgers".to_owned(), 17)]
            .into_iter()
            .chain([("token_transfers".to_owned(), 9), ("token_transfers".to_owned(), 17)])
            .collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_notes_are_rebuilt_as_soon_as_the_dataset_is_open() {
    let (folder, ..) = written().await;
    let (_home, state) = state();
    // Nothing is left to commit.
    assert_eq!(run(into(folder.path(), &state, 47)).await, ExitReason::Normal);
    assert_eq!(noted(&state), both(47));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_ledger_that_was_committed_after_all_leaves_the_quarantine() {
    let (folder, (_home, state)) = (tempfile::tempdir().unwrap(), state());
    let store = dataset(folder.path());
    let entry = |ledger, pipeline: &str, dataset: &str| Quarantined {
        ledger,
        pipeline: pipeline.to_owned(),
        dataset: dataset.to_owned(),
        source: "lake".to_owned(),
        file: "object".to_owned(),
        reason: "torn".to_owned(),
        attempts: 3,
        object_bytes: 1,
    };
    let here = store.place().unwrap();
    for entry in
        [entry(40, "main", here), entry(60, "main", here), entry(41, "other", here), entry(42, "main", "")]
    {
        state.quarantine.keep(&entry, b"x").unwrap();
    }
    assert_eq!(run(into(folder.path(), &state, 47)).await, ExitReason::Normal);
    let left: Vec<_> = state.quarantine.list().unwrap().into_iter().map(|entry| entry.ledger).collect();
    assert_eq!(left, [41, 42, 60]);
    assert!(state.quarantine.get(LedgerSequence(40)).unwrap().is_none());
}
