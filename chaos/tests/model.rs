//! The slot protocol, checked in every order that three writers, a store and its faults can take over four slots.
//!
//! A slot is what `actors/src/dataset/commit.rs` puts: its bytes are a function of what it does and of the slots before it.
//! Writers follow that file's table. Faults: a writer crashes and begins with what it reads; an answer is lost; a writer
//! gives up a put, which is applied later, or never; a writer is paused for as long as one likes (whoever is not chosen to go
//! on); an epoch begins; a bounded writer cuts a slot short. How many faults there are is bounded, when they come is not.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// Slots of the log.
const SLOTS: usize = 4;
/// Who writes.
const WRITERS: usize = 3;
/// The writer whose run ends inside of the first range.
const BOUNDED: usize = 1;
/// The writer that announces an epoch.
const ANNOUNCES: usize = 2;

/// What a slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Does {
    /// Adds ledgers up to the grid's next boundary.
    Full,
    /// Adds half of them.
    Short,
    /// Begins an epoch.
    Epoch,
}

/// The bytes of a slot: what it does, and all before it by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Bytes {
    does: Does,
    before: Log,
}

/// Slots, one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Log([Option<Does>; SLOTS]);

impl Log {
    fn len(self) -> usize {
        self.0.iter().flatten().count()
    }

    fn push(&mut self, does: Does) {
        let end = self.len();
        self.0[end] = Some(does);
    }

    /// Half ranges that it has.
    fn halves(self) -> usize {
        self.0.iter().flatten().fold(0, |halves, does| match does {
            Does::Full => halves / 2 * 2 + 2,
            Does::Short => halves + 1,
            Does::Epoch => halves,
        })
    }
}

/// A put on its way. Whoever sent it may wait for it, or have given it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Put {
    writer: usize,
    slot: usize,
    bytes: Bytes,
    is_awaited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// It looks at its tip and proposes what comes next.
    Idle,
    /// Its put is on its way.
    Waits,
    /// Its put was answered, or given up: it reads the slot.
    Looks,
    /// It has nothing left to write.
    Done,
    /// It stopped for a person.
    Halted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Writer {
    phase: Phase,
    /// The log as it has read it.
    known: Log,
    /// What it proposes behind that.
    intent: Does,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    log: [Option<Bytes>; SLOTS],
    writers: [Writer; WRITERS],
    puts: BTreeSet<Put>,
    /// A writer was told that a slot is as it wrote it, and it was not.
    told_in_vain: bool,
    crashes: u8,
    timeouts: u8,
    lost: u8,
    epochs: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Propose(usize),
    ProposeEpoch(usize),
    Arrives { put: Put, answer_lost: bool },
    Dropped(Put),
    TimesOut(usize),
    Looks(usize),
    Crashes(usize),
}

/// How writers go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Not at all.
    Right,
    /// What exists is taken for one's own.
    NoComparison,
    /// What exists is passed by: the same bytes go into the next slot that a listing does not show.
    StaleListing,
    /// A put that was given up counts as done.
    TimeoutIsSuccess,
}

struct Protocol {
    variant: Variant,
    crashes: u8,
    timeouts: u8,
    lost: u8,
}

impl Writer {
    const fn new() -> Self {
        Self { phase: Phase::Idle, known: Log([None; SLOTS]), intent: Does::Full }
    }

    /// What comes next in its eyes.
    fn next(&self, writer: usize) -> Option<Does> {
        match writer {
            // Its run ends with the first half.
            BOUNDED if self.known.halves() == 0 => Some(Does::Short),
            BOUNDED => None,
            _ => Some(Does::Full),
        }
    }

    fn bytes(&self) -> Bytes {
        Bytes { does: self.intent, before: self.known }
    }
}

impl Protocol {
    fn propose(&self, world: &mut World, writer: usize, does: Does) {
        let state = &mut world.writers[writer];
        (state.intent, state.phase) = (does, Phase::Waits);
        let (slot, bytes) = (state.known.len(), state.bytes());
        world.puts.insert(Put { writer, slot, bytes, is_awaited: true });
    }

