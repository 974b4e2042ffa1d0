//! The core of a commit against a model of a store, with many writers and everything that can happen between them.

mod model;

use std::collections::BTreeMap;

use super::*;
use crate::dataset::chain::sums;
use crate::dataset::compaction::plan;
use crate::dataset::configuration::{Configuration, Epoch, Epochs};
use crate::dataset::grid::Grid;
use crate::dataset::kind::TableKind;
use crate::dataset::slot::{FileName, MetaData, RemovedFile, encode_genesis, sha256};

const START: u32 = 3;
const WIDTH: u32 = 4;

fn genesis() -> Bytes {
    let epoch =
        Epoch { epoch: 1, from_ledger: LedgerSequence(START), schema_version: 1, processor_version: 1 };
    encode_genesis(&MetaData::new(Configuration {
        kind: TableKind::TokenTransfers,
        network_passphrase: "model".to_owned(),
        start_ledger: LedgerSequence(START),
        grid: Grid::uniform(WIDTH).unwrap(),
        epochs: Epochs::first(epoch),
    }))
}

fn hash(ledger: u32) -> Hash32 {
    sha256(&ledger.to_be_bytes())
}

fn closed_at(ledger: u32) -> CloseTime {
    CloseTime::from_unix_seconds(1000 + u64::from(ledger)).unwrap()
}

/// What a ledger's rows add up to. Every fifth ledger has none.
fn rows(range: &RangeInclusive<LedgerSequence>) -> (u64, RowDigest) {
    let mut sum = (0, RowDigest::default());
    for ledger in (range.start().0..=range.end().0).filter(|ledger| !ledger.is_multiple_of(5)) {
        sum.0 += 2;
        sum.1.add_row(&ledger.to_be_bytes());
    }
    sum
}

/// A data file. `encoding` stands for releases whose files have other bytes for the same rows.
fn file(range: &RangeInclusive<LedgerSequence>, encoding: u8) -> Option<(AddFile, Bytes)> {
    let (rows, digest) = rows(range);
    let bytes = Bytes::from(format!("rows of {range:?} in encoding {encoding}"));
    let with_rows = || (range.start().0..=range.end().0).filter(|ledger| !ledger.is_multiple_of(5));
    let (first, last) = (with_rows().next()?, with_rows().next_back()?);
    let add = AddFile {
        name: FileName::new(range.clone(), sha256(&bytes)),
        sha256: sha256(&bytes),
        bytes: bytes.len() as u64,
        rows,
        digest,
        ledgers: LedgerSequence(first)..=LedgerSequence(last),
        closed_at: closed_at(first)..=closed_at(last),
        modified_at: closed_at(range.end().0),
    };
    Some((add, bytes))
}

fn append(range: RangeInclusive<LedgerSequence>, encoding: u8) -> (Intent, Option<Bytes>) {
    let file = file(&range, encoding);
    let (add, bytes) = file.unzip();
    let append = Append {
        parent_hash: hash(range.start().0 - 1),
        last_hash: hash(range.end().0),
        closed_at: closed_at(range.end().0),
        digest: rows(&range).1,
        file: add,
        range,
    };
    (Intent::Append(append), bytes)
}

/// Even bits from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Objects that are there for ever, and puts that may still come.
#[derive(Default)]
struct World {
    objects: BTreeMap<String, Bytes>,
    delayed: Vec<(String, Bytes)>,
}

impl World {
    fn put(&mut self, path: &str, bytes: &Bytes) -> Put {
        if self.objects.contains_key(path) {
            return Put::Exists;
        }
        self.objects.insert(path.to_owned(), bytes.clone());
        Put::Created
    }

    /// A put over a network: answered, done without an answer, delayed, or lost.
    fn put_by_network(&mut self, path: &str, bytes: &Bytes, random: &mut Random) -> Put {
        match random.below(8) {
            0 => {
                self.put(path, bytes);
                Put::Unknown
            }
            1 => {
                self.delayed.push((path.to_owned(), bytes.clone()));
                Put::Unknown
            }
            2 => Put::Unknown,
            _ => self.put(path, bytes),
        }
    }

