//! What a scrub finds and repairs: every byte of every kind of object counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use orrery_actors::dataset::{
    CopySettings, CopyUntil, Dataset, MakeFile, Pace, Remedy, ScrubProgress, ScrubReport, ScrubSettings,
    SlotFile, SlotFileEncoder, Store, TableKind, Wrong, copy, scrub, verify,
};
use orrery_schemas::LedgerSequence;

use crate::made::{self, events, files, fill, ledger, over, settings};

/// Nobody watches.
pub(crate) struct Unwatched;

impl ScrubProgress for Unwatched {
    fn total(&self, _: u64) {}
    fn read(&self, _: u64) {}
}

/// Ledgers as a node derives them.
struct Ledgers;

impl MakeFile for Ledgers {
    fn make(
        &self,
        kind: TableKind,
        network: &str,
        range: std::ops::RangeInclusive<LedgerSequence>,
    ) -> BoxFuture<'_, Result<Option<SlotFile>, String>> {
        let mut encoder = SlotFileEncoder::new(kind, network, range.clone()).unwrap();
        for sequence in range.start().0..=range.end().0 {
            match kind {
                TableKind::TokenTransfers => encoder.append_rows(&events(sequence)).unwrap(),
                TableKind::Ledgers => encoder.append_ledgers(&[ledger(sequence)]).unwrap(),
            }
        }
        async move { Ok(encoder.finish().unwrap()) }.boxed()
    }
}

#[derive(Clone, Copy)]
enum Help {
    None,
    Itself,
    Other,
    Ledgers,
}

async fn scrubbed(dataset: &Store, other: &Store, help: Help) -> ScrubReport {
    let settings = ScrubSettings {
        repairs: !matches!(help, Help::None),
        other: matches!(help, Help::Other).then_some(other),
        maker: matches!(help, Help::Ledgers).then_some(&Ledgers as &dyn MakeFile),
        pace: Pace::unlimited(),
    };
    scrub(dataset, &settings, &Unwatched).await.unwrap()
}

/// 23 slots, a compaction among them, checkpoints, evidence, and the object of the self-test.
async fn dataset(home: &Path) {
    let store = files(home);
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    fill(&mut dataset, 200).await.unwrap();
    for kind in TableKind::ALL {
        dataset.table_mut(kind).compact(64, 1).await.unwrap();
    }
    fill(&mut dataset, 330).await.unwrap();
    let evidence = home.join("ledgers/_quarantine/_delta_log.x.json");
    fs::create_dir_all(&evidence).unwrap();
    // The first digits of the SHA-256 of `ours`.
    fs::write(evidence.join("ours-ae0bec9e9d33c563"), "ours").unwrap();
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copied(&path, &target),
            false => assert!(fs::copy(&path, &target).is_ok()),
        }
    }
}

/// All objects by name, but what a repair keeps and temporary files.
fn contents(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![home.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(home).unwrap().to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false if name.to_str().unwrap().contains("/damaged-") => {}
                false => drop(found.insert(name, fs::read(&path).unwrap())),
            }
        }
    }
    found
}

fn slot(kind: TableKind, number: u64) -> String {
    format!("{}/_delta_log/{number:020}.json", kind.as_str())
}

/// The first object whose name has all these parts.
fn named(home: &Path, parts: &[&str]) -> String {
    let names = contents(home).into_keys().map(|name| name.to_str().unwrap().to_owned());
    let mut found = names.filter(|name| parts.iter().all(|part| name.contains(part)));
    found.next().unwrap()
}

fn flip(home: &Path, path: &str, at: usize) {
    let mut bytes = fs::read(home.join(path)).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    fs::write(home.join(path), bytes).unwrap();
}

struct Case {
    home: tempfile::TempDir,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Case {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        dataset(&home.path().join("set")).await;
        copied(&home.path().join("set"), &home.path().join("other"));
        let before = contents(&home.path().join("set"));
        Self { home, before }
    }

