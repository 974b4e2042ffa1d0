use std::collections::{BTreeMap, BTreeSet};

use orrery_schemas::{Hash32, RowDigest};
use proptest::prelude::*;

use super::incoming::FETCHES_MAX;
use super::*;
use crate::dataset::{DatasetSettings, DatasetUrl, Retry, SlotDoes, Store, TableKind, read_slot, slot_facts};

/// Slot 0 of a table.
fn genesis() -> Bytes {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::connect(&DatasetUrl::Memory, &|_| None, Retry::new(1).unwrap()).unwrap();
        let settings = DatasetSettings {
            network_passphrase: Some("n".to_owned()),
            start_ledger: Some(orrery_schemas::LedgerSequence(2)),
            ..DatasetSettings::default()
        };
        crate::dataset::Table::open(&store, TableKind::Ledgers, &settings).await.unwrap();
        read_slot(&store, TableKind::Ledgers, 0).await.unwrap().unwrap()
    })
}

/// What a made slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// The next ledgers; another salt is another chain.
    Append { salt: u8 },
    /// Other rows of the same ledgers.
    OtherRows,
    /// Of the two appends before.
    Compaction,
}

/// A table's log.
#[derive(Clone, Debug)]
struct Log {
    slots: Vec<Bytes>,
    digest: RowDigest,
    next_ledger: u32,
}

impl Log {
    fn new(made: impl IntoIterator<Item = Made>) -> Self {
        let mut log = Self { slots: vec![genesis()], digest: RowDigest::default(), next_ledger: 2 };
        made.into_iter().for_each(|made| log.push(made));
        log
    }

    /// As many appends.
    fn of(count: usize) -> Self {
        Self::new(vec![Made::Append { salt: 0 }; count])
    }

