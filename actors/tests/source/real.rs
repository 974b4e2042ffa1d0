//! Every real ledger in the fixtures is found, in every form it comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use orrery_actors::source::{LedgerRange, ProgressUnit, RawLedger, SourceUrl, open};

use crate::fixtures::fixtures;

fn read(url: &SourceUrl) -> Vec<RawLedger> {
    let mut source = open(std::slice::from_ref(url), LedgerRange::default()).unwrap();
    std::iter::from_fn(|| source.next_ledger()).collect::<Result<_, _>>().unwrap()
}

/// Reads `folder` and compares with its golden lines: which ledgers of which file have events.
fn check(folder: &str, below: &str, ledgers: usize, files: usize) {
    let Some(root) = fixtures() else { return };
    let url: SourceUrl = root.join(folder).join(below).to_str().unwrap().parse().unwrap();
    let found = read(&url);
    assert_eq!(found.len(), ledgers, "{folder}");
    let names: BTreeSet<&str> = found.iter().map(|ledger| &*ledger.file).collect();
    assert_eq!(names.len(), files, "{folder}");

    let positions: BTreeSet<(&str, u64)> =
        found.iter().map(|ledger| (&*ledger.file, u64::from(ledger.sequence.0))).collect();
    let golden = fs::read_to_string(root.join(format!("{folder}.golden.jsonl"))).unwrap();
    assert!(!golden.is_empty());
    for line in golden.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let position = (event["file"].as_str().unwrap(), event["ledger_sequence"].as_u64().unwrap());
        assert!(positions.contains(&position), "{position:?}");
    }

    let mut newest = BTreeMap::new();
    for ledger in &found {
        if let Some(previous) = newest.insert(ledger.chain, ledger.sequence) {
            assert_eq!(previous.next(), Some(ledger.sequence), "{} of {folder}", ledger.file);
        }
    }
}

#[test]
fn fixture_lake_is_one_ascending_chain_of_its_network() {
    let Some(root) = fixtures() else { return };
    let path = root.join("lake/ledgers/pubnet");
    for url in [SourceUrl::Lake(path.clone()), SourceUrl::Path(path.to_str().unwrap().to_owned())] {
        let source = open(std::slice::from_ref(&url), LedgerRange::default()).unwrap();
        assert_eq!(source.network_passphrase(), Some("Public Global Stellar Network ; September 2015"));
        assert_eq!((source.progress().unit(), source.progress().total()), (ProgressUnit::Ledgers, Some(12)));
        let ledgers = read(&url);
        let sequences: Vec<u32> = ledgers.iter().map(|ledger| ledger.sequence.0).collect();
        assert_eq!(sequences, (63_092_982..=63_092_993).collect::<Vec<_>>());
        assert!(ledgers.iter().all(|ledger| ledger.chain == 0 && ledger.offset == 12));
        assert_eq!(&*ledgers[0].file, "FC3E15FF--63040000-63103999/FC3D4709--63092982.xdr.zst");
    }
}

#[test]
fn every_fixture_ledger_is_read() {
    check("core", "", 8662, 487);
    check("pubnet", "", 19, 19);
    check("testnet", "", 111, 12);
    check("load", "", 30, 1);
    check("rules", "", 140, 140);
    check("lake", "ledgers/pubnet", 12, 12);
}