    fn set(&self) -> PathBuf {
        self.home.path().join("set")
    }

    async fn scrub(&self, help: Help) -> ScrubReport {
        scrubbed(&files(&self.set()), &files(&self.home.path().join("other")), help).await
    }

    /// Damages an object: it is found without a change to anything, then repaired to the byte, with the damage kept.
    async fn check(&self, path: &str, damage: impl FnOnce(&Path), wrong: Wrong, help: Help) {
        damage(&self.set());
        let damaged = fs::read(self.set().join(path)).ok();
        let seen = contents(&self.set());
        let report = self.scrub(Help::None).await;
        let found: Vec<_> = report.findings.iter().filter(|finding| finding.path.ends_with(path)).collect();
        assert!(found.len() == 1 && found[0].wrong == wrong, "{path}: {report:?}");
        assert!(report.remains() && report.repaired() == 0);
        assert_eq!(contents(&self.set()), seen, "looking changes nothing");

        let report = self.scrub(help).await;
        assert!(!report.remains(), "{path}: {report:?}");
        let finding = report.findings.iter().find(|finding| finding.path.ends_with(path)).unwrap();
        let Remedy::Repaired { kept, .. } = &finding.remedy else { panic!("{finding:?}") };
        assert_eq!(kept.as_ref().map(|kept| fs::read(kept).unwrap()), damaged, "{path}");
        assert!(contents(&self.set()) == self.before, "{path} is not as it was");
        let report = self.scrub(Help::None).await;
        assert!(report.findings.is_empty(), "{report:?}");
    }

    async fn check_flip(&self, path: &str, at: usize, help: Help) {
        self.check(path, |home| flip(home, path, at), Wrong::Damaged, help).await;
    }

    async fn check_lost(&self, path: &str, help: Help) {
        let lose = |home: &Path| fs::remove_file(home.join(path)).unwrap();
        self.check(path, lose, Wrong::Missing, help).await;
    }
}

#[tokio::test]
async fn a_sound_dataset_is_read_whole_and_left_alone() {
    let case = Case::new().await;
    let report = case.scrub(Help::Other).await;
    assert!(report.findings.is_empty(), "{report:?}");
    assert!(report.objects as usize >= case.before.len(), "{report:?}");
    assert!(contents(&case.set()) == case.before);
}

#[tokio::test]
async fn a_flipped_bit_in_every_kind_of_object_is_found_and_repaired_from_a_copy() {
    let case = Case::new().await;
    for kind in TableKind::ALL {
        let table = kind.as_str();
        for number in [0, 1, 7, 15] {
            case.check_flip(&slot(kind, number), 300, Help::Other).await;
        }
        // Live, replaced by a compaction, and made by it.
        for name in ["/data/96-111", "/data/16-31", "/data/5-63"] {
            case.check_flip(&named(&case.set(), &[table, name]), 1000, Help::Other).await;
        }
        case.check_flip(&named(&case.set(), &[table, "08.checkpoint.parquet"]), 2000, Help::Other).await;
        case.check_flip(&format!("{table}/_delta_log/_last_checkpoint"), 12, Help::Other).await;
    }
    case.check_flip(&named(&case.set(), &["_quarantine", "ours-"]), 2, Help::Other).await;
    case.check_flip("_orrery/put-if-absent", 9, Help::Other).await;
}

#[tokio::test]
async fn every_byte_of_the_last_slot_counts_though_nothing_has_its_hash() {
    let case = Case::new().await;
    for kind in TableKind::ALL {
        let path = slot(kind, 23);
        let bytes = case.before[Path::new(&path)].len();
        // A prime: over two tables, all parts of a slot.
        for at in (0..bytes).step_by(127) {
            case.check_flip(&path, at, Help::Other).await;
        }
        case.check_flip(&path, bytes - 1, Help::Itself).await;
    }
}

