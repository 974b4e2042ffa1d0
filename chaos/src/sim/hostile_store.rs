//! Stores that do not keep their word: one that ignores put-if-absent is refused at the start (O11); of what was damaged,
//! exchanged or deleted behind everybody's back, `scrub` tells, and `verify`, which reads what readers of today read, of all but
//! files that a compaction has replaced (O8, O12).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use orrery_actors::dataset::{
    Dataset, DatasetError, Pace, Retry, ScrubProgress, ScrubSettings, Store, StoreError, scrub, verify,
};
use serde_json::Value;

use super::SimError;
use super::dataset::{Plan, Writer, note_logs};
use super::fibers::Fibers;
use super::ledgers::Ledgers;
use super::store::{SimStore, StoreFaults};
use super::world::{Micros, World};
use crate::history::Op;

/// A store is refused within this.
const REFUSED: Micros = 10_000_000;
/// A dataset without faults is written by then.
const WRITTEN: Micros = 300_000_000;
/// It is read by then, each time.
const READ: Micros = 600_000_000;

/// Runs one seed's stores.
///
/// # Errors
///
/// [`SimError`] if the simulation itself cannot go on.
pub(super) fn run(world: &World, ledgers: &Arc<Ledgers>) -> Result<(), SimError> {
    refused(world)?;
    let drawn = Plan::draw(world);
    let plan = Plan {
        regions: 1,
        writers: 1,
        bounded: None,
        compacts: world.chance(500),
        faults: StoreFaults::default(),
        ..drawn
    };
    let store = SimStore::new(world, "r0");
    let mut fibers = Fibers::new(world)?;
    let writer = Writer::new(world, &store, ledgers, &plan, (0, 0), None);
    world.saw("nemesis", Op::Awaited { subject: "r0w0".to_owned() });
    world.saw("nemesis", Op::Healed { within_us: WRITTEN });
    fibers.start("r0w0", writer.run());
    fibers.run_until(WRITTEN);
    note_logs(world, "r0", &store.dump());
    for reader in READERS {
        world.saw("nemesis", Op::Deadline { signal: found_by(reader), within_us: READ });
    }
    look(world, &mut fibers, &store);
    let Some((fault, path)) = tamper(world, &store) else { return Ok(()) };
    let is_replaced = replaced(&store).contains(&path);
    for reader in READERS.into_iter().filter(|reader| *reader == SCRUB || !is_replaced) {
        world.saw("nemesis", Op::Fault { fault: fault.to_owned(), signal: Some(found_by(reader)) });
    }
    look(world, &mut fibers, &store);
    Ok(())
}

/// Who reads a dataset to find what is wrong with it.
const SCRUB: &str = "scrub";
const READERS: [&str; 2] = ["verify", SCRUB];

fn found_by(reader: &str) -> String {
    format!("{reader} finds it")
}

/// Data files that a compaction has replaced, as the logs name them.
fn replaced(store: &SimStore) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, bytes) in store.dump() {
        let Some((table, _)) = name.split_once("/_delta_log/") else { continue };
        let lines = bytes.split(|byte| *byte == b'\n');
        let actions = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let removed =
            actions.filter_map(|action| Some(action.get("remove")?.get("path")?.as_str()?.to_owned()));
        found.extend(removed.map(|path| format!("{table}/{path}")));
    }
    found
}

/// A store that replaces what is there must not be written to.
fn refused(world: &World) -> Result<(), SimError> {
    let store = SimStore::new(world, "replaces");
    store.set_faults(StoreFaults { replaces: true, ..StoreFaults::default() });
    let signal = "the store is refused".to_owned();
    world.saw("nemesis", Op::Deadline { signal: signal.clone(), within_us: REFUSED });
    world.saw("nemesis", Op::Fault { fault: "O11".to_owned(), signal: Some(signal.clone()) });
    let mut fibers = Fibers::new(world)?;
    let (to, client) = (world.clone(), Store::over(store.client("w"), "", Retry::at_once(3)));
    let settings = Plan::draw(world).settings();
    fibers.start("w", async move {
        if let Err(DatasetError::Store(StoreError::IgnoresPutIfAbsent { .. })) =
            Dataset::open(&client, &settings).await
        {
            to.saw("w", Op::Signal { signal });
        }
    });
    fibers.run_until(world.now() + REFUSED);
    Ok(())
}

/// Changes one object that a log names, or a slot. Gives the fault's name, and the object's.
fn tamper(world: &World, store: &SimStore) -> Option<(&'static str, String)> {
    let is_part =
        |name: &str| name.contains("/data/") || name.contains("_delta_log/0") && name.ends_with(".json");
    let objects: Vec<_> = store.dump().into_iter().filter(|(name, _)| is_part(name)).collect();
    let (name, bytes) = objects.get(world.below(objects.len()))?;
    let other = objects.get(world.below(objects.len())).filter(|(_, other)| other != bytes);
    let (fault, damaged) = match world.below(4) {
        0 => ("O12", None),
        1 => ("O8", Some(bytes.slice(..world.below(bytes.len())))),
        2 if other.is_some() => ("O12", other.map(|(_, other)| other.clone())),
        _ => {
            let mut damaged = bytes.to_vec();
            let at = world.below(damaged.len());
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= 1 << world.below(8);
            }
            ("O8", Some(Bytes::from(damaged)))
        }
    };
    // Nothing in this region vouches for the newest slot: the next one will, and other regions do.
    let is_last =
        objects.iter().filter(|(other, _)| folder(other) == folder(name)).all(|(other, _)| other <= name);
    if is_last && name.contains("_delta_log") {
        return None;
    }
    store.overwrite(name, damaged);
    Some((fault, name.clone()))
}

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Has each read the dataset to its end, and say so if something is wrong with it.
fn look(world: &World, fibers: &mut Fibers, store: &SimStore) {
    let client = || Store::over(store.client("auditor"), "", Retry::at_once(1));
    let ended = Rc::new(Cell::new(0));
    let teller = |reader: &'static str| {
        let (world, ended) = (world.clone(), Rc::clone(&ended));
        move |is_sound: bool| {
            ended.set(ended.get() + 1);
            if !is_sound {
                world.saw(reader, Op::Signal { signal: found_by(reader) });
            }
        }
    };
    let [verified, scrubbed] = READERS.map(teller);
    let (to_verify, to_scrub) = (client(), client());
    fibers.start("verify", async move {
        let report = verify(&to_verify, &mut |_| {}).await;
        verified(report.is_ok_and(|report| report.is_sound()));
    });
    fibers.start(SCRUB, async move {
        let settings = ScrubSettings { repairs: false, other: None, maker: None, pace: Pace::unlimited() };
        let report = scrub(&to_scrub, &settings, &Unheard).await;
        scrubbed(report.is_ok_and(|report| report.findings.is_empty()));
    });
    fibers.run_until(world.now() + READ);
    if ended.get() < READERS.len() {
        let reason = "it did not come to its end".to_owned();
        world.saw("auditor", Op::Halted { subject: "a reader of the dataset".to_owned(), reason });
    }
}

/// Nobody waits.
struct Unheard;

impl ScrubProgress for Unheard {
    fn total(&self, _: u64) {}

    fn read(&self, _: u64) {}
}
