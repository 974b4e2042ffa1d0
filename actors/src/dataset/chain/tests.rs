use super::*;
use crate::dataset::configuration::{Epoch, Epochs};
use crate::dataset::grid::Grid;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{FileName, RemovedFile, encode_genesis};

/// A log of four slots: settings, then ledgers 5 to 7, 8 to 15 and 16 to 23.
pub(in crate::dataset) fn log() -> Vec<Bytes> {
    let epoch = Epoch { epoch: 1, from_ledger: LedgerSequence(5), schema_version: 1, processor_version: 1 };
    let metadata = MetaData::new(Configuration {
        kind: TableKind::Ledgers,
        network_passphrase: "n".to_owned(),
        start_ledger: LedgerSequence(5),
        grid: "1:8".parse().unwrap(),
        epochs: Epochs::first(epoch),
    });
    let mut log = vec![encode_genesis(&metadata)];
    let mut chain = Chain::genesis(&log[0]).unwrap();
    for (first, last) in [(5, 7), (8, 15), (16, 23)] {
        let next = append(&chain, first, last);
        let bytes = chain.encode(&next).unwrap();
        chain.follow(&bytes).unwrap();
        log.push(bytes);
    }
    log
}

/// What that log says.
pub(in crate::dataset) fn chain() -> Chain {
    let log = log();
    let mut chain = Chain::genesis(&log[0]).unwrap();
    log[1..].iter().for_each(|slot| drop(chain.follow(slot).unwrap()));
    chain
}

fn hash(ledger: u32) -> Hash32 {
    sha256(&ledger.to_be_bytes())
}

fn time(ledger: u32) -> CloseTime {
    CloseTime::from_unix_seconds(u64::from(ledger)).unwrap()
}

pub(in crate::dataset) fn file(first: u32, last: u32) -> AddFile {
    let range = LedgerSequence(first)..=LedgerSequence(last);
    let mut digest = RowDigest::default();
    (first..=last).for_each(|ledger| digest.add_row(&ledger.to_be_bytes()));
    let sha256 = sha256(format!("{range:?}").as_bytes());
    AddFile {
        name: FileName::new(range.clone(), sha256),
        sha256,
        bytes: 9,
        rows: u64::from(last - first) + 1,
        digest,
        ledgers: range,
        closed_at: time(first)..=time(last),
        modified_at: time(last),
    }
}

/// A slot of these ledgers behind a chain.
pub(in crate::dataset) fn append(chain: &Chain, first: u32, last: u32) -> Commit {
    let add = file(first, last);
    let mut total_digest = chain.tip.total_digest;
    total_digest.add(&add.digest);
    Commit {
        prev: chain.tip.slot_sha256,
        epoch: chain.tip.epoch,
        first_ledger: LedgerSequence(first),
        last_ledger: LedgerSequence(last),
        parent_ledger_hash: hash(first - 1),
        last_ledger_hash: hash(last),
        rows: add.rows,
        total_rows: chain.tip.total_rows + add.rows,
        row_digest: add.digest,
        total_digest,
        closed_at: time(last),
        change: Change::Append(Some(add)),
    }
}

fn check(change: impl FnOnce(&mut Commit), fragment: &str) {
    let chain = chain();
    let mut commit = append(&chain, 24, 31);
    change(&mut commit);
    let mut after = chain.clone();
    let found = after.follow(&chain.encode(&commit).unwrap());
    if fragment.is_empty() {
        assert_eq!(found, Ok(commit));
        return;
    }
    let error = found.unwrap_err();
    assert!(error.contains(fragment), "{error}");
    assert_eq!(after, chain, "an error leaves the chain as it was");
}

