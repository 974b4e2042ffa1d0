use proptest::prelude::*;

use super::*;
use crate::dataset::configuration::{Epoch, Epochs};
use crate::dataset::grid::Grid;

fn metadata(kind: TableKind) -> MetaData {
    let epoch = Epoch { epoch: 1, from_ledger: LedgerSequence(2), schema_version: 1, processor_version: 1 };
    MetaData::new(Configuration {
        kind,
        network_passphrase: "a \"network\"".to_owned(),
        start_ledger: LedgerSequence(2),
        grid: Grid::default(),
        epochs: Epochs::first(epoch),
    })
}

fn time(seconds: u64) -> CloseTime {
    CloseTime::from_unix_seconds(seconds).unwrap()
}

fn add(first: u32, last: u32, seed: u8) -> AddFile {
    let (first, last) = (LedgerSequence(first), LedgerSequence(last));
    let mut digest = RowDigest::default();
    digest.add_row(&[seed]);
    AddFile {
        name: FileName::new(first..=last, sha256(&[seed])),
        sha256: sha256(&[seed]),
        bytes: 1000 + u64::from(seed),
        rows: 7,
        digest,
        ledgers: first..=last,
        closed_at: time(100)..=time(200),
        modified_at: time(200),
    }
}

fn commit(change: Change) -> Commit {
    let digest = |seed: u8| {
        let mut digest = RowDigest::default();
        digest.add_row(&[seed]);
        digest
    };
    Commit {
        prev: sha256(b"prev"),
        epoch: 1,
        first_ledger: LedgerSequence(16),
        last_ledger: LedgerSequence(31),
        parent_ledger_hash: sha256(b"parent"),
        last_ledger_hash: sha256(b"last"),
        rows: 7,
        total_rows: 70,
        row_digest: digest(1),
        total_digest: digest(2),
        closed_at: time(200),
        change,
    }
}

fn changes() -> [Change; 4] {
    let removed =
        |first, last, seed| RemovedFile { name: add(first, last, seed).name, bytes: u64::from(seed) };
    [
        Change::Append(None),
        Change::Append(Some(add(16, 31, 1))),
        Change::Compaction { add: add(16, 47, 2), remove: vec![removed(16, 31, 1), removed(32, 47, 3)] },
        Change::Epoch(metadata(TableKind::Ledgers)),
    ]
}

#[test]
fn slots_come_back_as_they_were_written() {
    for kind in TableKind::ALL {
        assert_eq!(parse_genesis(&encode_genesis(&metadata(kind))), Ok(metadata(kind)));
        for change in changes() {
            let commit = commit(change);
            assert_eq!(Commit::parse(&commit.encode(kind).unwrap()), Ok(commit));
        }
    }
}

/// Written out by hand: slots are compared by their bytes, for ever.
#[test]
fn the_bytes_of_a_slot_are_these() {
    let bytes = commit(Change::Append(Some(add(16, 31, 1)))).encode(TableKind::TokenTransfers).unwrap();
    let digest = |seed: u8| {
        let mut digest = RowDigest::default();
        digest.add_row(&[seed]);
        digest
    };
    let (one, two) = (digest(1), digest(2));
    let hash = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a";
    let expect = format!(
        concat!(
            r#"{{"commitInfo":{{"timestamp":200000,"operation":"WRITE","operationParameters":{{"mode":"Append"}},"#,
            r#""isBlindAppend":true,"engineInfo":"orrery","orrery":{{"prev":"{}","epoch":1,"first_ledger":16,"#,
            r#""last_ledger":31,"parent_ledger_hash":"{}","last_ledger_hash":"{}","rows":7,"total_rows":70,"#,
            r#""row_digest":"{}","total_digest":"{}"}}}}}}"#,
            "\n",
            r#"{{"add":{{"path":"data/16-31-4bf5122f344554c5.parquet","partitionValues":{{}},"size":1001,"#,
            r#""modificationTime":200000,"dataChange":true,"stats":"{{\"numRecords\":7,\"minValues\":"#,
            r#"{{\"ledger_sequence\":16,\"closed_at\":\"1970-01-01T00:01:40.000Z\"}},\"maxValues\":"#,
            r#"{{\"ledger_sequence\":31,\"closed_at\":\"1970-01-01T00:03:20.000Z\"}}}}","#,
            r#""tags":{{"orrery.row_digest":"{}","orrery.sha256":"{}"}}}}}}"#,
            "\n",
        ),
        sha256(b"prev"),
        sha256(b"parent"),
        sha256(b"last"),
        one,
        two,
        one,
        hash
    );
    assert_eq!(String::from_utf8_lossy(&bytes), expect);
}

