//! Stores that break their promises, and networks that lose answers.

use std::sync::atomic::{AtomicU64, Ordering};

use orrery_actors::dataset::{
    Dataset, DatasetError, DatasetErrorClass, Outcome, Retry, Store, StoreError, Table, TableKind, verify,
};
use orrery_schemas::RowDigest;

use crate::made::{self, fill, over, settings};
use crate::objects::{Fate, Objects};

#[tokio::test]
async fn a_store_that_ignores_put_if_absent_is_refused() {
    let store = over(Objects::new(|_, _| Fate::Replaces));
    let error = Dataset::open(&store, &settings(16, 4)).await.unwrap_err();
    assert!(matches!(error, DatasetError::Store(StoreError::IgnoresPutIfAbsent { .. })), "{error}");
    assert_eq!(error.class(), DatasetErrorClass::Usage);
    assert!(error.to_string().contains("objects of a test/set/ does not honour put-if-absent"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_mended_is_accepted_with_what_it_left_behind() {
    let puts = AtomicU64::new(0);
    let store = over(Objects::new(move |is_put, _| {
        let is_broken = is_put && puts.fetch_add(1, Ordering::Relaxed) < 4;
        if is_broken { Fate::Replaces } else { Fate::Done }
    }));
    for _ in 0..2 {
        let error = store.self_test().await.unwrap_err();
        assert!(error.to_string().contains("object _orrery/put-if-absent"), "{error}");
        assert!(error.to_string().contains("nothing need be deleted"), "{error}");
    }
    for _ in 0..2 {
        store.self_test().await.unwrap();
    }
}

#[tokio::test]
async fn answers_that_are_lost_lose_no_rows() {
    let (puts, gets) = (AtomicU64::new(0), AtomicU64::new(0));
    let next = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
    let store = over(Objects::new(move |is_put, _| match is_put {
        true => match next(&puts) {
            number if number % 7 == 6 => Fate::Fails,
            number if number % 3 == 2 => Fate::AnswerLost,
            _ => Fate::Done,
        },
        false if next(&gets) % 5 == 4 => Fate::Fails,
        false => Fate::Done,
    }));
    for to in [47, 110, 260] {
        let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
        fill(&mut dataset, to).await.unwrap();
        dataset.ledgers.compact(64, 1).await.unwrap();
    }
    let report = verify(&store, &mut |_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    for table in report.tables {
        assert_eq!((table.rows, table.digest), made::expected(table.kind, 260));
    }
}

#[tokio::test]
async fn different_rows_for_the_same_ledgers_halt_and_both_sides_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let store = made::files(home.path());
    let open = async || Table::open(&store, TableKind::TokenTransfers, &settings(16, 4)).await.unwrap();
    let (mut right, mut wrong) = (open().await, open().await);
    let range = right.next_range(None).unwrap();
    right.commit(made::slot(&right, range.clone())).await.unwrap();
    let mut rows = made::slot(&wrong, range);
    rows.file = None;
    rows.digest = RowDigest::default();
    let error = wrong.commit(rows).await.unwrap_err();
    assert_eq!(error.class(), DatasetErrorClass::Data);
    let DatasetError::Halted(halt) = &error else { panic!("{error}") };
    assert!(halt.reason.contains("rows with digest"), "{error}");
    let slot = home.path().join("token_transfers/_delta_log/00000000000000000001.json");
    assert_eq!(std::fs::read(&slot).unwrap(), halt.theirs);
    let mut kept: Vec<_> =
        std::fs::read_dir(&halt.kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    assert_eq!(std::fs::read(&kept[0]).unwrap(), halt.ours);
    assert_eq!(std::fs::read(&kept[1]).unwrap(), halt.theirs);
    // The right writer is not disturbed.
    made::fill_table(&mut right, 100).await.unwrap();
}

#[tokio::test]
async fn a_bounded_run_beside_an_unbounded_one_supersedes_its_slot() {
    let store = made::memory();
    let open = async || Table::open(&store, TableKind::Ledgers, &settings(16, 4)).await.unwrap();
    let (mut bounded, mut unbounded) = (open().await, open().await);
    made::fill_table(&mut bounded, 9).await.unwrap();
    let range = unbounded.next_range(None).unwrap();
    assert_eq!(unbounded.commit(made::slot(&unbounded, range)).await.unwrap(), Outcome::Superseded);
    assert_eq!(unbounded.tip(), bounded.tip());
    made::fill_table(&mut unbounded, 100).await.unwrap();
    assert_eq!(
        (unbounded.tip().total_rows, unbounded.tip().total_digest),
        made::expected(TableKind::Ledgers, 100)
    );
}

#[tokio::test]
async fn only_what_is_no_part_of_the_dataset_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display()).parse().unwrap();
    let on_disk = Store::connect(&url, &|_| None, Retry::new(1).unwrap()).unwrap();
    for store in [on_disk, over(Objects::new(|_, _| Fate::Done))] {
        let mine = "_orrery/leases/1.json";
        store.put_create(mine, "x".into()).await.unwrap();
        store.remove_own(mine).await.unwrap();
        store.remove_own(mine).await.unwrap();
        assert_eq!(store.read(mine, 10).await.unwrap(), None);
        for path in ["token_transfers/x.parquet", "_orrery", ""] {
            let error = store.remove_own(path).await.unwrap_err().to_string();
            assert!(error.contains("part of the dataset"), "{error}");
        }
    }
}
