//! Epochs: announced ahead, and in every region's log at the same place.

use std::fs;
use std::path::Path;

use orrery_actors::dataset::{
    AnnouncedEpoch, Dataset, DatasetErrorClass, DatasetSettings, Outcome, Table, TableKind,
};
use orrery_schemas::LedgerSequence;

use crate::made::{self, epoch, files, fill, memory, settings};
use crate::resume::objects;

const KIND: TableKind = TableKind::Ledgers;

async fn open(home: &Path) -> Table {
    Table::open(&files(home), KIND, &settings(16, 8)).await.unwrap()
}

#[tokio::test]
async fn regions_that_are_told_at_different_times_write_the_same_objects() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    // When it is told, in slots of 16; the ledger is inside of a slot.
    for (home, told_at) in homes.iter().zip([0, 3, 7]) {
        let mut table = open(home.path()).await;
        // Another writer, who was there before and is told nothing.
        let mut other = open(home.path()).await;
        if told_at > 0 {
            made::fill_table(&mut table, 16 * told_at - 1).await.unwrap();
        }
        assert!(table.announce_epoch(epoch(2, 1210, Some(4))).await.unwrap());
        assert_eq!(table.tip().slot, u64::from(told_at), "nothing is in the log yet");
        other.refresh().await.unwrap();
        made::fill_table(&mut other, 1007).await.unwrap();
        made::fill_table(&mut table, 1007).await.unwrap();
        made::fill_table(&mut table, 1249).await.unwrap();
        assert_eq!(table.tip().epoch, 2);
        let (before, after) = (1210 - 1, 1210);
        let file = |first: u32, last: u32| format!("ledgers/data/{first}-{last}-");
        let names: Vec<String> = objects(home.path()).into_iter().map(|(name, _)| name).collect();
        let has = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
        assert!(has(&file(1200, before)), "cut before the epoch: {names:?}");
        assert!(has(&file(after, 1211)) && has(&file(1212, 1215)), "of its width from there on");
    }
    let [first, second, third] = homes.each_ref().map(|home| objects(home.path()));
    assert!(first == second && second == third);
}

#[tokio::test]
async fn an_epoch_that_only_one_table_was_told_of_is_told_to_the_other_by_asking_again() {
    let store = memory();
    let mut dataset = Dataset::open(&store, &settings(16, 64)).await.unwrap();
    let wanted = epoch(2, 1100, None);
    assert!(dataset.token_transfers.announce_epoch(wanted).await.unwrap());
    for settings in [DatasetSettings::default(), settings(16, 64)] {
        drop(Dataset::open(&store, &settings).await.unwrap());
    }
    let mut dataset = Dataset::open(&store, &DatasetSettings::default()).await.unwrap();
    assert!(!dataset.token_transfers.announce_epoch(wanted).await.unwrap());
    assert!(dataset.ledgers.announce_epoch(wanted).await.unwrap());
    fill(&mut dataset, 1120).await.unwrap();
    assert!(!dataset.ledgers.announce_epoch(wanted).await.unwrap(), "in the log by now");
    assert_eq!(dataset.ledgers.announced_epoch(), None);
}

#[tokio::test]
async fn an_epoch_that_cannot_be_is_refused_with_the_reason() {
    let store = memory();
    let mut table = Table::open(&store, KIND, &settings(16, 64)).await.unwrap();
    let mut check = async |wanted: AnnouncedEpoch, fragment: &str| {
        let error = table.announce_epoch(wanted).await.unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        assert_eq!(error.class(), DatasetErrorClass::Usage);
    };
    check(epoch(2, 1028, None), "take 1029 or a later one").await;
    check(epoch(3, 2000, None), "the table is at epoch 1: announce 2").await;
    check(epoch(2, 2000, Some(0)), "a slot of 0 ledgers").await;
    assert!(table.announce_epoch(epoch(2, 2000, Some(4))).await.unwrap());
    assert!(!table.announce_epoch(epoch(2, 2000, Some(4))).await.unwrap());
    let error = table.announce_epoch(epoch(2, 3000, Some(4))).await.unwrap_err();
    assert!(error.to_string().contains("has another of this number"), "{error}");
}

#[tokio::test]
async fn who_does_not_know_the_rules_of_an_epoch_stops_before_its_first_ledger() {
    let store = memory();
    let wanted = AnnouncedEpoch { processor_version: 2, ..epoch(2, 1100, None) };
    let mut old = Table::open(&store, KIND, &settings(16, 64)).await.unwrap();
    old.announce_epoch(wanted).await.unwrap();
    let error = made::fill_table(&mut old, 1200).await.unwrap_err();
    assert!(error.to_string().contains("this release knows 1: use a later release"), "{error}");
    assert_eq!(old.tip().next_ledger, LedgerSequence(1100));
    let new = DatasetSettings { processor_version: 2, ..settings(16, 64) };
    let mut new = Table::open(&store, KIND, &new).await.unwrap();
    made::fill_table(&mut new, 1200).await.unwrap();
}

#[tokio::test]
async fn an_epoch_that_comes_too_late_stops_the_table_that_went_past_it() {
    let (late, told) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut table = open(late.path()).await;
    open(told.path()).await.announce_epoch(epoch(2, 1100, None)).await.unwrap();
    made::fill_table(&mut table, 1151).await.unwrap();
    // As somebody would who copies the object by hand.
    let object = "ledgers/_epochs/0000000002.json";
    fs::create_dir_all(late.path().join("ledgers/_epochs")).unwrap();
    fs::copy(told.path().join(object), late.path().join(object)).unwrap();
    let error = made::fill_table(&mut table, 1200).await.unwrap_err();
    assert!(error.to_string().contains("it was announced after ledger 1151 was written"), "{error}");
    fs::remove_file(late.path().join(object)).unwrap();
    made::fill_table(&mut table, 1200).await.unwrap();
}

#[tokio::test]
async fn slots_that_are_stored_ahead_are_cut_where_the_epoch_will_begin() {
    let store = memory();
    let mut table = Table::open(&store, KIND, &settings(16, 64)).await.unwrap();
    table.announce_epoch(epoch(2, 1100, Some(8))).await.unwrap();
    let mut ahead = Table::open(&store, KIND, &settings(16, 64)).await.unwrap();
    let mut stored = Vec::new();
    let mut next = LedgerSequence(1088);
    while let Some(range) = ahead.range_at(next, Some(LedgerSequence(1120))) {
        next = range.end().next().unwrap();
        stored.push(ahead.store_ahead(made::slot(&ahead, range)).await.unwrap());
    }
    let ends: Vec<u32> = stored.iter().map(|slot| slot.range().end().0).collect();
    assert_eq!(ends, [1099, 1103, 1111, 1119, 1120]);
    made::fill_table(&mut table, 1087).await.unwrap();
    ahead.look().await.unwrap();
    for slot in &stored {
        assert_eq!(ahead.commit_stored(slot).await.unwrap(), Some(Outcome::Committed));
    }
    assert_eq!(ahead.tip().epoch, 2);
}
