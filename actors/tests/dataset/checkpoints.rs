//! Checkpoints make opening faster and decide nothing: any that is wrong or gone is made anew.

use std::fs;
use std::path::Path;

use orrery_actors::dataset::{DatasetSettings, Table, TableKind};

use crate::made::{self, files, settings};

const HINT: &str = "ledgers/_delta_log/_last_checkpoint";
const CHECKPOINT: &str = "ledgers/_delta_log/00000000000000000008.checkpoint.parquet";

async fn open(home: &Path) -> Table {
    Table::open(&files(home), TableKind::Ledgers, &settings(16, 4)).await.unwrap()
}

/// A table with nine slots and checkpoints at 4 and 8.
async fn table(home: &Path) {
    let mut table = open(home).await;
    made::fill_table(&mut table, 143).await.unwrap();
    assert_eq!(table.tip().slot, 9);
}

async fn check(damage: impl FnOnce(&Path)) {
    let home = tempfile::tempdir().unwrap();
    table(home.path()).await;
    let before = open(home.path()).await;
    damage(home.path());
    let mut table = open(home.path()).await;
    assert_eq!(table.tip(), before.tip());
    assert_eq!(table.configuration(), before.configuration());
    // It was made anew at the tip, or is made at the next multiple.
    made::fill_table(&mut table, 239).await.unwrap();
    let hint = fs::read_to_string(home.path().join(HINT)).unwrap();
    assert!(hint.contains("\"version\":12"), "{hint}");
    assert_eq!(open(home.path()).await.tip(), table.tip());
}

#[tokio::test]
async fn a_checkpoint_that_is_wrong_or_gone_changes_nothing() {
    check(|_| {}).await;
    check(|home| fs::remove_file(home.join(HINT)).unwrap()).await;
    check(|home| fs::remove_file(home.join(CHECKPOINT)).unwrap()).await;
    check(|home| fs::write(home.join(HINT), "{").unwrap()).await;
    check(|home| fs::write(home.join(HINT), "{\"version\":7,\"size\":1}").unwrap()).await;
    check(|home| fs::write(home.join(HINT), "{\"version\":4,\"size\":1}").unwrap()).await;
    check(|home| fs::write(home.join(CHECKPOINT), "no parquet").unwrap()).await;
    check(|home| {
        let bytes = fs::read(home.join(CHECKPOINT)).unwrap();
        fs::write(home.join(CHECKPOINT), &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
    // One of another slot.
    check(|home| {
        let earlier = CHECKPOINT.replace("08.", "04.");
        fs::copy(home.join(earlier), home.join(CHECKPOINT)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn opening_by_a_checkpoint_reads_no_slot_before_it() {
    let home = tempfile::tempdir().unwrap();
    table(home.path()).await;
    let tip = open(home.path()).await.tip().clone();
    for slot in 1..8 {
        fs::remove_file(home.path().join(format!("ledgers/_delta_log/{slot:020}.json"))).unwrap();
    }
    assert_eq!(*open(home.path()).await.tip(), tip);
}

#[tokio::test]
async fn a_checkpoint_follows_from_its_slots_alone() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for home in &homes {
        table(home.path()).await;
    }
    let read = |home: &tempfile::TempDir| fs::read(home.path().join(CHECKPOINT)).unwrap();
    assert!(read(&homes[0]) == read(&homes[1]));
    // Made anew from the log, without the one before.
    fs::remove_file(homes[1].path().join(HINT)).unwrap();
    fs::remove_file(homes[1].path().join(CHECKPOINT)).unwrap();
    fs::remove_file(homes[1].path().join("ledgers/_delta_log/00000000000000000009.json")).unwrap();
    open(homes[1].path()).await;
    assert!(read(&homes[0]) == read(&homes[1]));
}

#[tokio::test]
async fn settings_that_an_epoch_changed_survive_in_a_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    let mut table = open(home.path()).await;
    made::fill_table(&mut table, 47).await.unwrap();
    table.announce_epoch(made::epoch(2, 1090, Some(4))).await.unwrap();
    made::fill_table(&mut table, 1089).await.unwrap();
    made::fill_table(&mut table, 1119).await.unwrap();
    assert_eq!(table.tip().epoch, 2);
    let opened =
        Table::open(&files(home.path()), TableKind::Ledgers, &DatasetSettings::default()).await.unwrap();
    assert_eq!(opened.configuration(), table.configuration());
    assert_eq!(opened.tip(), table.tip());
    // The grid of the beginning may be asked for for ever.
    open(home.path()).await;
}

#[tokio::test]
async fn writers_that_take_turns_leave_the_checkpoints_that_one_leaves() {
    let names = |home: &Path| {
        let entries = fs::read_dir(home.join("ledgers/_delta_log")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".checkpoint.parquet")).collect();
        names.sort();
        names
    };
    let alone = tempfile::tempdir().unwrap();
    let mut table = open(alone.path()).await;
    made::fill_table(&mut table, 16 * 30 - 1).await.unwrap();
    let expected = names(alone.path());
    assert_eq!(expected.len(), 7, "{expected:?}");

    // One writes every slot at a multiple, and the other the rest: it has never written a checkpoint.
    let shared = tempfile::tempdir().unwrap();
    let (mut often, mut rarely) = (open(shared.path()).await, open(shared.path()).await);
    for slot in 1..=30 {
        let writer = if slot % 4 == 0 { &mut rarely } else { &mut often };
        writer.refresh().await.unwrap();
        made::fill_table(writer, 16 * slot - 1).await.unwrap();
        assert_eq!(writer.tip().slot, u64::from(slot));
    }
    assert_eq!(names(shared.path()), expected);
    let hint = |home: &Path| fs::read_to_string(home.join(HINT)).unwrap();
    assert_eq!(hint(shared.path()), hint(alone.path()));
}