#[tokio::test]
async fn what_is_missing_is_found_and_brought_back() {
    let case = Case::new().await;
    for kind in TableKind::ALL {
        for number in [0, 5, 14] {
            case.check_lost(&slot(kind, number), Help::Other).await;
        }
        case.check_lost(&named(&case.set(), &[kind.as_str(), "/data/96-111"]), Help::Other).await;
        case.check_lost(&format!("{}/_delta_log/_last_checkpoint", kind.as_str()), Help::Itself).await;
    }
    // The hint names it.
    case.check_lost(&named(&case.set(), &["ledgers", "20.checkpoint.parquet"]), Help::Itself).await;
}

#[tokio::test]
async fn slots_and_checkpoints_are_made_anew_from_what_is_stored_alone() {
    let case = Case::new().await;
    for kind in TableKind::ALL {
        // Settings; ledgers with rows; none (of events); a compaction; the last one.
        for number in [0, 3, 14, 15, 16, 22, 23] {
            case.check_flip(&slot(kind, number), 200, Help::Itself).await;
            if number != 23 {
                case.check_lost(&slot(kind, number), Help::Itself).await;
            }
        }
        case.check_flip(&named(&case.set(), &[kind.as_str(), "12.checkpoint.parquet"]), 99, Help::Itself)
            .await;
    }
}

#[tokio::test]
async fn data_files_are_made_anew_from_ledgers() {
    let case = Case::new().await;
    for kind in TableKind::ALL {
        for name in ["/data/96-111", "/data/16-31", "/data/5-63", "/data/320-330"] {
            case.check_flip(&named(&case.set(), &[kind.as_str(), name]), 700, Help::Ledgers).await;
            case.check_lost(&named(&case.set(), &[kind.as_str(), name]), Help::Ledgers).await;
        }
    }
}

#[tokio::test]
async fn much_damage_at_once_is_repaired_at_once() {
    let case = Case::new().await;
    let set = case.set();
    let other = case.home.path().join("other");
    for (index, path) in case.before.keys().enumerate() {
        let path = path.to_str().unwrap();
        if index % 3 == 0 {
            flip(&set, path, index * 97)
        } else if index % 7 == 0 {
            fs::remove_file(set.join(path)).unwrap()
        }
    }
    let report = case.scrub(Help::Other).await;
    assert!(!report.remains(), "{report:?}");
    assert!(report.repaired() > case.before.len() / 3, "{report:?}");
    // The object of the self-test may be missing.
    fs::copy(other.join("_orrery/put-if-absent"), set.join("_orrery/put-if-absent")).unwrap();
    let after = contents(&set);
    let differ: Vec<_> =
        case.before.iter().filter(|(path, bytes)| after.get(*path) != Some(bytes)).map(|it| it.0).collect();
    assert!(differ.is_empty() && after.len() == case.before.len(), "{differ:?} {report:?}");
    assert!(verify(&files(&set), &mut |_| {}).await.unwrap().is_sound());
}

#[tokio::test]
async fn what_cannot_be_repaired_remains_and_is_told_with_the_way_out() {
    let case = Case::new().await;
    let path = named(&case.set(), &["token_transfers", "/data/96-111"]);
    flip(&case.set(), &path, 5);
    let report = case.scrub(Help::Itself).await;
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    let Remedy::Remains { fix } = &finding.remedy else { panic!("{report:?}") };
    assert!(fix.contains("--repair-from"), "{fix}");
    // A copy that has the same damage is no help, and does no harm.
    flip(&case.home.path().join("other"), &path, 5);
    assert!(case.scrub(Help::Other).await.remains());
    // Nor is one of another history.
    let slot = slot(TableKind::Ledgers, 5);
    fs::remove_file(case.set().join(&slot)).unwrap();
    fs::copy(case.set().join(self::slot(TableKind::Ledgers, 4)), case.home.path().join("other").join(&slot))
        .unwrap();
    fs::remove_file(named_path(&case, "ledgers", "/data/64-79")).unwrap();
    let report = case.scrub(Help::Other).await;
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.path.ends_with(&slot) && matches!(finding.remedy, Remedy::Remains { .. }))
    );
    assert!(!case.set().join(&slot).exists());
}