    fn chain(&self) -> Chain {
        let mut chain = Chain::genesis(&self.objects[&slot_path(0)]).unwrap();
        while let Some(bytes) = self.objects.get(&slot_path(chain.tip.slot + 1)) {
            chain.follow(bytes).unwrap();
        }
        chain
    }
}

#[derive(Clone, Copy)]
enum Role {
    Append { encoding: u8 },
    Compact,
    Epochs,
}

struct Writer {
    role: Role,
    chain: Chain,
    at_work: Option<(CommitCore<Chain>, Action)>,
    reported: Vec<(String, Bytes)>,
}

impl Writer {
    fn new(role: Role, world: &World) -> Self {
        Self { role, chain: world.chain(), at_work: None, reported: Vec::new() }
    }

    /// One action, or the begin of a commit.
    fn turn(&mut self, world: &mut World, random: &mut Random) {
        let Some((mut core, action)) = self.at_work.take() else { return self.begin(world, random) };
        let event = match action {
            Action::PutFile { path, bytes, .. } => {
                Event::FilePut(world.put_by_network(&path, &bytes, random))
            }
            Action::ReadFile { path } => Event::FileRead(world.objects.get(&path).cloned()),
            Action::PutSlot { path, bytes, .. } => {
                Event::SlotPut(world.put_by_network(&path, &bytes, random))
            }
            Action::ReadSlot { path } => Event::SlotRead(world.objects.get(&path).cloned()),
            Action::Finish(outcome) => {
                if outcome == Outcome::Committed {
                    let path = slot_path(core.chain.tip.slot);
                    assert_eq!(
                        world.objects.get(&path),
                        Some(&core.slot_bytes),
                        "success of what is not there"
                    );
                    self.reported.push((path, core.slot_bytes));
                }
                self.chain = core.chain;
                return;
            }
            Action::GiveUp { .. } => {
                self.chain = core.chain;
                return;
            }
            Action::Halt { path, reason, .. } => panic!("halt at {path}: {reason}"),
            Action::Refuse(problem) => panic!("refused: {problem}"),
        };
        let action = core.step(event);
        self.at_work = Some((core, action));
    }

    fn begin(&mut self, world: &World, random: &mut Random) {
        let next = self.chain.tip.next_ledger.0;
        let (intent, bytes) = match self.role {
            Role::Append { encoding } => {
                // Now and then a bounded run ends in the middle of a slot.
                let to = (random.below(6) == 0).then(|| LedgerSequence(next + random.below(3) as u32));
                append(self.chain.next_range(to).unwrap(), encoding)
            }
            Role::Compact => {
                let Some(window) = plan(&self.chain, 4 * WIDTH, LedgerSequence(0)) else {
                    return self.chain = world.chain();
                };
                let (mut add, bytes) = file(&window.range, 9).unwrap();
                (add.rows, add.digest) = sums(window.files.iter());
                add.modified_at = window.files.last().unwrap().modified_at;
                let remove = window.files.iter();
                let remove =
                    remove.map(|file| RemovedFile { name: file.name.clone(), bytes: file.bytes }).collect();
                (Intent::Change(Change::Compaction { add, remove }), Some(bytes))
            }
            Role::Epochs => {
                let old = self.chain.configuration();
                let epoch = Epoch {
                    epoch: old.epochs.as_slice().len() as u32 + 1,
                    from_ledger: LedgerSequence(next + 7),
                    schema_version: 1,
                    processor_version: 2,
                };
                let Ok(epochs) = old.epochs.with(epoch) else { return self.chain = world.chain() };
                let configuration = Configuration { epochs, ..old.clone() };
                let metadata = MetaData { id: self.chain.metadata.id.clone(), configuration };
                (Intent::Change(Change::Epoch(metadata)), None)
            }
        };
        let mut core = CommitCore::new(self.chain.clone(), intent, bytes, 3);
        let action = core.start();
        self.at_work = Some((core, action));
    }
}

