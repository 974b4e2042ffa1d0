//! The fixture ledgers, read in place by the simplest code that can: an independent check of the sources.

mod fixtures;

use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) use fixtures::fixtures;

/// One ledger of a fixture file.
pub(crate) struct FixtureLedger {
    /// Path relative to the folder, as the golden lines name it.
    pub(crate) file: String,
    /// One `LedgerCloseMeta`.
    pub(crate) xdr: Vec<u8>,
}

/// Every ledger below `folder`, in path order.
pub(crate) fn ledgers(folder: &Path) -> Vec<FixtureLedger> {
    let mut paths = Vec::new();
    walk(folder, &mut paths);
    paths.sort();
    paths.iter().flat_map(|path| read(folder, path)).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, paths);
        } else if !path.ends_with(".config.json") {
            paths.push(path);
        }
    }
}

fn read(folder: &Path, path: &Path) -> Vec<FixtureLedger> {
    let file = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    let mut bytes = std::fs::read(path).unwrap();
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut plain = Vec::new();
        zstd::Decoder::new(&bytes[..]).unwrap().read_to_end(&mut plain).unwrap();
        bytes = plain;
    }
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut ranges = Vec::new();
    if word(0) >= 1 << 31 {
        let mut at = 0;
        while at < bytes.len() {
            let length = word(at) & 0x7fff_ffff;
            ranges.push(at + 4..at + 4 + length);
            at += 4 + length;
        }
    } else if word(0) > 2 {
        assert_eq!((word(0), word(8)), (word(4), 1), "fixture batches hold one ledger");
        ranges.push(12..bytes.len());
    } else {
        ranges.push(0..bytes.len());
    }
    ranges.into_iter().map(|range| FixtureLedger { file: file.clone(), xdr: bytes[range].to_vec() }).collect()
}