#[test]
fn a_slot_that_says_more_or_less_is_refused() {
    let good = commit(Change::Append(Some(add(16, 31, 1)))).encode(TableKind::Ledgers).unwrap();
    let good = String::from_utf8(good.to_vec()).unwrap();
    let check = |from: &str, to: &str, fragment: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let error = Commit::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(fragment), "{error}");
    };
    check("\"epoch\":1", "\"epoch\":1,\"host\":\"a\"", "unknown field `host`");
    check("\"epoch\":1,", "", "missing field `epoch`");
    check("\"epoch\":1,", "\"epoch\":1,\"epoch\":1,", "duplicate field");
    check("\"epoch\":1,", "\"epoch\":-1,", "line 1");
    check("\"rows\":7", "\"rows\":7.0", "line 1");
    check("\"timestamp\":200000", "\"timestamp\":200001", "200001 ms is no close time");
    check("\"operation\":\"WRITE\"", "\"operation\":\"DELETE\"", "its operation is \"DELETE\"");
    check("data/16-31", "data/31-16", "is no name of a data file");
    check("data/16-31", "../16-31", "is no name of a data file");
    check("data/16-31-4bf5", "data/16-31-4bf6", "its name and its SHA-256 differ");
    check("data/16-31", "data/17-31", "its stats name ledgers outside");
    check("\"size\":1001", "\"size\":-1", "its size is negative");
    check("{\"add\":", "{\"cdc\":", "unknown variant `cdc`");
    check("\n{\"add\"", "\n\n{\"add\"", "line 2");
    check("}}\n{\"add\"", "}} {\"add\"", "line 1");
    let twice = format!("{good}{}", good.lines().nth(1).unwrap());
    assert!(Commit::parse(twice.as_bytes()).unwrap_err().contains("cut short"));
    assert!(Commit::parse(format!("{twice}\n").as_bytes()).unwrap_err().contains("neither rows"));
    assert!(parse_genesis(good.as_bytes()).unwrap_err().contains("slot 0 is not"));
}

#[test]
fn a_table_that_needs_more_of_its_readers_is_refused() {
    let genesis = encode_genesis(&metadata(TableKind::Ledgers));
    let text = String::from_utf8(genesis.to_vec())
        .unwrap()
        .replace("\"minReaderVersion\":1", "\"minReaderVersion\":3");
    assert!(parse_genesis(text.as_bytes()).unwrap_err().contains("reader 3, writer 2"));
}

#[test]
fn names_of_files_are_strict() {
    let check = |text: &str, is_name: bool| assert_eq!(text.parse::<FileName>().is_ok(), is_name, "{text}");
    check("data/2-1023-0123456789abcdef.parquet", true);
    check("data/02-1023-0123456789abcdef.parquet", false);
    check("data/2-1023-0123456789abcde.parquet", false);
    check("data/2-1023-0123456789abcdex.parquet", false);
    check("data/2-4294967296-0123456789abcdef.parquet", false);
    check("data/+2-3-0123456789abcdef.parquet", false);
    check("2-1023-0123456789abcdef.parquet", false);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Commit::parse(&bytes);
        let _ = parse_genesis(&bytes);
    }

    #[test]
    fn no_edit_makes_the_parser_panic(at in 0_usize..1000, byte: u8, kind in 0_usize..4) {
        let [a, b, c, d] = changes();
        let change = [a, b, c, d].into_iter().nth(kind).unwrap();
        let mut bytes = commit(change).encode(TableKind::Ledgers).unwrap().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Commit::parse(&bytes);
    }
}