    fn push(&mut self, made: Made) {
        let prev = object_sha256(self.slots.last().unwrap());
        let hash = |text: String| object_sha256(text.as_bytes());
        let (first, width) = (self.next_ledger, 2);
        let mut row_digest = RowDigest::default();
        let (range, salt) = match made {
            Made::Compaction => (first..first, 0),
            Made::Append { salt } => (first..first + width, salt),
            Made::OtherRows => (first..first + width, 0),
        };
        if made != Made::Compaction {
            row_digest.add_row(format!("{first} {made:?}").as_bytes());
        }
        self.digest.add(&row_digest);
        self.next_ledger = range.end;
        let is_append = made != Made::Compaction;
        let operation = if is_append { ("WRITE", r#"{"mode":"Append"}"#) } else { ("OPTIMIZE", "{}") };
        let (last_hash, parent) =
            (hash(format!("{salt} {}", range.end - 1)), hash(format!("{salt} {}", first - 1)));
        let (row_digest, total) = (row_digest.to_string(), self.digest.to_string());
        let info = format!(
            r#"{{"commitInfo":{{"timestamp":0,"operation":"{}","operationParameters":{},"isBlindAppend":{is_append},"engineInfo":"orrery","orrery":{{"prev":"{prev}","epoch":1,"first_ledger":{first},"last_ledger":{},"parent_ledger_hash":"{parent}","last_ledger_hash":"{last_hash}","rows":{},"total_rows":0,"row_digest":"{row_digest}","total_digest":"{total}"}}}}}}"#,
            operation.0,
            operation.1,
            range.end - 1,
            u8::from(is_append),
        );
        let files =
            if is_append { file(range.start, range.end - 1, &row_digest, true) } else { compacted(first) };
        self.slots.push(Bytes::from(format!("{info}\n{files}")));
    }

    fn end(&self) -> TableEnd {
        TableEnd {
            id: "table".to_owned(),
            slot: self.slots.len() as u64 - 1,
            sha256: object_sha256(self.slots.last().unwrap()),
            next_ledger: self.next_ledger,
            digest: self.digest,
        }
    }
}

fn file(first: u32, last: u32, digest: &str, data_change: bool) -> String {
    let sha256 = object_sha256(content(first, last, digest).as_bytes()).to_string();
    let bounds = |ledger| format!(r#"{{\"sequence\":{ledger},\"closed_at\":\"1970-01-01T00:00:00.000Z\"}}"#);
    let stats =
        format!(r#"{{\"numRecords\":1,\"minValues\":{},\"maxValues\":{}}}"#, bounds(first), bounds(last));
    let (path, size) =
        (format!("data/{first}-{last}-{}.parquet", &sha256[..16]), content(first, last, digest).len());
    format!(
        r#"{{"add":{{"path":"{path}","partitionValues":{{}},"size":{size},"modificationTime":0,"dataChange":{data_change},"stats":"{stats}","tags":{{"orrery.row_digest":"{digest}","orrery.sha256":"{sha256}"}}}}}}"#
    ) + "\n"
}

fn content(first: u32, last: u32, digest: &str) -> String {
    format!("rows of {first} to {last}: {digest}")
}

fn compacted(next: u32) -> String {
    let digest = RowDigest::default().to_string();
    file(next - 4, next - 1, &digest, false)
}

/// A peer, a link and a store that lose, delay and repeat as they are told.
struct World {
    core: ReplicationCore,
    ours: Log,
    theirs: Log,
    files: BTreeSet<String>,
    parked: Vec<(u64, String)>,
    questions: u32,
    /// What was asked and is not answered yet.
    waiting: Vec<Action>,
    copies: bool,
    /// The hash that is reported for the newest slot, if it is a lie.
    lie: Option<Hash32>,
    rotten: bool,
}

impl World {
    fn new(ours: Log, theirs: Log, copies: bool) -> Self {
        Self {
            core: ReplicationCore::default(),
            ours,
            theirs,
            files: BTreeSet::new(),
            parked: Vec::new(),
            questions: 0,
            waiting: Vec::new(),
            copies,
            lie: None,
            rotten: false,
        }
    }

    fn input(&mut self, input: Input) {
        let actions = self.core.step(input);
        self.waiting.extend(actions);
    }

    fn round(&mut self) {
        let mut theirs = self.theirs.end();
        theirs.sha256 = self.lie.unwrap_or(theirs.sha256);
        let ours = (!self.ours.slots.is_empty()).then(|| self.ours.end());
        self.input(Input::Round { ours, theirs: Some(theirs), copies: self.copies });
    }

    /// Answers one of those that wait.
    fn answer(&mut self, place: usize) {
        let action = self.waiting.remove(place);
        if let Some(input) = self.answered(action) {
            self.input(input);
        }
    }

    fn answered(&mut self, action: Action) -> Option<Input> {
        Some(match action {
            Action::Ask { question, ours, theirs } => {
                self.questions += 1;
                let read = |log: &Log, asked: Option<(u64, u32)>| {
                    let Some((from, max)) = asked else { return Vec::new() };
                    log.slots.iter().skip(from as usize).take(max as usize).cloned().collect()
                };
                Input::Slots { question, ours: read(&self.ours, ours), theirs: read(&self.theirs, theirs) }
            }
            Action::FetchObject { slot, object } if self.rotten => {
                Input::NotFetched { slot, untrue: Some(format!("{} is rotten", object.path)) }
            }
            Action::FetchObject { slot, object } => {
                Input::Fetched { slot, object, bytes: Bytes::from_static(b"rows") }
            }
            Action::PutFile { slot, object, .. } => {
                self.files.insert(object.path);
                Input::FilePut { slot }
            }
            Action::PutSlot { slot, bytes } => {
                if slot != self.ours.slots.len() as u64 {
                    return Some(Input::SlotNotPut);
                }
                let facts = slot_facts(slot, &bytes).unwrap();
                let before = self.ours.slots.last().map(|bytes| object_sha256(bytes));
                assert_eq!(facts.prev, before, "a slot is put that does not follow");
                if let Some(object) = &facts.object {
                    assert!(self.files.contains(&object.path), "a slot is put before its file");
                }
                if let SlotDoes::Appends(append) = &facts.does {
                    self.ours.next_ledger = append.range.end().0 + 1;
                    self.ours.digest.add(&append.digest);
                }
                self.ours.slots.push(bytes);
                Input::SlotPut { ours: self.ours.end() }
            }
            Action::Park { slot, reason, .. } => {
                self.parked.push((slot, reason));
                return None;
            }
        })
    }

    /// Until nothing is under way.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.waiting.is_empty() {
                return;
            }
            self.answer(0);
        }
        panic!("it never ends: {:?}", self.waiting);
    }

    fn state(&self) -> ReplicationState {
        self.core.state().0
    }
}

const APPEND: Made = Made::Append { salt: 0 };
const OTHER: Made = Made::Append { salt: 1 };

#[test]
fn what_two_regions_have_decides_what_is_copied_and_what_parks() {
    use ReplicationState::{Comparing, Different, Equal, OtherLayout};
    let check = |ours: Log, theirs: Log, copies: bool, expect: (ReplicationState, usize, Option<u64>)| {
        let told = format!("{} {} {copies}", ours.slots.len(), theirs.slots.len());
        let mut world = World::new(ours, theirs, copies);
        world.round();
        world.settle();
        let parked = world.parked.first().map(|(slot, _)| *slot);
        assert_eq!(
            (world.state(), world.ours.slots.len(), parked),
            expect,
            "{told}: {:?}",
            world.core.state()
        );
        assert_eq!(world.core.differences(), u64::from(parked.is_some()), "{told}");
    };
    let log = |made: &[Made]| Log::new(made.to_vec());
    check(Log::of(0), Log::of(0), true, (Equal, 1, None));
    check(Log::of(3), Log::of(3), false, (Equal, 4, None));
    check(Log::of(3), Log::of(5), false, (Equal, 4, None));
    check(Log::of(3), Log::of(5), true, (Equal, 6, None));
    check(Log::of(5), Log::of(3), true, (Equal, 6, None));
    check(Log::of(0), Log::of(200), true, (Equal, 201, None));
    let mut empty = Log::of(0);
    empty.slots.clear();
    check(empty.clone(), Log::of(100), true, (Equal, 101, None));
    check(empty, Log::of(2), false, (Comparing, 0, None));
    // Forked, with either one ahead: nothing is copied.
    check(log(&[APPEND, OTHER]), log(&[APPEND, APPEND]), true, (Different, 3, Some(2)));
    check(log(&[APPEND, OTHER]), Log::of(9), true, (Different, 3, Some(2)));
    check(log(&[OTHER, OTHER, OTHER]), Log::of(1), true, (Different, 4, Some(1)));
    check(log(&[APPEND, Made::OtherRows]), Log::of(2), false, (Different, 3, Some(2)));
    // The same rows, compacted elsewhere; and not.
    let ours = [APPEND, APPEND, Made::Compaction, APPEND, APPEND];
    check(log(&ours), Log::of(4), true, (OtherLayout, 6, None));
    check(log(&ours), Log::of(2), true, (Equal, 6, None));
    check(log(&ours), Log::of(8), true, (OtherLayout, 6, None));
    check(
        log(&ours),
        log(&[APPEND, APPEND, APPEND, Made::Compaction, Made::OtherRows]),
        false,
        (Different, 6, Some(5)),
    );
}

#[test]
fn the_first_slot_that_differs_is_found_by_halving() {
    const COUNT: usize = 700;
    let theirs = Log::of(COUNT);
    for fork in [1, 2, 3, 350, 511, 512, COUNT] {
        let made = (1..=COUNT).map(|slot| if slot < fork { APPEND } else { OTHER });
        let mut world = World::new(Log::new(made), theirs.clone(), false);
        world.round();
        world.settle();
        assert_eq!(world.parked.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [fork as u64]);
        assert!(world.parked[0].1.contains("another chain"), "{:?}", world.parked);
        assert!(world.questions <= 11, "{fork}: {} questions", world.questions);
    }
}

#[test]
fn tables_of_other_settings_are_never_compared() {
    let mut world = World::new(Log::of(2), Log::of(3), true);
    let other = TableEnd { id: "another".to_owned(), ..world.theirs.end() };
    world.input(Input::Round { ours: Some(world.ours.end()), theirs: Some(other), copies: true });
    assert!(world.waiting.is_empty());
    assert_eq!(world.state(), ReplicationState::OtherTables);
    // Put right, they are.
    world.round();
    world.settle();
    assert_eq!((world.state(), world.ours.slots.len()), (ReplicationState::Equal, 4));
}

#[test]
fn a_peer_that_lies_parks_nothing_and_nothing_of_it_is_kept() {
    let check = |change: fn(&mut World), says: &str| {
        let mut world = World::new(Log::of(2), Log::of(5), true);
        change(&mut world);
        world.round();
        world.settle();
        let (state, detail) = world.core.state();
        assert_eq!((state, world.parked.len()), (ReplicationState::Untrue, 0), "{says}: {detail:?}");
        assert!(detail.as_ref().unwrap().contains(says), "`{says}`: {detail:?}");
        assert_eq!(world.ours.slots.len(), 3, "{says}");
    };
    check(|world| world.lie = Some(Hash32([9; 32])), "slot 5 is not the one it reported");
    check(|world| world.theirs.slots[4] = Bytes::from_static(b"{}"), "slot 4 cannot be read");
    check(|world| world.theirs.slots[4] = Log::new([OTHER; 5]).slots[4].clone(), "slot 4 does not follow");
    check(|world| world.rotten = true, "is rotten");
    // Of equal length, a hash that is nobody's.
    let mut world = World::new(Log::of(4), Log::of(4), true);
    world.lie = Some(Hash32([9; 32]));
    world.round();
    world.settle();
    assert_eq!((world.state(), world.parked.len()), (ReplicationState::Untrue, 0));
    // It is believed again when it tells the truth for a while.
    world.lie = None;
    for _ in 0..=LOOK_AGAIN_ROUNDS {
        world.round();
        world.settle();
    }
    assert_eq!(world.state(), ReplicationState::Equal);
}

#[test]
fn a_difference_that_was_mended_is_one_no_more_and_one_that_was_not_is_told_again() {
    let mut world = World::new(Log::new([APPEND, OTHER]), Log::of(2), false);
    let rounds = |world: &mut World, count: u32| {
        for _ in 0..count {
            world.round();
            world.settle();
        }
    };
    rounds(&mut world, 1 + LOOK_AGAIN_ROUNDS);
    assert_eq!((world.parked.len(), world.core.differences()), (2, 1));
    assert_eq!(world.state(), ReplicationState::Different);
    world.ours = Log::of(2);
    rounds(&mut world, LOOK_AGAIN_ROUNDS);
    assert_eq!((world.parked.len(), world.state()), (2, ReplicationState::Equal));
}

#[test]
fn a_slot_that_was_equal_and_is_changed_is_found() {
    let mut world = World::new(Log::of(9), Log::of(9), false);
    world.round();
    assert_eq!(world.state(), ReplicationState::Equal);
    world.theirs = Log::new((1..=9).map(|slot| if slot < 9 { APPEND } else { Made::OtherRows }));
    world.round();
    world.settle();
    assert_eq!((world.parked[0].0, world.state()), (9, ReplicationState::Different));
}

#[test]
fn the_newest_slot_of_a_peer_that_is_behind_is_found_when_it_is_changed() {
    let mut world = World::new(Log::of(5), Log::of(5), false);
    world.round();
    world.ours = Log::of(9);
    world.round();
    world.settle();
    assert_eq!(world.state(), ReplicationState::Equal);
    world.theirs = Log::new((1..=5).map(|slot| if slot < 5 { APPEND } else { Made::OtherRows }));
    world.round();
    world.settle();
    assert_eq!((world.parked[0].0, world.state()), (5, ReplicationState::Different));
}

#[test]
fn no_more_is_under_way_than_its_limits_say() {
    let mut world = World::new(Log::of(0), Log::of(300), true);
    world.round();
    let mut most: BTreeMap<&str, usize> = BTreeMap::new();
    let kind = |action: &Action| match action {
        Action::Ask { .. } => "questions",
        Action::FetchObject { .. } | Action::PutFile { .. } => "files",
        Action::PutSlot { .. } => "slots",
        Action::Park { .. } => "alarms",
    };
    while !world.waiting.is_empty() {
        for name in ["questions", "files", "slots"] {
            let count = world.waiting.iter().filter(|action| kind(action) == name).count();
            let most = most.entry(name).or_default();
            *most = count.max(*most);
        }
        // The newest first, so that much is under way.
        world.answer(world.waiting.len() - 1);
        assert!(world.core.incoming.len() <= INCOMING_MAX);
    }
    assert_eq!(most, [("questions", 1), ("files", FETCHES_MAX), ("slots", 1)].into());
    assert_eq!(world.ours.slots.len(), 301);
}

/// What becomes of something that waits.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered(usize),
    Lost(usize),
    Repeated(usize),
    Round,
    TheyGoOn,
    WeGoOn,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => (0..100_usize).prop_map(Fate::Answered),
        2 => (0..100_usize).prop_map(Fate::Lost),
        1 => (0..100_usize).prop_map(Fate::Repeated),
        2 => Just(Fate::Round),
        1 => Just(Fate::TheyGoOn),
        1 => Just(Fate::WeGoOn),
    ]
}

