//! Backup, restore and comparison: a copy is a dataset at every moment, and the log of the original byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::ObjectStoreExt;
use orrery_actors::dataset::{
    CopyReport, CopySettings, CopyUntil, Dataset, DatasetError, DatasetErrorClass, Grid, Pace, Relation,
    ScrubSettings, Side, Store, TableCopy, TableKind, compare, copy, scrub, verify,
};
use orrery_schemas::LedgerSequence;

use crate::made::{self, fill, over, settings};
use crate::objects::{Fate, Objects};
use crate::scrub::Unwatched;

fn until(until: CopyUntil) -> CopySettings {
    CopySettings { until, concurrency: 3, pace: Pace::unlimited() }
}

async fn copied(from: &Store, to: &Store, point: CopyUntil) -> Result<CopyReport, DatasetError> {
    copy(from, to, &until(point), &|_| {}).await
}

/// Slots and data files of a store; what is made from them is left out.
async fn log(objects: &Objects) -> BTreeMap<String, Bytes> {
    let mut contents = objects.contents().await;
    contents.retain(|path, _| !path.contains("checkpoint"));
    contents
}

/// A dataset with a compaction, of 14 or so slots a table.
async fn original() -> (Arc<Objects>, Store, Dataset) {
    let objects = Objects::sound();
    let store = over(objects.clone());
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    fill(&mut dataset, 150).await.unwrap();
    for kind in TableKind::ALL {
        dataset.table_mut(kind).compact(64, 1).await.unwrap();
    }
    fill(&mut dataset, 200).await.unwrap();
    (objects, store, dataset)
}

#[tokio::test]
async fn a_backup_has_the_log_and_its_files_and_takes_only_what_it_lacks() {
    let (objects, store, mut dataset) = original().await;
    let evidence = object_store::path::Path::from("set/ledgers/_quarantine/x/ours-ae0bec9e9d33c563");
    objects.put(&evidence, "ours".into()).await.unwrap();
    let (backup, to) = {
        let it = Objects::sound();
        (it.clone(), over(it))
    };
    let report = copied(&store, &to, CopyUntil::End).await.unwrap();
    assert_eq!(log(&backup).await, log(&objects).await);
    assert!(verify(&to, &mut |_| {}).await.unwrap().is_sound());
    let [events, ledgers] = report.tables.as_slice() else { panic!("{report:?}") };
    assert_eq!(
        (events.last_ledger, ledgers.last_ledger),
        (Some(LedgerSequence(200)), Some(LedgerSequence(200)))
    );
    assert_eq!(ledgers.closed_at, Some(made::closed_at(200)));
    assert_eq!((ledgers.evidence, events.evidence), (1, 0));
    assert_eq!(ledgers.slot_sha256, dataset.ledgers.tip().slot_sha256);
    // Again: nothing.
    let again = copied(&store, &to, CopyUntil::End).await.unwrap();
    assert!(
        again
            .tables
            .iter()
            .all(|table| (table.slots, table.files, table.bytes, table.evidence) == (0, 0, 0, 0)),
        "{again:?}"
    );
    // More: that alone.
    fill(&mut dataset, 230).await.unwrap();
    let more = copied(&store, &to, CopyUntil::End).await.unwrap();
    assert!(more.tables.iter().all(|table| table.slots == 3 && table.files <= 3), "{more:?}");
    assert_eq!(log(&backup).await, log(&objects).await);
}

