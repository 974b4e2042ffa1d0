//! The core of a commit in every order that three writers, a store and its faults can take: not on seeds, but all of them.
//!
//! What is stepped is the product's own [`CommitCore`], on the product's own chain and slots: a writer's step is an action of the
//! core. Faults: a writer crashes and begins with what it reads; an answer is lost; a writer gives up a put, which is applied
//! later, or never; a writer is paused for as long as one likes (whoever is not chosen to go on); an epoch begins; a bounded
//! writer cuts a slot short; a writer of another release makes other files of the same rows. How many faults there are is
//! bounded, when they come is not. Data files are named by their content, so that in which order they come matters to nobody.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::*;

/// Slots of the log behind the first one.
const SLOTS: usize = 2;
/// Who writes.
const WRITERS: usize = 3;
/// The writer whose run ends inside of the second range.
const BOUNDED: usize = 1;
/// The writer of another release, which announces an epoch.
const OTHER: usize = 2;
/// The last ledger of the bounded run.
const BOUND: LedgerSequence = LedgerSequence(5);

/// Where a writer stands.
#[derive(Clone, Debug)]
enum Stands {
    /// It looks at its tip and proposes what comes next.
    Idle(Chain),
    /// Its put is on its way.
    Waits(CommitCore<Chain>),
    /// It is about to read the slot that it wants.
    Looks(CommitCore<Chain>),
    /// It has nothing left to write.
    Done,
    /// It stopped for a person.
    Halted,
    /// Its own core refused what it proposed.
    Refused,
}

/// A writer. Its state is what its core holds: the slots before, its slot, and how often it has tried.
#[derive(Clone, Debug)]
struct Writing {
    stands: Stands,
    identity: (u8, Option<Hash32>, Bytes, u32),
}

impl Writing {
    fn new(stands: Stands) -> Self {
        let of = |kind, core: &CommitCore<Chain>| {
            (kind, Some(core.chain.tip.slot_sha256), core.slot_bytes.clone(), core.attempts)
        };
        let identity = match &stands {
            Stands::Idle(chain) => (0, Some(chain.tip.slot_sha256), Bytes::new(), 0),
            Stands::Waits(core) => of(1, core),
            Stands::Looks(core) => of(2, core),
            Stands::Done => (3, None, Bytes::new(), 0),
            Stands::Halted => (4, None, Bytes::new(), 0),
            Stands::Refused => (5, None, Bytes::new(), 0),
        };
        Self { stands, identity }
    }
}

impl PartialEq for Writing {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Writing {}

impl Hash for Writing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (kind, chain, slot, attempts) = &self.identity;
        (kind, chain.map(|hash| hash.to_string()), slot, attempts).hash(state);
    }
}

/// A put on its way. Whoever sent it may wait for it, or have given it up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sent {
    writer: usize,
    slot: usize,
    bytes: Bytes,
    is_awaited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Scene {
    /// Slots behind the first one.
    log: [Option<Bytes>; SLOTS],
    writers: [Arc<Writing>; WRITERS],
    sent: BTreeSet<Sent>,
    /// A writer was told that a slot is as it wrote it, and it was not.
    told_in_vain: bool,
    /// Each slot follows from those before it, and there is no gap.
    is_chain: bool,
    crashes: u8,
    timeouts: u8,
    lost: u8,
    epochs: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Begins { writer: usize, epoch: bool },
    Arrives { sent: Sent, answer_lost: bool },
    Dropped(Sent),
    TimesOut(usize),
    Looks(usize),
    Crashes(usize),
}

/// How the store deceives a core, as if the core went wrong: the properties must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deceit {
    None,
    /// What exists is taken for one's own.
    ExistsIsCreated,
    /// What exists is passed by: the bytes go into the next free slot.
    ExistsIsPassedBy,
    /// A put that was given up counts as done.
    TimeoutIsCreated,
}

/// How many faults of a kind there may be.
#[derive(Clone, Copy, Debug)]
struct Faults {
    crashes: u8,
    timeouts: u8,
    lost: u8,
}