fn lose(world: &mut World, place: usize) {
    let action = world.waiting.remove(place);
    match action {
        Action::Ask { question, .. } => world.input(Input::NoAnswer { question }),
        Action::FetchObject { slot, .. } => world.input(Input::NotFetched { slot, untrue: None }),
        Action::PutFile { slot, .. } => world.input(Input::FileNotPut { slot }),
        Action::PutSlot { .. } => world.input(Input::SlotNotPut),
        Action::Park { slot, reason, .. } => world.parked.push((slot, reason)),
    }
}

fn suffer(world: &mut World, fates: Vec<Fate>) {
    for fate in fates {
        let count = world.waiting.len();
        match fate {
            Fate::Answered(place) if count > 0 => world.answer(place % count),
            Fate::Lost(place) if count > 0 => lose(world, place % count),
            Fate::Repeated(place) if count > 0 => {
                let action = world.waiting[place % count].clone();
                world.waiting.push(action);
            }
            Fate::TheyGoOn => world.theirs.push(APPEND),
            Fate::WeGoOn
                if world.ours.slots.len() < world.theirs.slots.len() && !world.ours.slots.is_empty() =>
            {
                world.ours.push(APPEND);
            }
            _ => world.round(),
        }
    }
    for _ in 0..3 {
        world.settle();
        world.round();
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is lost, late or repeated: what is put is a prefix of theirs, and in the end all of it.
    #[test]
    fn copies_come_to_their_end(
        ours in 0..6_usize,
        theirs in 6..90_usize,
        fates in proptest::collection::vec(fate(), 0..200),
    ) {
        let mut world = World::new(Log::of(ours), Log::of(theirs), true);
        suffer(&mut world, fates);
        prop_assert!(world.parked.is_empty(), "{:?}", world.parked);
        prop_assert_eq!(&world.ours.slots, &world.theirs.slots);
        prop_assert_eq!(world.state(), ReplicationState::Equal);
        prop_assert_eq!(world.core.equal(), Some(world.theirs.slots.len() as u64 - 1));
    }

    /// The first slot that differs is the one that is told, and none of theirs is put behind ours.
    #[test]
    fn a_fork_is_found_where_it_is(
        fork in 1..30_usize,
        ours in 0..30_usize,
        theirs in 0..30_usize,
        fates in proptest::collection::vec(fate().prop_filter("logs stay", |fate| !matches!(fate, Fate::WeGoOn)), 0..80),
    ) {
        let made = (1..fork + 1 + ours).map(|slot| if slot < fork { APPEND } else { OTHER });
        let log = Log::new(made);
        let mut world = World::new(log.clone(), Log::of(fork + theirs), true);
        suffer(&mut world, fates);
        prop_assert!(!world.parked.is_empty());
        prop_assert!(world.parked.iter().all(|(slot, _)| *slot == fork as u64), "{:?}", world.parked);
        prop_assert_eq!(world.state(), ReplicationState::Different);
        prop_assert_eq!(&world.ours.slots, &log.slots);
    }
}
