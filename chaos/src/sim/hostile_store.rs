//! Stores that do not keep their word: one that ignores put-if-absent is refused at the start (O11); of what was damaged,
//! exchanged or deleted behind everybody's back, `verify` tells (O8, O12).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use orrery_actors::dataset::{Dataset, DatasetError, Retry, Store, StoreError, verify};

use super::SimError;
use super::dataset::{Plan, Writer, note_logs};
use super::fibers::Fibers;
use super::ledgers::Ledgers;
use super::store::{SimStore, StoreFaults};
use super::world::{Micros, World};
use crate::history::Op;

/// A dataset without faults is written by then.
const WRITTEN: Micros = 300_000_000;
/// It is verified by then.
const VERIFIED: Micros = 600_000_000;

/// Runs one seed's stores.
///
/// # Errors
///
/// [`SimError`] if the simulation itself cannot go on.
pub(super) fn run(world: &World, ledgers: &Arc<Ledgers>) -> Result<(), SimError> {
    refused(world)?;
    // Files that a compaction has replaced are not verified.
    let drawn = Plan::draw(world);
    let plan = Plan {
        regions: 1,
        writers: 1,
        bounded: None,
        compacts: false,
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
    sound(world, &mut fibers, &store, true);
    let Some(fault) = tamper(world, &store) else { return Ok(()) };
    world.saw("nemesis", Op::Fault { fault, signal: Some("the dataset is not sound".to_owned()) });
    sound(world, &mut fibers, &store, false);
    Ok(())
}

/// A store that replaces what is there must not be written to.
fn refused(world: &World) -> Result<(), SimError> {
    let store = SimStore::new(world, "replaces");
    store.set_faults(StoreFaults { replaces: true, ..StoreFaults::default() });
    let signal = "the store is refused".to_owned();
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
    fibers.run_until(world.now() + 10_000_000);
    Ok(())
}

/// Changes one object that a log names, or a slot. Gives the fault's name.
fn tamper(world: &World, store: &SimStore) -> Option<String> {
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
    Some(fault.to_owned())
}

fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Verifies, and tells of what is found.
fn sound(world: &World, fibers: &mut Fibers, store: &SimStore, is_expected: bool) {
    let client = Store::over(store.client("auditor"), "", Retry::at_once(1));
    let is_sound = Rc::new(Cell::new(None));
    let to = Rc::clone(&is_sound);
    fibers.start("auditor", async move {
        let report = verify(&client, &mut |_| {}).await;
        to.set(Some(report.is_ok_and(|report| report.is_sound())));
    });
    fibers.run_until(world.now() + VERIFIED);
    match (is_sound.get(), is_expected) {
        (Some(true), _) => {}
        (_, true) => {
            let reason = "a dataset that nobody touched is not sound".to_owned();
            world.saw("auditor", Op::Halted { subject: "verify".to_owned(), reason });
        }
        (_, false) => world.saw("auditor", Op::Signal { signal: "the dataset is not sound".to_owned() }),
    }
}
