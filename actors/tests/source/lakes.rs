//! Lakes of any layout, whole and with something missing.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use orrery_actors::source::{
    LakeLayout, LedgerRange, ObjectExtension, ProgressUnit, RawLedger, SourceError, SourceErrorClass,
    SourceErrorKind, SourceUrl, open,
};
use orrery_schemas::LedgerSequence;
use tempfile::TempDir;

use super::made;

pub(crate) struct MadeLake {
    pub(crate) root: TempDir,
    pub(crate) layout: LakeLayout,
}

impl MadeLake {
    /// Objects for ledgers `first..=last`; a batch that they do not fill is written as far as they go.
    pub(crate) fn new(ledgers_per_batch: u32, batches_per_partition: u32, first: u32, last: u32) -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = serde_json::json!({
            "networkPassphrase": "made up", "version": "1.0", "compression": "zstd", "later": true,
            "ledgersPerBatch": ledgers_per_batch, "batchesPerPartition": batches_per_partition,
        });
        fs::write(root.path().join(".config.json"), config.to_string()).unwrap();
        let [batch, partition] =
            [ledgers_per_batch, batches_per_partition].map(|it| NonZeroU32::new(it).unwrap());
        let lake = Self { root, layout: LakeLayout::new(batch, partition) };
        let mut next = first;
        while next <= last {
            let end = lake.layout.batch_range(LedgerSequence(next)).end().0.min(last);
            let content = made::batch(next, end, end - next + 1, &made::ledgers(next, end));
            // Both compressions and both endings, in turn.
            match (next / ledgers_per_batch) % 3 {
                0 => lake.put(next, ObjectExtension::Zst, &made::zstd(&content)),
                1 => lake.put(next, ObjectExtension::Zstd, &made::zstd(&content)),
                _ => lake.put(next, ObjectExtension::Plain, &content),
            }
            next = end + 1;
        }
        lake
    }

    /// As Galexie writes one today: one ledger an object, one ending.
    pub(crate) fn uniform(first: u32, last: u32) -> Self {
        let lake = Self::new(1, 64000, first, first);
        lake.remove(first);
        (first..=last).for_each(|sequence| lake.put_ledger(sequence));
        lake
    }

    /// Writes the object of one ledger.
    pub(crate) fn put_ledger(&self, sequence: u32) {
        let content = made::batch(sequence, sequence, 1, &made::ledgers(sequence, sequence));
        self.put(sequence, ObjectExtension::Zst, &made::zstd(&content));
    }

    pub(crate) fn put(&self, sequence: u32, extension: ObjectExtension, content: &[u8]) {
        let path = self.path(sequence, extension);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn path(&self, sequence: u32, extension: ObjectExtension) -> std::path::PathBuf {
        self.root.path().join(self.layout.object_key(LedgerSequence(sequence), extension))
    }

    pub(crate) fn remove(&self, sequence: u32) {
        for extension in ObjectExtension::ALL {
            let _ = fs::remove_file(self.path(sequence, extension));
        }
    }

    fn read(&self, from: &str, to: &str) -> (Vec<RawLedger>, Option<SourceError>) {
        read(self.root.path(), from, to)
    }
}

