//! Creating, going on, and refusing to go on as something else.

use orrery_actors::dataset::{
    Dataset, DatasetErrorClass, DatasetSettings, Grid, Outcome, SlotRows, Store, Table, TableKind,
};
use orrery_schemas::LedgerSequence;

use crate::made::{self, expected, files, fill, memory, settings};

async fn check_going_on(store: Store) {
    let settings = settings(16, 4);
    let mut dataset = Dataset::open(&store, &settings).await.unwrap();
    assert_eq!(dataset.next_ledger(), LedgerSequence(made::START));
    fill(&mut dataset, 40).await.unwrap();
    // One table is behind: the other waits for it.
    made::fill_table(&mut dataset.ledgers, 70).await.unwrap();
    assert_eq!(dataset.next_ledger(), LedgerSequence(41));
    drop(dataset);

    let mut dataset = Dataset::open(&store, &settings).await.unwrap();
    assert_eq!(dataset.next_ledger(), LedgerSequence(41));
    assert_eq!(dataset.token_transfers.tip().last_ledger_hash, Some(made::hash(40)));
    // After a short slot the next ends at the next boundary.
    let range = dataset.token_transfers.next_range(None).unwrap();
    assert_eq!((range.start().0, range.end().0), (41, 47));
    fill(&mut dataset, 333).await.unwrap();

    // Nothing needs to be said about a dataset that is there.
    let dataset = Dataset::open(&store, &DatasetSettings::default()).await.unwrap();
    assert_eq!(dataset.next_ledger(), LedgerSequence(334));
    for table in [&dataset.token_transfers, &dataset.ledgers] {
        assert_eq!((table.tip().total_rows, table.tip().total_digest), expected(table.kind(), 333));
    }
}

#[tokio::test]
async fn a_dataset_goes_on_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    check_going_on(files(&home.path().join("new/set"))).await;
    check_going_on(memory()).await;
}

#[tokio::test]
async fn a_table_that_was_made_otherwise_is_refused_and_the_difference_named() {
    let store = memory();
    drop(Dataset::open(&store, &settings(16, 64)).await.unwrap());
    let check = async |settings: DatasetSettings, fragment: &str| {
        let error = Dataset::open(&store, &settings).await.unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        assert_eq!(error.class(), DatasetErrorClass::Usage);
    };
    let given = settings(16, 64);
    let network_passphrase = Some("another".to_owned());
    check(DatasetSettings { network_passphrase, ..given.clone() }, "its network is \"a network of tests\"")
        .await;
    let start_ledger = Some(LedgerSequence(6));
    check(DatasetSettings { start_ledger, ..given.clone() }, "its first ledger is 5, but 6 was asked for")
        .await;
    let grid = Some(Grid::uniform(32).unwrap());
    check(DatasetSettings { grid, ..given.clone() }, "its grid is 1:16, but 1:32 was asked for").await;
    Dataset::open(&store, &DatasetSettings { processor_version: 9, ..given }).await.unwrap();
}

#[tokio::test]
async fn a_dataset_that_is_not_there_needs_its_network_and_its_start() {
    let check = async |settings: DatasetSettings, fragment: &str| {
        let error = Dataset::open(&memory(), &settings).await.unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
    };
    check(DatasetSettings::default(), "give its first ledger to create it").await;
    let start_ledger = Some(LedgerSequence(2));
    check(DatasetSettings { start_ledger, ..DatasetSettings::default() }, "give its network").await;
}

#[tokio::test]
async fn the_same_ledgers_give_the_same_objects_in_every_store() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (home, stops) in homes.iter().zip([&[90][..], &[16, 33, 47, 90][..]]) {
        for stop in stops {
            // Opened anew each time. Stops at slot boundaries: a short slot is a slot of its own.
            let mut dataset = Dataset::open(&files(home.path()), &settings(16, 4)).await.unwrap();
            let to = if *stop == 90 { 95 } else { stop / 16 * 16 + 15 };
            fill(&mut dataset, to).await.unwrap();
        }
    }
    assert_eq!(objects(homes[0].path()), objects(homes[1].path()));
    assert!(objects(homes[0].path()).len() > 20);
}

/// Every file below a folder, with its content.
pub(crate) fn objects(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut objects = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                objects.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    objects.sort();
    objects
}

#[tokio::test]
async fn a_late_writer_adopts_what_is_there_and_catches_up() {
    let store = memory();
    let settings = settings(16, 64);
    let mut late = Table::open(&store, TableKind::Ledgers, &settings).await.unwrap();
    let mut fast = Table::open(&store, TableKind::Ledgers, &settings).await.unwrap();
    let range = late.next_range(None).unwrap();
    let rows = made::slot(&late, range);
    made::fill_table(&mut fast, 200).await.unwrap();
    // The very bytes of the faster one: that counts as our own success.
    assert_eq!(late.commit(rows).await.unwrap(), Outcome::Committed);
    late.refresh().await.unwrap();
    assert_eq!(late.tip(), fast.tip());
}

#[tokio::test]
async fn rows_that_do_not_continue_the_table_are_refused() {
    let store = memory();
    let mut table = Table::open(&store, TableKind::Ledgers, &settings(16, 64)).await.unwrap();
    let good = made::slot(&table, table.next_range(None).unwrap());
    let mut wide = good.clone();
    wide.range = LedgerSequence(5)..=LedgerSequence(40);
    let error = table.commit(wide).await.unwrap_err();
    assert!(error.to_string().contains("it ends at ledger 40, its slot at 15"), "{error}");
    table.commit(good.clone()).await.unwrap();
    // What is written already is nothing to do.
    assert_eq!(table.commit(good).await.unwrap(), Outcome::Superseded);
    let gap = made::slot(&table, LedgerSequence(32)..=LedgerSequence(47));
    let error = table.commit(SlotRows { parent_hash: made::hash(15), ..gap }).await.unwrap_err();
    assert!(error.to_string().contains("its first ledger is"), "{error}");
    let mut orphan = made::slot(&table, table.next_range(None).unwrap());
    orphan.parent_hash = made::hash(99);
    let error = table.commit(orphan).await.unwrap_err();
    assert!(error.to_string().contains("their parent ledger is"), "{error}");
    assert_eq!(error.class(), DatasetErrorClass::Data);
    made::fill_table(&mut table, 50).await.unwrap();
}