/// A run with everything that can go wrong, then the checks.
fn check(seed: u64) {
    let mut random = Random(seed);
    let mut world = World::default();
    world.put(&slot_path(0), &genesis());
    let roles = [
        Role::Append { encoding: 0 },
        Role::Append { encoding: 0 },
        Role::Append { encoding: 1 },
        Role::Compact,
        Role::Epochs,
    ];
    let mut writers: Vec<_> = roles.into_iter().map(|role| Writer::new(role, &world)).collect();
    let mut seen: BTreeMap<String, Bytes> = BTreeMap::new();
    for _ in 0..600 {
        match random.below(40) {
            0 => {
                let index = random.below(writers.len() as u64) as usize;
                let reported = std::mem::take(&mut writers[index].reported);
                writers[index] = Writer { reported, ..Writer::new(writers[index].role, &world) };
            }
            1..4 if !world.delayed.is_empty() => {
                let index = random.below(world.delayed.len() as u64) as usize;
                let (path, bytes) = world.delayed.swap_remove(index);
                world.put(&path, &bytes);
            }
            _ => {
                // Epochs are rare, and a compactor sees the log only when it starts.
                let index = random.below(writers.len() as u64 * 4) as usize;
                let index = if index < writers.len() { index } else { index % 3 };
                if writers[index].at_work.is_none() && random.below(4) == 0 {
                    writers[index].chain = world.chain();
                }
                writers[index].turn(&mut world, &mut random);
            }
        }
        for (path, bytes) in &seen {
            assert_eq!(world.objects.get(path), Some(bytes), "an object changed, seed {seed}");
        }
        seen = world.objects.clone();
    }
    for (path, bytes) in std::mem::take(&mut world.delayed) {
        world.put(&path, &bytes);
    }
    let chain = world.chain();
    let slots = world.objects.keys().filter(|path| path.starts_with("_delta_log")).count() as u64;
    assert_eq!(chain.tip.slot + 1, slots, "a slot beyond the chain, seed {seed}");
    let last = LedgerSequence(chain.tip.next_ledger.0 - 1);
    if last.0 >= START {
        let expected = rows(&(LedgerSequence(START)..=last));
        assert_eq!(
            (chain.tip.total_rows, chain.tip.total_digest),
            expected,
            "rows lost or doubled, seed {seed}"
        );
        assert_eq!(sums(chain.files.values()), expected, "files lost or doubled, seed {seed}");
    }
    for file in chain.files.values() {
        assert_eq!(sha256(&world.objects[&file.name.to_string()]), file.sha256, "seed {seed}");
    }
    for (path, bytes) in writers.iter().flat_map(|writer| &writer.reported) {
        assert_eq!(world.objects.get(path), Some(bytes), "a reported slot is not there, seed {seed}");
    }
}

#[test]
fn no_slot_has_two_contents_and_no_range_is_lost_whatever_happens_between_writers() {
    for seed in 0..150 {
        check(seed);
    }
}

#[test]
fn the_model_reaches_what_it_is_meant_to_test() {
    let (mut compactions, mut epochs, mut appends) = (0, 0, 0);
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut world = World::default();
        world.put(&slot_path(0), &genesis());
        let roles = [Role::Append { encoding: 0 }, Role::Compact, Role::Epochs];
        let mut writers: Vec<_> = roles.into_iter().map(|role| Writer::new(role, &world)).collect();
        for _ in 0..400 {
            let index = [0, 0, 0, 0, 1, 1, 1, 2][random.below(8) as usize];
            if writers[index].at_work.is_none() && random.below(4) == 0 {
                writers[index].chain = world.chain();
            }
            writers[index].turn(&mut world, &mut random);
        }
        for bytes in world.objects.iter().filter(|(path, _)| path.starts_with("_delta_log")).skip(1) {
            match Commit::parse(bytes.1).unwrap().change {
                Change::Append(_) => appends += 1,
                Change::Compaction { .. } => compactions += 1,
                Change::Epoch(_) => epochs += 1,
            }
        }
    }
    assert!(appends > 500 && compactions > 20 && epochs > 20, "{appends} {compactions} {epochs}");
}