    /// The put arrives at the store.
    fn arrives(&self, world: &mut World, put: &Put, answer_lost: bool) {
        world.puts.remove(put);
        let is_created = world.log[put.slot].is_none();
        if is_created {
            world.log[put.slot] = Some(put.bytes);
        }
        if !put.is_awaited {
            return;
        }
        if answer_lost {
            world.lost += 1;
            return self.times_out(world, put.writer);
        }
        match is_created {
            true => self.acknowledge(world, put.writer, put.slot, put.bytes),
            false => self.exists(world, put),
        }
    }

    fn exists(&self, world: &mut World, put: &Put) {
        match self.variant {
            Variant::NoComparison => self.acknowledge(world, put.writer, put.slot, put.bytes),
            Variant::StaleListing if put.slot + 1 < SLOTS => {
                let slot = put.slot + 1;
                world.puts.insert(Put { slot, ..*put });
            }
            _ => world.writers[put.writer].phase = Phase::Looks,
        }
    }

    fn times_out(&self, world: &mut World, writer: usize) {
        let state = &world.writers[writer];
        let (slot, bytes) = (state.known.len(), state.bytes());
        match self.variant {
            Variant::TimeoutIsSuccess => self.acknowledge(world, writer, slot, bytes),
            _ => world.writers[writer].phase = Phase::Looks,
        }
    }

    fn acknowledge(&self, world: &mut World, writer: usize, slot: usize, bytes: Bytes) {
        let state = &mut world.writers[writer];
        state.known.push(bytes.does);
        state.phase = Phase::Idle;
        // Slots never change: what is not so now never was, or is not yet.
        world.told_in_vain |= world.log[slot] != Some(bytes);
    }

    /// The writer reads the slot that it wanted, and judges what is there.
    fn looks(&self, world: &mut World, writer: usize) {
        let state = &world.writers[writer];
        let slot = state.known.len();
        let (ours, found) = (state.bytes(), world.log[slot]);
        match found {
            // Put again.
            None => self.propose(world, writer, ours.does),
            Some(found) if found == ours => self.acknowledge(world, writer, slot, ours),
            Some(found) if found.before == ours.before => {
                let state = &mut world.writers[writer];
                // An epoch, or ledgers cut elsewhere: it is followed, and what comes next is planned anew. Of an announced
                // epoch nothing is lost: it is put behind.
                let is_behind = ours.does == Does::Epoch && found.does != Does::Epoch;
                state.known.push(found.does);
                state.phase = Phase::Idle;
                if is_behind && state.known.len() < SLOTS {
                    self.propose(world, writer, Does::Epoch);
                }
            }
            Some(_) => world.writers[writer].phase = Phase::Halted,
        }
    }

