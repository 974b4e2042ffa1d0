use std::fs;

use orrery_actors::source::{LedgerBound, LedgerRange, SourceUrl, open};
use orrery_schemas::LedgerSequence;

use super::*;
use crate::stubs::made::PASSPHRASE;
use crate::stubs::spoil::object;

struct Home {
    _folder: tempfile::TempDir,
    stub: SourceStub,
    made: MadeLedgers,
}

/// A lake of ledgers 2 to 9, and what serves it.
fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let made = MadeLedgers::new(1, 10).unwrap();
    let partition = folder.path().join("FFFFFFFF--0-63999");
    fs::create_dir_all(&partition).unwrap();
    let config = format!(
        "{{\"networkPassphrase\":\"{PASSPHRASE}\",\"version\":\"1.0\",\"compression\":\"zstd\",\
         \"ledgersPerBatch\":1,\"batchesPerPartition\":64000}}"
    );
    fs::write(folder.path().join(".config.json"), config).unwrap();
    for ledger in 2..10_u32 {
        let name = format!("{:08X}--{ledger}.xdr.zst", u32::MAX - ledger);
        fs::write(partition.join(name), object(ledger, made.sound(ledger).unwrap())).unwrap();
    }
    let stub = SourceStub::start(folder.path(), made.clone()).unwrap();
    Home { _folder: folder, stub, made }
}

impl Home {
    /// Ledgers from `first` to `last`, or the error.
    fn read(&self, url: &str, first: u32, last: u32) -> Result<Vec<Vec<u8>>, String> {
        let url: SourceUrl = url.parse().unwrap();
        let bound = |ledger| Some(LedgerBound::Number(LedgerSequence(ledger)));
        let range = LedgerRange { from: bound(first), to: bound(last) };
        let mut source = open(&[url], range).map_err(|error| error.to_string())?;
        let mut read = Vec::new();
        while let Some(ledger) = source.next_ledger() {
            read.push(ledger.map_err(|error| error.to_string())?.xdr.to_vec());
        }
        Ok(read)
    }

    fn urls(&self) -> [String; 2] {
        [self.stub.lake_url(), self.stub.rpc_url()]
    }
}

#[test]
fn a_sound_source_gives_the_ledgers_that_were_made() {
    let home = home();
    let expect: Vec<_> = (2..10).map(|ledger| home.made.sound(ledger).unwrap().to_vec()).collect();
    for url in home.urls() {
        assert!(home.read(&url, 2, 9).unwrap() == expect, "{url}");
    }
    assert_eq!(home.stub.newest(), 9);
    assert_eq!(home.stub.counts().befallen, 0);
}

#[test]
fn spoiled_ledgers_are_found_to_be_what_they_are() {
    let home = home();
    let [lake, rpc] = home.urls();
    let check = |spoil: Spoil, url: &str, says: &str| {
        home.stub.set(SourceFault::Ledgers(spoil, 5));
        let error = home.read(url, 5, 5).unwrap_err();
        assert!(error.contains(says), "{spoil:?} of {url}: {error}");
        assert!(home.stub.counts().befallen > 0, "{spoil:?}");
    };
    check(Spoil::CutShort, &lake, "truncated");
    check(Spoil::Damaged, &lake, "");
    check(Spoil::Bomb, &lake, "times its size");
    check(Spoil::HugeWindow, &lake, "window above");
    check(Spoil::Oversized, &lake, "above the limit");
    check(Spoil::Missing, &lake, "lacks this ledger");
    check(Spoil::Next, &lake, "holds ledger 6");
    check(Spoil::Garbage, &lake, "");
    check(Spoil::NoJson, &lake, "not ledgers");
    home.stub.set(SourceFault::None);
    assert_eq!(home.read(&rpc, 5, 5).unwrap().len(), 1);
}

#[test]
fn a_fork_and_a_changed_ledger_are_served_as_ledgers() {
    let home = home();
    for url in home.urls() {
        home.stub.set(SourceFault::Ledgers(Spoil::Forked, 5));
        let read = home.read(&url, 4, 5).unwrap();
        assert!(read[0] == home.made.sound(4).unwrap() && read[1] == home.made.forked(5).unwrap(), "{url}");
        home.stub.set(SourceFault::Ledgers(Spoil::Tampered, 5));
        let read = home.read(&url, 5, 5).unwrap();
        assert!(read[0] == home.made.tampered(5).unwrap().unwrap(), "{url}");
        home.stub.set(SourceFault::Replaced(5));
        let read = home.read(&url, 5, 6).unwrap();
        assert!(read[0] == home.made.forked(5).unwrap() && read[1] == home.made.sound(6).unwrap(), "{url}");
    }
}

#[test]
fn every_so_many_th_request_is_refused() {
    let home = home();
    home.stub.set(SourceFault::Busy(2));
    let read = home.read(&home.stub.lake_url(), 2, 9).unwrap();
    assert_eq!(read.len(), 8);
    let counts = home.stub.counts();
    assert!(counts.befallen > 0 && counts.befallen * 2 <= counts.requests + 1, "{counts:?}");
}