fn named_path(case: &Case, table: &str, name: &str) -> PathBuf {
    case.set().join(named(&case.set(), &[table, name]))
}

#[tokio::test]
async fn foreign_objects_are_named_and_stay() {
    let case = Case::new().await;
    let set = case.set();
    fs::write(set.join("notes.txt"), "mine").unwrap();
    let report = case.scrub(Help::Other).await;
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    assert_eq!((finding.wrong, &finding.remedy), (Wrong::Foreign, &Remedy::Harmless));
    // Beside the log, a reader may take it for a part of it.
    fs::write(set.join("ledgers/_delta_log/00000000000000000001.00000000000000000009.compacted.json"), "")
        .unwrap();
    let report = case.scrub(Help::Other).await;
    assert!(report.remains() && report.findings.len() == 2, "{report:?}");
    assert_eq!(contents(&set).len(), case.before.len() + 2);
    // Files beside the log of a writer that ended are no fault.
    let home = tempfile::tempdir().unwrap();
    dataset(home.path()).await;
    fs::remove_file(home.path().join(slot(TableKind::Ledgers, 23))).unwrap();
    let report = scrubbed(&files(home.path()), &files(home.path()), Help::None).await;
    assert!(report.findings.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_lost_table_is_not_taken_for_a_new_one() {
    let case = Case::new().await;
    fs::remove_dir_all(case.set().join("ledgers/_delta_log")).unwrap();
    let report = case.scrub(Help::Other).await;
    assert!(report.remains(), "{report:?}");
    assert!(report.findings.iter().any(|finding| finding.what == "no slot of the table is there"));
    assert!(!case.set().join("ledgers/_delta_log").exists());
}

#[tokio::test]
async fn a_scrub_beside_a_writer_finds_no_fault() {
    let home = tempfile::tempdir().unwrap();
    let store = files(home.path());
    let mut dataset = Dataset::open(&store, &settings(8, 4)).await.unwrap();
    fill(&mut dataset, 7).await.unwrap();
    let is_done = AtomicBool::new(false);
    let write = async {
        fill(&mut dataset, 600).await.unwrap();
        for kind in TableKind::ALL {
            dataset.table_mut(kind).compact(64, 20).await.unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
    };
    let look = async {
        let mut reports = 0;
        loop {
            let was_done = is_done.load(Ordering::SeqCst);
            let report = scrubbed(&store, &store, Help::None).await;
            assert!(report.findings.is_empty(), "{report:?}");
            reports += 1;
            if was_done {
                return reports;
            }
        }
    };
    let ((), reports) = futures::join!(write, look);
    println!("{reports} scrubs beside the writer");
}

#[tokio::test]
async fn objects_in_a_bucket_are_repaired_under_the_version_that_was_judged() {
    let objects = Arc::new(InMemory::new());
    let (store, other) = (over(objects.clone()), made::memory());
    let mut dataset = Dataset::open(&store, &settings(16, 4)).await.unwrap();
    fill(&mut dataset, 100).await.unwrap();
    let settings = CopySettings { until: CopyUntil::End, concurrency: 3, pace: Pace::unlimited() };
    copy(&store, &other, &settings, &|_| {}).await.unwrap();
    let path = object_store::path::Path::from("set/ledgers/_delta_log/00000000000000000003.json");
    let good = objects.get(&path).await.unwrap().bytes().await.unwrap();
    objects.put(&path, "rotten".into()).await.unwrap();
    let report = scrubbed(&store, &other, Help::Other).await;
    assert_eq!((report.findings.len(), report.repaired()), (1, 1), "{report:?}");
    assert_eq!(objects.get(&path).await.unwrap().bytes().await.unwrap(), good);
    assert!(scrubbed(&store, &other, Help::None).await.findings.is_empty());
    let _: &dyn ObjectStore = &*objects;
}
