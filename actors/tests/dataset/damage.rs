//! What `verify` finds: every byte of slots, files and checkpoints counts.

use std::fs;
use std::path::{Path, PathBuf};

use orrery_actors::dataset::{Dataset, DatasetReport, TableKind, Unnamed, verify};

use crate::made::{files, fill, settings};

async fn dataset(home: &Path) {
    let mut dataset = Dataset::open(&files(home), &settings(16, 4)).await.unwrap();
    fill(&mut dataset, 200).await.unwrap();
    for kind in TableKind::ALL {
        dataset.table_mut(kind).compact(64, 1).await.unwrap();
    }
}

async fn report(home: &Path) -> DatasetReport {
    verify(&files(home), &mut |_| {}).await.unwrap()
}

fn log(home: &Path, slot: u64) -> PathBuf {
    home.join(format!("ledgers/_delta_log/{slot:020}.json"))
}

/// Live data files of `ledgers`, in order.
fn data(home: &Path) -> Vec<PathBuf> {
    let folder = home.join("ledgers/data");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let first = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.split('-').next().unwrap().parse::<u32>().unwrap()
    };
    files.retain(|file| first(file) >= 64);
    files.sort_by_key(first);
    files
}

async fn check(damage: impl FnOnce(&Path), path: &str, fragment: &str) {
    let home = tempfile::tempdir().unwrap();
    dataset(home.path()).await;
    damage(home.path());
    let report = report(home.path()).await;
    let found =
        report.problems().find(|problem| problem.path.contains(path) && problem.problem.contains(fragment));
    assert!(found.is_some(), "no {fragment:?} at {path}: {:?}", report.problems().collect::<Vec<_>>());
}

fn edit(path: PathBuf, edit: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(&path).unwrap();
    let edited = edit(text.clone());
    assert_ne!(edited, text);
    fs::write(path, edited).unwrap();
}

#[tokio::test]
async fn a_sound_dataset_has_no_problem() {
    let home = tempfile::tempdir().unwrap();
    dataset(home.path()).await;
    let report = report(home.path()).await;
    assert!(report.is_sound(), "{report:?}");
    let [events, ledgers] = report.tables.as_slice() else { panic!("{report:?}") };
    assert_eq!(ledgers.rows, 196);
    assert!(events.checkpoints >= 3 && ledgers.checkpoints >= 3);
    // Slot 0, slots that end with 15, 31, ..., 191 and 200, and a compaction.
    assert_eq!((events.slots, ledgers.slots), (15, 15));
    assert_eq!(ledgers.files, 10);
    // Files that a compaction replaced are the log's.
    assert_eq!((&events.unnamed, &ledgers.unnamed), (&Unnamed::default(), &Unnamed::default()));
}

#[tokio::test]
async fn files_that_no_slot_names_are_counted_and_do_no_harm() {
    let home = tempfile::tempdir().unwrap();
    dataset(home.path()).await;
    let other = "data/16-31-0123456789abcdef.parquet";
    fs::write(home.path().join("ledgers").join(other), b"of another chain").unwrap();
    let report = report(home.path()).await;
    assert!(report.is_sound(), "{report:?}");
    let expect = Unnamed { files: 1, bytes: 16, first: vec![other.to_owned()] };
    assert_eq!((&report.tables[0].unnamed, &report.tables[1].unnamed), (&Unnamed::default(), &expect));
}

#[tokio::test]
async fn every_kind_of_damage_is_found_and_named() {
    let flip = |path: &PathBuf, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    check(|home| flip(&data(home)[2], 100), "/data/96-111", "its SHA-256 is").await;
    check(|home| fs::remove_file(&data(home)[0]).unwrap(), "/data/64-79", "the file is not there").await;
    check(|home| fs::write(&data(home)[0], "").unwrap(), "/data/64-79", "its SHA-256 is").await;
    let swap = |home: &Path| {
        let files = data(home);
        fs::rename(&files[0], home.join("held")).unwrap();
        fs::rename(&files[1], &files[0]).unwrap();
        fs::rename(home.join("held"), &files[1]).unwrap();
    };
    check(swap, "/data/64-79", "its SHA-256 is").await;
    check(swap, "/data/80-95", "its SHA-256 is").await;
    check(|home| fs::remove_file(log(home, 5)).unwrap(), "05.json", "not there, but slots up to 14 are")
        .await;
    check(|home| fs::remove_file(log(home, 0)).unwrap(), "00.json", "the slot is not there").await;
    check(
        |home| edit(log(home, 5), |text| text.replacen("\"rows\":16", "\"rows\":17", 1)),
        "05.json",
        "its sum of rows",
    )
    .await;
    // An edit that is consistent in itself breaks the hash of the next slot.
    check(
        |home| edit(log(home, 5), |text| text.replacen("\"timestamp\":1725274", "\"timestamp\":1725273", 1)),
        "0000",
        "",
    )
    .await;
    check(
        |home| {
            edit(log(home, 5), |text| text.replacen("\"isBlindAppend\":true", "\"isBlindAppend\":false", 1))
        },
        "06.json",
        "its hash of the slot before",
    )
    .await;
    check(|home| edit(log(home, 5), |text| text[..text.len() / 2].to_owned()), "05.json", "cut short").await;
    check(
        |home| fs::copy(log(home, 4), log(home, 5)).map(|_| ()).unwrap(),
        "05.json",
        "hash of the slot before",
    )
    .await;
    let checkpoint =
        |home: &Path, slot: u64| home.join(format!("ledgers/_delta_log/{slot:020}.checkpoint.parquet"));
    check(
        |home| fs::copy(checkpoint(home, 4), checkpoint(home, 8)).map(|_| ()).unwrap(),
        "08.checkpoint.parquet",
        "it says something else than the slots",
    )
    .await;
    check(|home| flip(&checkpoint(home, 8), 2), "08.checkpoint.parquet", "begin as a Parquet file").await;
    let cut = |home: &Path| {
        let bytes = fs::read(checkpoint(home, 8)).unwrap();
        fs::write(checkpoint(home, 8), &bytes[..bytes.len() - 1]).unwrap();
    };
    check(cut, "08.checkpoint.parquet", "delete it: the log is unharmed").await;
}

/// One table is of another run, sound in itself.
#[tokio::test]
async fn tables_that_tell_of_different_ledgers_are_found() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    dataset(home.path()).await;
    dataset(other.path()).await;
    // A table whose ledgers have the same hashes but other events.
    let mut table = orrery_actors::dataset::Table::open(
        &files(&other.path().join("x")),
        TableKind::TokenTransfers,
        &settings(16, 4),
    )
    .await
    .unwrap();
    while let Some(range) = table.next_range(Some(orrery_schemas::LedgerSequence(200))) {
        let mut rows = crate::made::slot(&table, range);
        rows.file = None;
        rows.digest = orrery_schemas::RowDigest::default();
        table.commit(rows).await.unwrap();
    }
    fs::remove_dir_all(home.path().join("token_transfers")).unwrap();
    fs::rename(other.path().join("x/token_transfers"), home.path().join("token_transfers")).unwrap();
    let report = report(home.path()).await;
    assert!(report.tables.iter().all(|table| table.problems.is_empty()), "{report:?}");
    assert!(report.problems[0].problem.contains("`ledgers` counts"), "{:?}", report.problems);
}