struct Protocol {
    deceit: Deceit,
    faults: Faults,
    adopted: AtomicU64,
    superseded: AtomicU64,
}

impl Protocol {
    fn new(deceit: Deceit, faults: Faults) -> Self {
        let (adopted, superseded) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { deceit, faults, adopted, superseded }
    }

    fn begin(&self, scene: &mut Scene, writer: usize, epoch: bool) {
        let Stands::Idle(chain) = &scene.writers[writer].stands else { return };
        let to = (writer == BOUNDED).then_some(BOUND);
        let encoding = u8::from(writer == OTHER);
        let (intent, bytes) = match (epoch, chain.next_range(to)) {
            (true, _) => (announced(chain), None),
            (false, Some(range)) => append(range, encoding),
            (false, None) => {
                scene.writers[writer] = Arc::new(Writing::new(Stands::Done));
                return;
            }
        };
        let mut core = CommitCore::new(chain.clone(), intent, bytes, 3);
        let action = core.start();
        self.perform(scene, writer, core, action);
    }

    /// What becomes of an action of a writer's core.
    fn perform(&self, scene: &mut Scene, writer: usize, mut core: CommitCore<Chain>, mut action: Action) {
        let stands = loop {
            match action {
                Action::PutFile { .. } => action = core.step(Event::FilePut(Put::Created)),
                Action::PutSlot { bytes, .. } => {
                    let slot = slot_of(&core);
                    scene.sent.insert(Sent { writer, slot, bytes, is_awaited: true });
                    break Stands::Waits(core);
                }
                Action::ReadSlot { .. } => break Stands::Looks(core),
                Action::Finish(outcome) => {
                    self.finish(scene, &core, outcome);
                    break Stands::Idle(core.chain);
                }
                Action::GiveUp { .. } => break Stands::Idle(core.chain),
                Action::Halt { .. } => break Stands::Halted,
                Action::ReadFile { .. } | Action::Refuse(_) => break Stands::Refused,
            }
        };
        scene.writers[writer] = Arc::new(Writing::new(stands));
    }