#[test]
fn a_slot_follows_only_from_the_one_before() {
    check(|_| {}, "");
    check(|commit| commit.prev = hash(0), "hash of the slot before");
    check(|commit| commit.first_ledger = LedgerSequence(25), "first ledger");
    check(|commit| commit.epoch = 2, "epoch");
    check(|commit| commit.parent_ledger_hash = hash(0), "parent's hash");
    check(|commit| commit.last_ledger = LedgerSequence(30), "last ledger of its file");
    check(|commit| commit.last_ledger = LedgerSequence(32), "it ends at ledger 32, its slot at 31");
    check(|commit| commit.last_ledger = LedgerSequence(23), "it ends at ledger 23");
    check(|commit| commit.total_rows += 1, "sum of rows");
    check(|commit| commit.total_digest = RowDigest::default(), "sum of digests");
    check(|commit| commit.closed_at = time(1), "closed before");
    check(
        |commit| {
            commit.rows = 7;
            commit.total_rows -= 1;
        },
        "rows of its file",
    );
    check(|commit| commit.change = Change::Append(None), "rows without a file");
}

fn compaction(chain: &Chain, first: u32, last: u32, removed: &[(u32, u32)]) -> Commit {
    let remove = removed.iter().map(|(first, last)| RemovedFile { name: file(*first, *last).name, bytes: 9 });
    let change = Change::Compaction { add: file(first, last), remove: remove.collect() };
    chain.without_ledgers(change)
}

#[test]
fn a_compaction_replaces_exactly_the_files_of_its_range() {
    let check = |first, last, removed: &[(u32, u32)], fragment: &str| {
        let mut chain = chain();
        let bytes = chain.encode(&compaction(&chain, first, last, removed)).unwrap();
        match chain.follow(&bytes) {
            Ok(_) => assert_eq!(fragment, ""),
            Err(error) => assert!(!fragment.is_empty() && error.contains(fragment), "{error}"),
        }
    };
    check(5, 15, &[(5, 7), (8, 15)], "");
    check(5, 23, &[(5, 7), (8, 15), (16, 23)], "");
    check(5, 15, &[(5, 7)], "rows of the compacted file");
    check(5, 15, &[(5, 7), (9, 15)], "which is not live");
    check(5, 15, &[(5, 7), (8, 15), (8, 15)], "rows of the compacted file");
    check(5, 15, &[], "rows of the compacted file");
    let mut chain = chain();
    let mut claims = compaction(&chain, 5, 15, &[(5, 7), (8, 15)]);
    claims.last_ledger = LedgerSequence(31);
    let bytes = chain.encode(&claims).unwrap();
    assert!(chain.follow(&bytes).unwrap_err().contains("it claims ledgers"));
}

#[test]
fn an_epoch_changes_what_comes_and_nothing_that_was() {
    let check = |change: fn(&mut MetaData), fragment: &str| {
        let mut chain = chain();
        let mut metadata = chain.metadata.clone();
        let epoch =
            Epoch { epoch: 2, from_ledger: LedgerSequence(30), schema_version: 1, processor_version: 2 };
        metadata.configuration.epochs = metadata.configuration.epochs.with(epoch).unwrap();
        change(&mut metadata);
        let bytes = chain.encode(&chain.without_ledgers(Change::Epoch(metadata))).unwrap();
        match chain.follow(&bytes) {
            Ok(_) => {
                assert_eq!(fragment, "");
                assert_eq!(chain.tip.epoch, 1);
                assert_eq!(chain.next_range(None), Some(LedgerSequence(24)..=LedgerSequence(29)));
                let next = append(&chain, 24, 29);
                let bytes = chain.encode(&next).unwrap();
                chain.follow(&bytes).unwrap();
                assert_eq!(chain.tip.epoch, 2);
            }
            Err(error) => assert!(!fragment.is_empty() && error.contains(fragment), "{error}"),
        }
    };
    check(|_| {}, "");
    check(|metadata| metadata.configuration.grid = "1:8,30:2".parse().unwrap(), "");
    check(|metadata| metadata.configuration.grid = Grid::default(), "moves slots of earlier epochs");
    check(
        |metadata| metadata.configuration.grid = "1:8,26:2".parse().unwrap(),
        "moves slots of earlier epochs",
    );
    check(|metadata| metadata.id = "x".to_owned(), "table's name");
    check(|metadata| metadata.configuration.start_ledger = LedgerSequence(6), "fixed for ever");
    check(|metadata| metadata.configuration.epochs = "1@5:1:1".parse().unwrap(), "announce 2");
    check(|metadata| metadata.configuration.epochs = "1@5:1:1,2@9:1:2".parse().unwrap(), "ledgers up to");
}