fn read(root: &Path, from: &str, to: &str) -> (Vec<RawLedger>, Option<SourceError>) {
    let bound = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let url = SourceUrl::Lake(root.to_owned());
    let mut source = match open(&[url], LedgerRange { from: bound(from), to: bound(to) }) {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut ledgers = Vec::new();
    let error = loop {
        match source.next_ledger() {
            None => break None,
            Some(Ok(ledger)) => ledgers.push(ledger),
            Some(Err(error)) => break Some(error),
        }
    };
    assert!(source.next_ledger().is_none());
    let progress = source.progress();
    assert_eq!(progress.unit(), ProgressUnit::Ledgers);
    if error.is_none() {
        assert_eq!(progress.total(), Some(ledgers.len() as u64));
        assert_eq!(progress.done(), ledgers.len() as u64);
    }
    (ledgers, error)
}

#[track_caller]
fn check(lake: &MadeLake, from: &str, to: &str, first: u32, last: u32) {
    let (ledgers, error) = lake.read(from, to);
    assert!(error.is_none(), "{}", error.unwrap());
    let sequences: Vec<u32> = ledgers.iter().map(|ledger| ledger.sequence.0).collect();
    assert_eq!(sequences, (first..=last).collect::<Vec<_>>());
    for ledger in &ledgers {
        assert_eq!(ledger.xdr, made::ledger(ledger.sequence.0, ledger.sequence.0 as usize % 7 * 100));
        let named = lake.layout.parse_object_key(&ledger.file).unwrap();
        assert!(named.contains(&ledger.sequence));
    }
}

#[test]
fn lake_of_any_layout_is_read_in_ledger_order() {
    for (ledgers_per_batch, batches_per_partition) in
        [(1, 64000), (1, 1), (1, 5), (2, 8), (3, 7), (5, 1), (10, 3), (64, 10), (1000, 2)]
    {
        let lake = MadeLake::new(ledgers_per_batch, batches_per_partition, 2, 71);
        check(&lake, "", "", 2, 71);
        check(&lake, "genesis", "latest", 2, 71);
        check(&lake, "17", "44", 17, 44);
        check(&lake, "30", "30", 30, 30);
        check(&lake, "latest", "", 71, 71);
        check(&lake, "", "genesis", 2, 2);
    }
}

#[test]
fn lake_that_begins_and_ends_inside_a_batch_is_read_from_there() {
    check(&MadeLake::new(64, 10, 100, 200), "", "", 100, 200);
    check(&MadeLake::new(64, 1, 100, 200), "120", "latest", 120, 200);
}

#[test]
fn path_of_a_lake_is_taken_as_it_stands() {
    let lake = MadeLake::uniform(2, 9);
    for name in ["with space", "50%", "a%20b", "d\u{e9}j\u{e0}", "q?x=1#y", "[a]"] {
        let root = lake.root.path().with_file_name(format!("{name} {}", std::process::id()));
        fs::rename(lake.root.path(), &root).unwrap();
        let (ledgers, error) = read(&root, "", "");
        fs::rename(&root, lake.root.path()).unwrap();
        assert!(error.is_none(), "{name}: {}", error.unwrap());
        assert_eq!(ledgers.len(), 8, "{name}");
    }
}

#[test]
fn other_files_in_a_lake_are_ignored() {
    let lake = MadeLake::new(1, 8, 10, 30);
    let partition = lake.path(30, ObjectExtension::Zst).parent().unwrap().to_owned();
    fs::write(partition.join("00000000--9999.xdr.zst"), "not ours").unwrap();
    fs::write(partition.join("index.html"), "not ours").unwrap();
    fs::create_dir(lake.root.path().join("00000000--lost")).unwrap();
    // Partitions at both ends that are empty so far.
    fs::create_dir(lake.root.path().join("FFFFFFDF--32-39")).unwrap();
    fs::create_dir(lake.root.path().join("FFFFFFFF--0-7")).unwrap();
    check(&lake, "", "", 10, 30);
}

#[test]
fn missing_object_is_an_error_that_names_ledger_and_key() {
    for ledgers_per_batch in [1, 2, 5] {
        let lake = MadeLake::new(ledgers_per_batch, 8, 10, 40);
        lake.remove(20);
        let (ledgers, error) = lake.read("", "");
        let error = error.unwrap();
        assert_eq!(ledgers.last().unwrap().sequence, LedgerSequence(19));
        assert_eq!(error.ledger, Some(LedgerSequence(20)));
        assert_eq!(error.class(), SourceErrorClass::Unavailable);
        let key = lake.layout.object_key(LedgerSequence(20), ObjectExtension::Zst);
        assert_eq!(&*error.file, key);
        assert!(matches!(&error.kind, SourceErrorKind::MissingLedger { key: named, .. } if *named == key));
        assert!(error.to_string().contains(lake.root.path().to_str().unwrap()), "{error}");
        check(&lake, "25", "40", 25, 40);
    }
}

#[test]
fn range_beyond_the_lake_is_an_error_at_the_first_missing_ledger() {
    let lake = MadeLake::new(5, 8, 10, 31);
    let (ledgers, error) = lake.read("30", "33");
    assert_eq!(ledgers.len(), 2);
    assert_eq!(error.unwrap().ledger, Some(LedgerSequence(32)));
    let (ledgers, error) = lake.read("9", "12");
    assert_eq!((ledgers.len(), error.unwrap().ledger), (0, Some(LedgerSequence(9))));
    let (_, error) = lake.read("20", "12");
    assert_eq!(error.unwrap().class(), SourceErrorClass::Usage);
}

#[test]
fn object_with_other_ledgers_than_its_name_says_is_refused() {
    let wrong = |first, last| made::batch(first, last, last - first + 1, &made::ledgers(first, last));
    // (ledgers per batch, content of the object for 20, ledgers read before, ledger that was due)
    for (ledgers_per_batch, content, before, due) in [
        (1, wrong(21, 21), 10, 20),
        (1, wrong(19, 19), 10, 20),
        (1, wrong(20, 21), 11, 21),
        (5, wrong(20, 23), 14, 24),
        (5, wrong(21, 24), 10, 20),
        (5, wrong(20, 25), 15, 25),
        (5, [wrong(20, 22), wrong(22, 24)].concat(), 13, 23),
    ] {
        let lake = MadeLake::new(ledgers_per_batch, 8, 10, 40);
        lake.remove(20);
        lake.put(20, ObjectExtension::Zst, &content);
        let (ledgers, error) = lake.read("", "");
        let error = error.unwrap();
        assert_eq!((ledgers.len(), error.ledger), (before, Some(LedgerSequence(due))), "{error}");
    }
}

#[test]
fn damaged_object_names_its_key_and_ledger() {
    let lake = MadeLake::new(1, 64000, 10, 40);
    let mut content = fs::read(lake.path(21, ObjectExtension::Zst)).unwrap();
    *content.last_mut().unwrap() ^= 1;
    lake.put(21, ObjectExtension::Zst, &content);
    let (ledgers, error) = lake.read("", "");
    let error = error.unwrap();
    assert_eq!(ledgers.len(), 11, "the damaged ledger is not given");
    assert!(matches!(error.kind, SourceErrorKind::Checksum), "{error}");
    assert_eq!(error.ledger, Some(LedgerSequence(21)));
    assert_eq!(&*error.file, "FFFFFFFF--0-63999/FFFFFFEA--21.xdr.zst");
}

#[test]
fn directory_that_is_no_lake_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let (_, error) = read(empty.path(), "", "");
    assert!(error.unwrap().to_string().contains("this is no lake"));

    let (_, error) = read(&empty.path().join("nowhere"), "", "");
    assert!(matches!(error.unwrap().kind, SourceErrorKind::NotFound));

    for (config, fragment) in [
        ("{", "not JSON"),
        (r#"{"compression":"lz4"}"#, "compression is `lz4`"),
        (&" ".repeat(70_000), "longer than"),
    ] {
        fs::write(empty.path().join(".config.json"), config).unwrap();
        let (_, error) = read(empty.path(), "", "");
        let error = error.unwrap();
        assert!(matches!(error.kind, SourceErrorKind::BadConfig(_)));
        assert!(error.to_string().contains(fragment), "{error}");
        assert!(error.is_bad_data());
    }

    fs::write(empty.path().join(".config.json"), "{}").unwrap();
    let (_, error) = read(empty.path(), "", "");
    assert!(matches!(error.unwrap().kind, SourceErrorKind::EmptyInput));
}