    fn finish(&self, scene: &mut Scene, core: &CommitCore<Chain>, outcome: Outcome) {
        match outcome {
            // Slots never change: what is not so now never was, or is not yet.
            Outcome::Committed => {
                let found = scene.log.get(slot_of(core).wrapping_sub(1));
                scene.told_in_vain |= found != Some(&Some(core.slot_bytes.clone()));
            }
            Outcome::Adopted => drop(self.adopted.fetch_add(1, Ordering::Relaxed)),
            Outcome::Superseded => drop(self.superseded.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// A writer's core hears of something.
    fn hear(&self, scene: &mut Scene, writer: usize, event: Event) {
        let writing = scene.writers[writer].clone();
        let (Stands::Waits(core) | Stands::Looks(core)) = &writing.stands else { return };
        let mut core = core.clone();
        let action = core.step(event);
        self.perform(scene, writer, core, action);
    }

    /// A put arrives at the store.
    fn arrives(&self, scene: &mut Scene, sent: &Sent, answer_lost: bool) {
        scene.sent.remove(sent);
        let is_created = scene.log[sent.slot].is_none();
        if is_created {
            scene.write(sent.slot, &sent.bytes);
        }
        if !sent.is_awaited {
            return;
        }
        if answer_lost {
            scene.lost += 1;
            return self.hear(scene, sent.writer, Event::SlotPut(Put::Unknown));
        }
        let answer = match (is_created, self.deceit) {
            (true, _) | (false, Deceit::ExistsIsCreated) => Put::Created,
            (false, Deceit::ExistsIsPassedBy) => {
                let free = scene.log.iter().position(Option::is_none);
                free.into_iter().for_each(|slot| scene.write(slot, &sent.bytes));
                Put::Created
            }
            (false, _) => Put::Exists,
        };
        self.hear(scene, sent.writer, Event::SlotPut(answer));
    }

    fn times_out(&self, scene: &mut Scene, writer: usize) {
        scene.timeouts += 1;
        scene.give_up(writer);
        let answer = if self.deceit == Deceit::TimeoutIsCreated { Put::Created } else { Put::Unknown };
        self.hear(scene, writer, Event::SlotPut(answer));
    }
}

impl Scene {
    fn new() -> Self {
        let idle = || Arc::new(Writing::new(Stands::Idle(Chain::genesis(&genesis()).unwrap())));
        Self {
            log: [const { None }; SLOTS],
            writers: [(); WRITERS].map(|()| idle()),
            sent: BTreeSet::new(),
            told_in_vain: false,
            is_chain: true,
            crashes: 0,
            timeouts: 0,
            lost: 0,
            epochs: 0,
        }
    }

    /// The log as a new life reads it.
    fn chain(&self) -> Result<Chain, String> {
        let mut chain = Chain::genesis(&genesis())?;
        for slot in self.log.iter().map_while(Option::as_ref) {
            chain.follow(slot)?;
        }
        Ok(chain)
    }

    fn write(&mut self, slot: usize, bytes: &Bytes) {
        self.log[slot] = Some(bytes.clone());
        let has_gap = self.log.iter().skip_while(|slot| slot.is_some()).any(Option::is_some);
        self.is_chain &= !has_gap && self.chain().is_ok();
    }

    /// What a writer has sent may still come, and nobody waits for it.
    fn give_up(&mut self, writer: usize) {
        let given_up = std::mem::take(&mut self.sent).into_iter();
        self.sent = given_up
            .map(|sent| Sent { is_awaited: sent.is_awaited && sent.writer != writer, ..sent })
            .collect();
    }

    fn has(&self, change: fn(&Commit) -> bool) -> bool {
        self.log.iter().flatten().any(|slot| Commit::parse(slot).is_ok_and(|commit| change(&commit)))
    }
}

/// Place in the log of the slot that a core wants.
fn slot_of(core: &CommitCore<Chain>) -> usize {
    usize::try_from(core.chain.tip.slot).unwrap()
}

fn announced(chain: &Chain) -> Intent {
    let old = chain.configuration();
    let epoch = Epoch {
        epoch: old.epochs.as_slice().len() as u32 + 1,
        from_ledger: LedgerSequence(chain.tip.next_ledger.0 + 7),
        schema_version: 1,
        processor_version: 2,
    };
    let configuration = Configuration { epochs: old.epochs.with(epoch).unwrap(), ..old.clone() };
    Intent::Change(Change::Epoch(MetaData { id: chain.metadata.id.clone(), configuration }))
}

impl Model for Protocol {
    type State = Scene;
    type Action = Step;

    fn init_states(&self) -> Vec<Scene> {
        vec![Scene::new()]
    }

    fn actions(&self, scene: &Scene, steps: &mut Vec<Step>) {
        for (writer, writing) in scene.writers.iter().enumerate() {
            match &writing.stands {
                Stands::Idle(chain) if (chain.tip.slot as usize) < SLOTS => {
                    steps.push(Step::Begins { writer, epoch: false });
                    if writer == OTHER && scene.epochs == 0 {
                        steps.push(Step::Begins { writer, epoch: true });
                    }
                }
                Stands::Waits(_) if scene.timeouts < self.faults.timeouts => {
                    steps.push(Step::TimesOut(writer))
                }
                // A log that is full is read no further than it goes.
                Stands::Looks(core) if slot_of(core) < SLOTS => steps.push(Step::Looks(writer)),
                _ => {}
            }
            let is_alive = !matches!(writing.stands, Stands::Done | Stands::Halted | Stands::Refused);
            if scene.crashes < self.faults.crashes && is_alive {
                steps.push(Step::Crashes(writer));
            }
        }
        for sent in &scene.sent {
            steps.push(Step::Arrives { sent: sent.clone(), answer_lost: false });
            if sent.is_awaited && scene.lost < self.faults.lost {
                steps.push(Step::Arrives { sent: sent.clone(), answer_lost: true });
            }
            if !sent.is_awaited {
                steps.push(Step::Dropped(sent.clone()));
            }
        }
    }

    fn next_state(&self, before: &Scene, step: Step) -> Option<Scene> {
        let mut scene = before.clone();
        match step {
            Step::Begins { writer, epoch } => {
                scene.epochs += u8::from(epoch);
                self.begin(&mut scene, writer, epoch);
            }
            Step::Arrives { sent, answer_lost } => self.arrives(&mut scene, &sent, answer_lost),
            Step::Dropped(sent) => drop(scene.sent.remove(&sent)),
            Step::TimesOut(writer) => self.times_out(&mut scene, writer),
            Step::Looks(writer) => {
                let Stands::Looks(core) = &scene.writers[writer].stands else { return None };
                let found = scene.log[slot_of(core)].clone();
                self.hear(&mut scene, writer, Event::SlotRead(found));
            }
            Step::Crashes(writer) => {
                scene.crashes += 1;
                scene.give_up(writer);
                let stands = scene.chain().map_or(Stands::Halted, Stands::Idle);
                scene.writers[writer] = Arc::new(Writing::new(stands));
            }
        }
        Some(scene)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // I6, I7: what was acknowledged is there, with the bytes that were.
            Property::always("acknowledged is in the log", |_, scene: &Scene| !scene.told_in_vain),
            // I1, I3, I8: each slot follows from all before it, epochs included; there is no gap.
            Property::always("the log is a chain", |_, scene: &Scene| scene.is_chain),
            // I11: with these faults nobody needs a person, and no core proposes what its chain does not take.
            Property::always("nobody halts", |_, scene: &Scene| {
                let stops =
                    |writing: &Arc<Writing>| matches!(writing.stands, Stands::Halted | Stands::Refused);
                !scene.writers.iter().any(stops)
            }),
            // That the model can do what it is about.
            Property::sometimes("the log is full", |_, scene: &Scene| scene.log.iter().all(Option::is_some)),
            Property::sometimes("a slot is short", |_, scene: &Scene| {
                scene.has(|commit| commit.last_ledger == BOUND && !matches!(commit.change, Change::Epoch(_)))
            }),
            Property::sometimes("an epoch begins", |_, scene: &Scene| {
                scene.has(|commit| matches!(commit.change, Change::Epoch(_)))
            }),
        ]
    }
}

fn checked(deceit: Deceit, faults: Faults, until: HasDiscoveries) -> impl Checker<Protocol> {
    Protocol::new(deceit, faults).checker().threads(2).finish_when(until).spawn_bfs().join()
}

#[test]
fn the_core_of_a_commit_holds_in_every_order() {
    let check = |crashes, timeouts, lost| {
        let faults = Faults { crashes, timeouts, lost };
        let checker = checked(Deceit::None, faults, HasDiscoveries::All);
        println!("{faults:?}: {} states, {} different", checker.state_count(), checker.unique_state_count());
        checker.assert_properties();
        assert!(checker.is_done(), "not all states were looked at");
        assert!(checker.unique_state_count() > 1_000, "{} states", checker.unique_state_count());
        let Protocol { adopted, superseded, .. } = checker.model();
        let (adopted, superseded) = (adopted.load(Ordering::Relaxed), superseded.load(Ordering::Relaxed));
        assert!(adopted + superseded > 100, "{adopted} adopted, {superseded} superseded");
    };
    check(1, 0, 0);
    check(0, 1, 0);
    check(0, 0, 1);
    check(0, 1, 1);
}

#[test]
fn a_core_that_is_deceived_is_found_out() {
    let check = |deceit: Deceit, property: &'static str| {
        let faults = Faults { crashes: 1, timeouts: 1, lost: 1 };
        let path = checked(deceit, faults, HasDiscoveries::AnyOf([property].into())).discovery(property);
        assert!(path.is_some(), "{deceit:?}: `{property}` was never broken");
    };
    check(Deceit::ExistsIsCreated, "acknowledged is in the log");
    check(Deceit::ExistsIsPassedBy, "the log is a chain");
    check(Deceit::TimeoutIsCreated, "acknowledged is in the log");
}
