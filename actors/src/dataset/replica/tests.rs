use orrery_schemas::CloseTime;

use super::*;
use crate::dataset::{DatasetUrl, Outcome, Retry, SlotRows};

const KIND: TableKind = TableKind::TokenTransfers;

fn store(folder: &std::path::Path) -> Store {
    Store::connect(&DatasetUrl::File(folder.to_owned()), &|_| None, Retry::new(1).unwrap()).unwrap()
}

fn settings() -> DatasetSettings {
    DatasetSettings {
        network_passphrase: Some("n".to_owned()),
        start_ledger: Some(LedgerSequence(2)),
        grid: Some(crate::dataset::Grid::uniform(2).unwrap()),
        ..DatasetSettings::default()
    }
}

/// A table with slots without rows.
async fn made(folder: &std::path::Path, slots: u32) -> Vec<Bytes> {
    let dataset = store(folder);
    let mut table = Table::open(&dataset, KIND, &settings()).await.unwrap();
    for _ in 0..slots {
        let range = table.next_range(None).unwrap();
        let hash = |ledger: u32| Hash32([ledger as u8; 32]);
        let rows = SlotRows {
            parent_hash: hash(range.start().0 - 1),
            last_hash: hash(range.end().0),
            closed_at: CloseTime::from_unix_seconds(100 + u64::from(range.end().0)).unwrap(),
            range,
            file: None,
            digest: RowDigest::default(),
        };
        assert_eq!(table.commit(rows).await.unwrap(), Outcome::Committed);
    }
    let mut found = Vec::new();
    for slot in 0..=u64::from(slots) {
        found.push(read_slot(&dataset, KIND, slot).await.unwrap().unwrap());
    }
    found
}

#[tokio::test]
async fn slots_are_copied_in_order_and_nothing_else_is_put() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slots = made(from.path(), 3).await;
    let mut replica = Replica::new(&store(to.path()), KIND, &settings());
    assert_eq!(replica.look().await.unwrap(), None, "looking creates nothing");
    assert!(matches!(replica.put_slot(1, slots[1].clone()).await.unwrap(), SlotPut::Unfit(_)));
    assert!(matches!(replica.put_slot(0, slots[1].clone()).await.unwrap(), SlotPut::Unfit(_)));
    for (slot, bytes) in (0..).zip(&slots[..3]) {
        assert_eq!(replica.put_slot(slot, bytes.clone()).await.unwrap(), SlotPut::Done, "{slot}");
        assert_eq!(replica.tip().unwrap().slot, slot);
    }
    assert_eq!(replica.put_slot(2, slots[2].clone()).await.unwrap(), SlotPut::Taken);
    assert!(matches!(replica.put_slot(3, slots[2].clone()).await.unwrap(), SlotPut::Unfit(_)));
    // Somebody else has put the same meanwhile.
    let mut other = Replica::new(&store(to.path()), KIND, &settings());
    other.look().await.unwrap();
    assert_eq!(other.put_slot(3, slots[3].clone()).await.unwrap(), SlotPut::Done);
    assert_eq!(replica.put_slot(3, slots[3].clone()).await.unwrap(), SlotPut::Done);
    let other_network = DatasetSettings { network_passphrase: Some("m".to_owned()), ..settings() };
    let empty = tempfile::tempdir().unwrap();
    let mut foreign = Replica::new(&store(empty.path()), KIND, &other_network);
    let unfit = foreign.put_slot(0, slots[0].clone()).await.unwrap();
    assert!(matches!(&unfit, SlotPut::Unfit(why) if why.contains("its network is")), "{unfit:?}");
}

#[tokio::test]
async fn a_dataset_that_is_emptied_meanwhile_begins_with_its_first_slot() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slots = made(from.path(), 2).await;
    let mut replica = Replica::new(&store(to.path()), KIND, &settings());
    for slot in [0, 1] {
        replica.put_slot(slot, slots[slot as usize].clone()).await.unwrap();
    }
    std::fs::remove_dir_all(to.path().join(KIND.as_str())).unwrap();
    assert_eq!(replica.put_slot(2, slots[2].clone()).await.unwrap(), SlotPut::Taken);
    assert_eq!(replica.look().await.unwrap(), None);
    assert_eq!(read_slot(&store(to.path()), KIND, 2).await.unwrap(), None);
    assert_eq!(replica.put_slot(0, slots[0].clone()).await.unwrap(), SlotPut::Done);
}

#[tokio::test]
async fn a_file_that_is_there_with_other_bytes_halts_and_both_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = store(folder.path());
    let object = |bytes: &[u8]| {
        let sha256 = object_sha256(bytes);
        let name = FileName::new(LedgerSequence(2)..=LedgerSequence(3), sha256);
        SlotObject { path: name.to_string(), sha256, bytes: bytes.len() as u64 }
    };
    let rows = Bytes::from_static(b"rows");
    let named = object(&rows);
    assert!(is_object(&named, &rows).await && !is_object(&named, &Bytes::from_static(b"rowz")).await);
    for _ in 0..2 {
        put_object(&dataset, KIND, &named, rows.clone()).await.unwrap();
    }
    let rotten = object(b"other");
    std::fs::write(folder.path().join(KIND.as_str()).join(&rotten.path), b"rotten").unwrap();
    let halted = put_object(&dataset, KIND, &rotten, Bytes::from_static(b"other")).await.unwrap_err();
    let DatasetError::Halted(halt) = halted else { panic!("{halted}") };
    assert_eq!((&halt.ours[..], &halt.theirs[..]), (&b"rotten"[..], &b"other"[..]));
    assert_eq!(std::fs::read_dir(&halt.kept).unwrap().count(), 2);
    let part = read_object(&dataset, KIND, &named.path, 1..3).await.unwrap();
    assert_eq!(part.as_deref(), Some(&b"ow"[..]));
    assert!(read_object(&dataset, KIND, "_delta_log/0.json", 0..1).await.is_err());
}

/// What one region has announced, another one announces; who has gone past it, or has another of its number, says so.
#[tokio::test]
async fn an_epoch_is_taken_over_while_its_first_slot_is_not_written() {
    let announced = |from_ledger: u32| AnnouncedEpoch {
        epoch: 2,
        from_ledger,
        schema_version: KIND.schema_version(),
        processor_version: DatasetSettings::default().processor_version,
        ledgers_per_slot: None,
    };
    let place = tempfile::tempdir().unwrap();
    made(place.path(), 3).await;
    let mut replica = Replica::new(&store(place.path()), KIND, &settings());
    assert!(!replica.take_epoch(&[announced(20)]).await.unwrap(), "there is no table yet");
    replica.look().await.unwrap();
    let next = replica.tip().unwrap().next_ledger.0;
    let too_late = replica.take_epoch(&[announced(next)]).await.unwrap_err();
    assert!(matches!(too_late, DatasetError::Epoch { .. }), "{too_late}");
    assert!(replica.take_epoch(&[announced(next + 4)]).await.unwrap());
    assert!(!replica.take_epoch(&[announced(next + 4)]).await.unwrap());
    assert_eq!(replica.table().unwrap().told_epochs(), [announced(next + 4)]);
    let another = replica.take_epoch(&[announced(next + 8)]).await.unwrap_err();
    assert!(another.to_string().contains("another of this number"), "{another}");
    // One that does not come next is of no use here.
    let later = AnnouncedEpoch { epoch: 4, ..announced(next + 40) };
    assert!(!replica.take_epoch(&[later]).await.unwrap());
}