#[tokio::test]
async fn epochs_that_are_announced_go_with_a_copy_and_are_scrubbed() {
    let (objects, store, mut dataset) = original().await;
    for kind in TableKind::ALL {
        dataset.table_mut(kind).announce_epoch(made::epoch(2, 1300, Some(8))).await.unwrap();
    }
    let (backup, to) = {
        let it = Objects::sound();
        (it.clone(), over(it))
    };
    let report = copied(&store, &to, CopyUntil::Slot(3)).await.unwrap();
    let told = |table: &TableCopy| {
        table.notes.iter().any(|note| note.contains("epoch 2 is announced from ledger 1300"))
    };
    assert!(report.tables.iter().all(told), "{report:?}");
    copied(&store, &to, CopyUntil::End).await.unwrap();
    // Both go on by themselves, into the epoch, and write the same.
    let mut other = Dataset::open(&to, &settings(16, 4)).await.unwrap();
    fill(&mut dataset, 1330).await.unwrap();
    fill(&mut other, 1330).await.unwrap();
    assert_eq!(other.ledgers.tip().epoch, 2);
    assert_eq!(log(&backup).await, log(&objects).await);
    copied(&store, &to, CopyUntil::End).await.unwrap();
    assert!(verify(&to, &mut |_| {}).await.unwrap().is_sound());
    // An epoch that the log has follows from it; one to come does not.
    let scrubbed = async |other: Option<&Store>| {
        let settings = ScrubSettings { repairs: true, other, maker: None, pace: Pace::unlimited() };
        scrub(&store, &settings, &Unwatched).await.unwrap()
    };
    let path = object_store::path::Path::from("set/ledgers/_epochs/0000000002.json");
    let good = objects.get(&path).await.unwrap().bytes().await.unwrap();
    let rotten = String::from_utf8(good.to_vec()).unwrap().replace("1300", "1310");
    objects.put(&path, rotten.into()).await.unwrap();
    assert_eq!(scrubbed(None).await.repaired(), 1);
    assert_eq!(objects.get(&path).await.unwrap().bytes().await.unwrap(), good);
    dataset.ledgers.announce_epoch(made::epoch(3, 9000, None)).await.unwrap();
    copied(&store, &to, CopyUntil::End).await.unwrap();
    let path = object_store::path::Path::from("set/ledgers/_epochs/0000000003.json");
    objects.put(&path, "{\"epoch\":3".into()).await.unwrap();
    assert!(
        copied(&store, &to, CopyUntil::End)
            .await
            .unwrap_err()
            .to_string()
            .contains("it is not as epoch 3 was announced")
    );
    assert!(scrubbed(None).await.remains());
    assert!(!scrubbed(Some(&to)).await.remains());
    assert_eq!(
        log(&backup).await["set/ledgers/_epochs/0000000003.json"],
        objects.get(&path).await.unwrap().bytes().await.unwrap()
    );
}

#[tokio::test]
async fn a_copy_that_ends_anywhere_is_a_dataset_and_going_on_gives_the_same() {
    let (original, store, _dataset) = original().await;
    let expected = log(&original).await;
    let objects_in_all = expected.len() as u64;
    let mut puts = 0;
    loop {
        // Every put after this many fails, as after a kill.
        let (count, limit) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(puts)));
        let (counted, allowed) = (count.clone(), limit.clone());
        let objects = Objects::new(move |is_put, _| {
            let is_over = is_put && counted.fetch_add(1, Ordering::SeqCst) >= allowed.load(Ordering::SeqCst);
            if is_over { Fate::Fails } else { Fate::Done }
        });
        let to = over(objects.clone());
        let outcome = copied(&store, &to, CopyUntil::End).await;
        limit.store(u64::MAX, Ordering::SeqCst);
        let found = log(&objects).await;
        assert!(found.iter().all(|(path, bytes)| expected[path] == *bytes), "after {puts} puts");
        for kind in TableKind::ALL {
            let folder = format!("set/{}/_delta_log/", kind.as_str());
            let slots = found.keys().filter(|path| path.starts_with(&folder)).count() as u64;
            // No hole, and every file is there before its slot.
            assert!(
                (0..slots).all(|slot| found.contains_key(&format!("{folder}{slot:020}.json"))),
                "after {puts} puts"
            );
        }
        let has_both = TableKind::ALL
            .iter()
            .all(|kind| found.contains_key(&format!("set/{}/_delta_log/{:020}.json", kind.as_str(), 0)));
        if has_both {
            let report = verify(&to, &mut |_| {}).await.unwrap();
            assert!(report.is_sound(), "after {puts} puts: {:?}", report.problems().collect::<Vec<_>>());
        }
        let is_done = outcome.is_ok();
        copied(&store, &to, CopyUntil::End).await.unwrap();
        assert!(log(&objects).await == expected, "after {puts} puts");
        if is_done {
            break;
        }
        puts += 1;
    }
    // The self-test puts too; every object was the first that failed.
    assert!(puts >= objects_in_all, "{puts} puts");
}