    /// A new life: it follows the log as far as that goes.
    fn crashes(&self, world: &mut World, writer: usize) {
        world.crashes += 1;
        let given_up: BTreeSet<Put> = world
            .puts
            .iter()
            .map(|put| Put { is_awaited: put.is_awaited && put.writer != writer, ..*put })
            .collect();
        world.puts = given_up;
        let mut state = Writer::new();
        for slot in world.log.iter().map_while(|slot| *slot) {
            if slot.before != state.known {
                state.phase = Phase::Halted;
                break;
            }
            state.known.push(slot.does);
        }
        world.writers[writer] = state;
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            log: [None; SLOTS],
            writers: [Writer::new(); WRITERS],
            puts: BTreeSet::new(),
            told_in_vain: false,
            crashes: 0,
            timeouts: 0,
            lost: 0,
            epochs: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (writer, state) in world.writers.iter().enumerate() {
            let has_room = state.known.len() < SLOTS;
            match state.phase {
                Phase::Idle if has_room => {
                    steps.push(Step::Propose(writer));
                    if writer == ANNOUNCES && world.epochs == 0 {
                        steps.push(Step::ProposeEpoch(writer));
                    }
                }
                Phase::Waits if world.timeouts < self.timeouts => steps.push(Step::TimesOut(writer)),
                Phase::Looks => steps.push(Step::Looks(writer)),
                Phase::Idle | Phase::Waits | Phase::Done | Phase::Halted => {}
            }
            if world.crashes < self.crashes && !matches!(state.phase, Phase::Done | Phase::Halted) {
                steps.push(Step::Crashes(writer));
            }
        }
        for put in &world.puts {
            steps.push(Step::Arrives { put: *put, answer_lost: false });
            if put.is_awaited && world.lost < self.lost {
                steps.push(Step::Arrives { put: *put, answer_lost: true });
            }
            if !put.is_awaited {
                steps.push(Step::Dropped(*put));
            }
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Propose(writer) => match world.writers[writer].next(writer) {
                Some(does) => self.propose(&mut world, writer, does),
                None => world.writers[writer].phase = Phase::Done,
            },
            Step::ProposeEpoch(writer) => {
                world.epochs += 1;
                self.propose(&mut world, writer, Does::Epoch);
            }
            Step::Arrives { put, answer_lost } => self.arrives(&mut world, &put, answer_lost),
            Step::Dropped(put) => drop(world.puts.remove(&put)),
            Step::TimesOut(writer) => {
                world.timeouts += 1;
                let awaited =
                    world.puts.iter().find(|put| put.writer == writer && put.is_awaited).copied()?;
                world.puts.remove(&awaited);
                world.puts.insert(Put { is_awaited: false, ..awaited });
                self.times_out(&mut world, writer);
            }
            Step::Looks(writer) => self.looks(&mut world, writer),
            Step::Crashes(writer) => self.crashes(&mut world, writer),
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // I6, I7: what was acknowledged is there, with the bytes that were.
            Property::always("acknowledged is in the log", |_, world: &World| !world.told_in_vain),
            // I1, I3, I8: each slot hangs on all before it, epochs included; there is no gap.
            Property::always("the log is a chain", |_, world: &World| {
                let mut before = Log::default();
                world.log.iter().enumerate().all(|(number, slot)| match slot {
                    Some(slot) => {
                        let hangs = before.len() == number && slot.before == before;
                        before.push(slot.does);
                        hangs
                    }
                    None => true,
                })
            }),
            // I11: with these faults nobody needs a person.
            Property::always("nobody halts", |_, world: &World| {
                world.writers.iter().all(|writer| writer.phase != Phase::Halted)
            }),
            // That the model can do what it is about.
            Property::sometimes("the log is full", |_, world: &World| world.log.iter().all(Option::is_some)),
            Property::sometimes("a slot is short, and an epoch begins", |_, world: &World| {
                let has = |does| world.log.iter().flatten().any(|slot| slot.does == does);
                has(Does::Short) && has(Does::Epoch)
            }),
        ]
    }
}

fn checked(variant: Variant, until: HasDiscoveries) -> impl Checker<Protocol> {
    let protocol = Protocol { variant, crashes: 1, timeouts: 1, lost: 1 };
    protocol.checker().threads(2).finish_when(until).spawn_bfs().join()
}

#[test]
fn the_slot_protocol_holds_in_every_order() {
    let checker = checked(Variant::Right, HasDiscoveries::All);
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.is_done(), "not all states were looked at");
    assert!(checker.unique_state_count() > 10_000, "{} states", checker.unique_state_count());
}

#[test]
fn wrong_protocols_are_found_out() {
    let check = |variant: Variant, property: &'static str| {
        let path = checked(variant, HasDiscoveries::AnyOf([property].into())).discovery(property);
        assert!(path.is_some(), "{variant:?}: `{property}` was never broken");
    };
    check(Variant::NoComparison, "acknowledged is in the log");
    check(Variant::StaleListing, "the log is a chain");
    check(Variant::TimeoutIsSuccess, "acknowledged is in the log");
}
