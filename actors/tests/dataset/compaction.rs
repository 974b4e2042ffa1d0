//! Compaction: the same rows in fewer files, beside writers.

use orrery_actors::dataset::{CompactionReport, Outcome, Table, TableKind, verify};
use orrery_schemas::LedgerSequence;

use crate::made::{self, expected, files, memory, settings};

#[tokio::test]
async fn compaction_keeps_rows_and_digests_and_finds_nothing_to_do_the_second_time() {
    let store = memory();
    for kind in TableKind::ALL {
        let mut table = Table::open(&store, kind, &settings(16, 4)).await.unwrap();
        made::fill_table(&mut table, 300).await.unwrap();
        let before = table.tip().clone();
        let report = table.compact(128, 100).await.unwrap();
        // Ledgers 5 to 127 and 128 to 255; 256 to 383 is not complete.
        assert_eq!(report.windows, 2, "{report:?}");
        assert!(report.files > 10);
        let after = table.tip().clone();
        assert_eq!((after.total_rows, after.total_digest), expected(kind, 300));
        assert_eq!(
            (after.next_ledger, after.last_ledger_hash),
            (before.next_ledger, before.last_ledger_hash)
        );
        assert_eq!(after.slot, before.slot + 2);
        assert_eq!(table.compact(128, 100).await.unwrap(), CompactionReport::default());
        // Writing goes on.
        made::fill_table(&mut table, 400).await.unwrap();
        assert_eq!(table.compact(128, 100).await.unwrap().windows, 1);
        assert_eq!((table.tip().total_rows, table.tip().total_digest), expected(kind, 400));
    }
    let report = verify(&store, &mut |_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[tokio::test]
async fn a_compacted_file_is_the_file_of_one_wide_slot() {
    let (narrow, wide) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for kind in TableKind::ALL {
        let mut table = Table::open(&files(narrow.path()), kind, &settings(16, 64)).await.unwrap();
        made::fill_table(&mut table, 127).await.unwrap();
        assert_eq!(table.compact(128, 1).await.unwrap().windows, 1);
        let mut table = Table::open(&files(wide.path()), kind, &settings(128, 64)).await.unwrap();
        made::fill_table(&mut table, 127).await.unwrap();
        let folder = |home: &tempfile::TempDir| home.path().join(kind.as_str()).join("data");
        let file = std::fs::read_dir(folder(&wide)).unwrap().next().unwrap().unwrap();
        let compacted = std::fs::read(folder(&narrow).join(file.file_name())).unwrap();
        assert!(compacted == std::fs::read(file.path()).unwrap());
    }
}

#[tokio::test]
async fn writers_and_compactions_that_race_for_slots_lose_nothing() {
    let store = memory();
    let settings = settings(16, 4);
    let kind = TableKind::TokenTransfers;
    let mut writer = Table::open(&store, kind, &settings).await.unwrap();
    made::fill_table(&mut writer, 300).await.unwrap();
    let mut compactors = [
        Table::open(&store, kind, &settings).await.unwrap(),
        Table::open(&store, kind, &settings).await.unwrap(),
    ];
    // The writer does not know of the compaction: its slot goes behind.
    assert_eq!(compactors[0].compact(64, 2).await.unwrap().windows, 2);
    let range = writer.next_range(None).unwrap();
    assert_eq!(writer.commit(made::slot(&writer, range)).await.unwrap(), Outcome::Committed);
    let [first, second] = &mut compactors;
    let (first, second) = futures::join!(first.compact(64, 9), second.compact(64, 9));
    assert_eq!(first.unwrap().windows + second.unwrap().windows, 2);
    made::fill_table(&mut writer, 333).await.unwrap();
    let tip = writer.tip();
    assert_eq!((tip.total_rows, tip.total_digest), expected(kind, 333));
    assert_eq!(tip.next_ledger, LedgerSequence(334));
    for table in &mut compactors {
        table.refresh().await.unwrap();
        assert_eq!(table.tip(), tip);
    }
}