#[tokio::test]
async fn a_restore_to_a_point_has_exactly_the_log_of_that_point() {
    let (original, store, dataset) = original().await;
    let all = log(&original).await;
    let last = dataset.ledgers.tip().slot;
    for slot in 0..=last {
        let objects = Objects::sound();
        let to = over(objects.clone());
        let report = copied(&store, &to, CopyUntil::Slot(slot)).await.unwrap();
        let found = log(&objects).await;
        for kind in TableKind::ALL {
            let path = |slot: u64| format!("set/{}/_delta_log/{slot:020}.json", kind.as_str());
            assert!((0..=slot).all(|slot| found[&path(slot)] == all[&path(slot)]));
            assert!(!found.contains_key(&path(slot + 1)));
        }
        assert!(found.iter().all(|(path, bytes)| all[path] == *bytes));
        assert!(report.tables.iter().all(|table| table.slot == slot && table.falls_short.is_none()));
        assert!(verify(&to, &mut |_| {}).await.unwrap().is_sound(), "slot {slot}");
    }
    let check = async |ledger: u32, expect: u32, is_short: bool| {
        let to = made::memory();
        let report = copied(&store, &to, CopyUntil::Ledger(LedgerSequence(ledger))).await.unwrap();
        for table in &report.tables {
            assert_eq!(
                (table.last_ledger, table.falls_short.is_some()),
                (Some(LedgerSequence(expect)), is_short),
                "{ledger}"
            );
        }
        assert!(verify(&to, &mut |_| {}).await.unwrap().is_sound());
    };
    check(15, 15, false).await;
    check(40, 31, false).await;
    check(150, 150, false).await;
    check(200, 200, false).await;
    check(999, 200, true).await;
    // An earlier part is completed, to a further point or to the end.
    let (objects, to) = {
        let it = Objects::sound();
        (it.clone(), over(it))
    };
    copied(&store, &to, CopyUntil::Slot(3)).await.unwrap();
    copied(&store, &to, CopyUntil::Ledger(LedgerSequence(120))).await.unwrap();
    copied(&store, &to, CopyUntil::End).await.unwrap();
    assert_eq!(log(&objects).await, all);
}

#[tokio::test]
async fn a_copy_is_refused_where_it_would_not_be_one_and_nothing_is_written() {
    let (_, store, _) = original().await;
    let refused = async |from: &Store, to: &Store, point, fragment: &str| {
        let error = copied(from, to, point).await.unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        error.class()
    };
    // Another history.
    let objects = Objects::sound();
    let other = over(objects.clone());
    let mut dataset = Dataset::open(&other, &settings(32, 64)).await.unwrap();
    fill(&mut dataset, 60).await.unwrap();
    let before = objects.contents().await;
    let class = refused(&store, &other, CopyUntil::End, "are no copies of each other").await;
    assert_eq!(class, DatasetErrorClass::Data);
    assert_eq!(objects.contents().await, before);
    // More than the original, or than was asked for.
    let whole = made::memory();
    copied(&store, &whole, CopyUntil::End).await.unwrap();
    let part = made::memory();
    copied(&store, &part, CopyUntil::Slot(4)).await.unwrap();
    refused(&part, &whole, CopyUntil::End, "has fewer").await;
    refused(&store, &whole, CopyUntil::Slot(4), "slots up to").await;
    refused(&store, &whole, CopyUntil::Ledger(LedgerSequence(40)), "40 was asked for").await;
    // Nothing to copy.
    let class = refused(&made::memory(), &made::memory(), CopyUntil::End, "there is no table yet").await;
    assert_eq!(class, DatasetErrorClass::Usage);
}