/// What is in the store where a slot of ledgers 3 to 3 + n would be put, and what becomes of ours.
fn check_rival(rival: impl FnOnce(&Chain) -> Bytes, expect: Result<Outcome, &str>) {
    let chain = Chain::genesis(&genesis()).unwrap();
    let rival = rival(&chain);
    let range = chain.next_range(None).unwrap();
    assert_eq!(range, LedgerSequence(3)..=LedgerSequence(3));
    let (intent, bytes) = append(range, 0);
    let mut core = CommitCore::new(chain, intent, bytes, 3);
    assert!(matches!(core.start(), Action::PutFile { attempt: 0, .. }));
    assert!(matches!(core.step(Event::FilePut(Put::Created)), Action::PutSlot { attempt: 0, .. }));
    assert!(matches!(core.step(Event::SlotPut(Put::Exists)), Action::ReadSlot { .. }));
    let ours = core.slot_bytes.clone();
    match (core.step(Event::SlotRead(Some(rival.clone()))), expect) {
        (Action::Finish(outcome), Ok(expected)) => assert_eq!(outcome, expected),
        (Action::Halt { ours: kept, theirs, reason, path }, Err(fragment)) => {
            assert!(reason.contains(fragment), "{reason}");
            assert_eq!((kept, theirs, path), (ours, rival, slot_path(1)));
        }
        (action, expect) => panic!("{action:?} instead of {expect:?}"),
    }
}

fn rival_append(chain: &Chain, change: impl FnOnce(&mut Append)) -> Bytes {
    let (intent, _) = append(LedgerSequence(3)..=LedgerSequence(3), 1);
    let Intent::Append(mut append) = intent else { panic!("not an append") };
    change(&mut append);
    let mut core = CommitCore::new(chain.clone(), Intent::Append(append), None, 3);
    core.start();
    core.slot_bytes
}

#[test]
fn a_rival_slot_is_adopted_followed_or_halts_by_what_it_says() {
    check_rival(|chain| rival_append(chain, |_| {}), Ok(Outcome::Adopted));
    check_rival(
        |chain| rival_append(chain, |rival| rival.parent_hash = hash(9)),
        Err("its parent ledger is"),
    );
    check_rival(|chain| rival_append(chain, |rival| rival.last_hash = hash(9)), Err("its last ledger is"));
    let other_rows = |rival: &mut Append| {
        rival.digest = rows(&(LedgerSequence(4)..=LedgerSequence(4))).1;
        if let Some(file) = &mut rival.file {
            file.digest = rival.digest;
        }
    };
    check_rival(|chain| rival_append(chain, other_rows), Err("rows with digest"));
    check_rival(|_| Bytes::from_static(b"{}\n"), Err("line 1"));
    check_rival(|_| Bytes::from_static(b"{\"commitInfo\":"), Err("cut short"));
    check_rival(|_| Bytes::new(), Err("cut short"));
}

#[test]
fn a_file_of_our_name_with_other_bytes_halts() {
    let chain = Chain::genesis(&genesis()).unwrap();
    let (intent, bytes) = append(LedgerSequence(3)..=LedgerSequence(3), 0);
    let mut core = CommitCore::new(chain, intent, bytes.clone(), 3);
    core.start();
    assert!(matches!(core.step(Event::FilePut(Put::Unknown)), Action::ReadFile { .. }));
    assert!(matches!(core.step(Event::FileRead(None)), Action::PutFile { attempt: 1, .. }));
    let theirs = Bytes::from_static(b"torn");
    match core.step(Event::FileRead(Some(theirs.clone()))) {
        Action::Halt { ours, theirs: kept, .. } => assert_eq!((Some(ours), kept), (bytes, theirs)),
        action => panic!("{action:?}"),
    }
}

#[test]
fn puts_without_an_answer_are_repeated_within_a_budget() {
    let chain = Chain::genesis(&genesis()).unwrap();
    let (intent, bytes) = append(LedgerSequence(3)..=LedgerSequence(3), 0);
    let mut core = CommitCore::new(chain, intent, bytes, 3);
    core.start();
    core.step(Event::FilePut(Put::Created));
    for attempt in 1..3 {
        assert!(matches!(core.step(Event::SlotPut(Put::Unknown)), Action::ReadSlot { .. }));
        match core.step(Event::SlotRead(None)) {
            Action::PutSlot { attempt: found, .. } => assert_eq!(found, attempt),
            action => panic!("{action:?}"),
        }
    }
    assert!(matches!(core.step(Event::SlotPut(Put::Unknown)), Action::ReadSlot { .. }));
    assert!(matches!(core.step(Event::SlotRead(None)), Action::GiveUp { attempts: 3, .. }));
}