#[tokio::test]
async fn nothing_damaged_is_copied() {
    let (objects, store, _) = original().await;
    let contents = log(&objects).await;
    let damaged = async |path: &str, bytes: Bytes, fragment: &str| {
        let location = object_store::path::Path::from(path);
        let good = contents[path].clone();
        objects.put(&location, bytes.into()).await.unwrap();
        let to = made::memory();
        let error = copied(&store, &to, CopyUntil::End).await.unwrap_err();
        assert!(error.to_string().contains(fragment), "{error}");
        assert_eq!(error.class(), DatasetErrorClass::Data);
        objects.put(&location, good.into()).await.unwrap();
        // What was copied before it stays, and is completed.
        copied(&store, &to, CopyUntil::End).await.unwrap();
        assert!(verify(&to, &mut |_| {}).await.unwrap().is_sound());
    };
    let flipped = |path: &str, at: usize| {
        let mut bytes = contents[path].to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let file = contents.keys().find(|path| path.contains("ledgers/data/96-111")).unwrap();
    damaged(file, flipped(file, 50), "nothing damaged is copied").await;
    let slot = |number: u64| format!("set/ledgers/_delta_log/{number:020}.json");
    let text = String::from_utf8(contents[&slot(5)].to_vec()).unwrap();
    let at = text.find("parent_ledger_hash").unwrap() - 30;
    damaged(&slot(5), flipped(&slot(5), at), "").await;
    // In the last slot: statistics, which only the rows can contradict.
    let last = contents.keys().rfind(|path| path.starts_with("set/ledgers/_delta_log/")).unwrap();
    let text = String::from_utf8(contents[last].to_vec()).unwrap();
    let at = text.rfind(":00.000Z").or(text.rfind(".000Z")).unwrap() - 1;
    damaged(last, flipped(last, at), "").await;
}

#[tokio::test]
async fn datasets_are_compared_by_their_logs() {
    let (objects, store, mut dataset) = original().await;
    let relations = async |one: &Store, other: &Store| {
        let comparison = compare(one, other).await.unwrap();
        comparison
            .tables
            .iter()
            .map(|table| (table.relation, table.difference.as_ref().map(|it| it.slot)))
            .collect::<Vec<_>>()
    };
    let check = async |other: &Store, expect: (Relation, Option<u64>)| {
        assert_eq!(relations(&store, other).await, [expect, expect]);
    };
    let same = made::memory();
    copied(&store, &same, CopyUntil::End).await.unwrap();
    check(&same, (Relation::Equal, None)).await;
    let part = made::memory();
    copied(&store, &part, CopyUntil::Slot(6)).await.unwrap();
    check(&part, (Relation::Behind(Side::Other), None)).await;
    assert_eq!(relations(&part, &store).await, [(Relation::Behind(Side::One), None); 2]);
    check(&made::memory(), (Relation::Missing(Side::Other), None)).await;
    // The same rows, without compaction and epoch.
    let plain = made::memory();
    copied(&store, &plain, CopyUntil::Slot(6)).await.unwrap();
    let mut other = Dataset::open(&plain, &settings(16, 4)).await.unwrap();
    fill(&mut other, 199).await.unwrap();
    check(&plain, (Relation::OtherLayout, Some(10))).await;
    // Other settings.
    let wide = made::memory();
    let grid =
        orrery_actors::dataset::DatasetSettings { grid: Some(Grid::uniform(32).unwrap()), ..settings(16, 4) };
    let mut other = Dataset::open(&wide, &grid).await.unwrap();
    fill(&mut other, 60).await.unwrap();
    check(&wide, (Relation::OtherSettings, Some(0))).await;
    // Other rows.
    let wrong = made::memory();
    copied(&store, &wrong, CopyUntil::Slot(7)).await.unwrap();
    let mut other = Dataset::open(&wrong, &settings(16, 4)).await.unwrap();
    for kind in TableKind::ALL {
        let table = other.table_mut(kind);
        let range = table.next_range(None).unwrap();
        let mut rows = made::slot(table, range);
        rows.last_hash = made::hash(999);
        table.commit(rows).await.unwrap();
    }
    check(&wrong, (Relation::OtherRows, Some(8))).await;
    fill(&mut dataset, 230).await.unwrap();
    drop(objects);
}
