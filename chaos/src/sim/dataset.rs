//! Writers of datasets: they commit the same ledgers beside each other, are killed, paused and cut off at any step, and ask
//! stores that lose answers, apply puts late and list what was. What they drive is the product's own dataset.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use orrery_actors::dataset::{
    Dataset, DatasetError, DatasetErrorClass, DatasetSettings, DatasetView, Grid, Outcome, Retry,
    ScanRequest, SlotRows, Store, TableKind, ViewLimits, ledgers_digest,
};
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use orrery_schemas::{EventFilter, LedgerSequence, RowDigest, ledgers_from_batch};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::SimError;
use super::fibers::Fibers;
use super::ledgers::{FIRST, Ledgers};
use super::store::{LATE_MAX, SimStore, StoreFaults};
use super::world::{Micros, World};
use crate::history::{Kind, Op};
use crate::oracle::{event_text, slots};

/// Attempts of a request before its writer gives up.
const ATTEMPTS_MAX: u32 = 5;

/// Faults end after this.
const SAFETY: Micros = 60_000_000;

/// After it everything is to be done: what was under way gives up, and whoever was killed last is back.
const LIVENESS: Micros = 300_000_000;

/// What one run does.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) regions: usize,
    pub(super) writers: usize,
    pub(super) width: u32,
    pub(super) last: u32,
    pub(super) slots_per_checkpoint: u64,
    /// A writer that ends inside of a slot.
    pub(super) bounded: Option<u32>,
    pub(super) compacts: bool,
    /// Between two ledgers of the network.
    pub(super) pace: Micros,
    pub(super) faults: StoreFaults,
    /// Mean time between two disturbances.
    pub(super) disturbed_every: Micros,
}

impl Plan {
    pub(super) fn draw(world: &World) -> Self {
        let regions = 1 + world.below(2);
        let last = 14 + u32::try_from(world.below(12)).unwrap_or(0);
        let alone = regions == 1;
        let rate = |max: usize| u32::try_from(world.below(2) * world.below(max)).unwrap_or(0);
        Self {
            regions,
            writers: 1 + world.below(3),
            width: 2 + u32::try_from(world.below(5)).unwrap_or(0),
            last,
            slots_per_checkpoint: [2, 3, 64][world.below(3)],
            bounded: (alone && world.chance(400))
                .then(|| FIRST + u32::try_from(world.below(10)).unwrap_or(0)),
            compacts: alone && world.chance(500),
            pace: [0, 300_000, 2_000_000][world.below(3)],
            faults: StoreFaults {
                refused: rate(120),
                answer_lost: rate(120),
                conflict: rate(80),
                late: rate(80),
                stale_list: rate(900),
                truncated: rate(80),
                denied: rate(15),
                replaces: false,
            },
            disturbed_every: [1_000_000, 4_000_000, 15_000_000][world.below(3)],
        }
    }

    pub(super) fn settings(&self) -> DatasetSettings {
        DatasetSettings {
            network_passphrase: Some(NETWORK_PASSPHRASE.to_owned()),
            start_ledger: Some(LedgerSequence(FIRST)),
            grid: Grid::uniform(self.width).ok(),
            slots_per_checkpoint: self.slots_per_checkpoint,
            ..DatasetSettings::default()
        }
    }
}

/// Runs one seed's writers; the world's history then tells of them.
///
/// # Errors
///
/// [`SimError`] if the simulation itself cannot go on.
pub(super) fn run(world: &World, ledgers: &Arc<Ledgers>) -> Result<(), SimError> {
    let plan = Plan::draw(world);
    world.trace(format_args!("{plan:?}"));
    let stores: Vec<SimStore> =
        (0..plan.regions).map(|region| SimStore::new(world, &format!("r{region}"))).collect();
    let mut fibers = Fibers::new(world)?;
    let mut writers = Vec::new();
    for (region, store) in stores.iter().enumerate() {
        store.set_faults(plan.faults);
        for number in 0..plan.writers {
            let bounded = plan.bounded.filter(|_| number == 1);
            writers.push(Writer::new(world, store, ledgers, &plan, (region, number), bounded));
        }
    }
    let mut alive: Vec<usize> =
        writers.iter().map(|writer| fibers.start(&writer.name, writer.clone().run())).collect();
    while world.now() < SAFETY {
        let next = world.now() + world.micros(plan.disturbed_every / 2, plan.disturbed_every * 2);
        fibers.run_until(next.min(SAFETY));
        disturb(world, &mut fibers, &stores, &mut writers, &mut alive);
    }
    heal(world, &mut fibers, &stores, &mut writers, &mut alive);
    fibers.run_until(SAFETY + LIVENESS);
    // Puts that were given up are applied in the end.
    fibers.run_until(SAFETY + LIVENESS + LATE_MAX);
    audit(world, &mut fibers, &stores, ledgers, &plan)
}

fn disturb(
    world: &World,
    fibers: &mut Fibers,
    stores: &[SimStore],
    writers: &mut [Writer],
    alive: &mut [usize],
) {
    let chosen = world.below(writers.len());
    let (Some(writer), Some(id)) = (writers.get_mut(chosen), alive.get_mut(chosen)) else { return };
    match world.below(4) {
        0 => {
            fibers.kill(*id);
            writer.lives += 1;
            *id = fibers.start(&writer.name, writer.clone().run());
        }
        1 => fibers.pause(*id, world.micros(100_000, 30_000_000)),
        2 => {
            let is_cut = world.chance(500);
            stores.iter().for_each(|store| store.cut(&writer.name, is_cut));
        }
        _ if world.chance(300) => {
            // All at once, as when the power fails.
            for (writer, id) in writers.iter_mut().zip(alive) {
                fibers.kill(*id);
                writer.lives += 1;
                *id = fibers.start(&writer.name, writer.clone().run());
            }
        }
        _ => {}
    }
}

fn heal(
    world: &World,
    fibers: &mut Fibers,
    stores: &[SimStore],
    writers: &mut [Writer],
    alive: &mut [usize],
) {
    for store in stores {
        store.set_faults(StoreFaults::default());
        writers.iter().for_each(|writer| store.cut(&writer.name, false));
    }
    for (writer, id) in writers.iter_mut().zip(alive) {
        if !fibers.is_running(*id) {
            writer.lives += 1;
            *id = fibers.start(&writer.name, writer.clone().run());
        }
        world.saw("nemesis", Op::Awaited { subject: writer.name.clone() });
    }
    world.saw("nemesis", Op::Healed { within_us: LIVENESS });
}

/// One process that writes both tables of a region.
#[derive(Clone)]
pub(super) struct Writer {
    world: World,
    name: String,
    region: String,
    store: Store,
    ledgers: Arc<Ledgers>,
    settings: DatasetSettings,
    last: u32,
    bounded: Option<u32>,
    compacts: bool,
    width: u32,
    pace: Micros,
    lives: u64,
}

/// Why a life of a writer ended.
enum Ended {
    Done,
    Again(DatasetError),
}

impl Writer {
    pub(super) fn new(
        world: &World,
        store: &SimStore,
        ledgers: &Arc<Ledgers>,
        plan: &Plan,
        (region, number): (usize, usize),
        bounded: Option<u32>,
    ) -> Self {
        let name = format!("r{region}w{number}");
        Self {
            world: world.clone(),
            store: Store::over(store.client(&name), "", Retry::at_once(ATTEMPTS_MAX)),
            name,
            region: format!("r{region}"),
            ledgers: Arc::clone(ledgers),
            settings: plan.settings(),
            last: plan.last,
            bounded,
            compacts: plan.compacts && number == 0,
            width: plan.width,
            pace: plan.pace,
            lives: 0,
        }
    }

    /// Writes until all is written, as a supervised pipeline would: whatever fails is begun again.
    pub(super) async fn run(self) {
        loop {
            match self.live().await {
                Ended::Done => break,
                Ended::Again(error) => {
                    self.world.trace(format_args!("{} fails: {error}", self.name));
                    if error.class() == DatasetErrorClass::Data || error.class() == DatasetErrorClass::Bug {
                        let halted = Op::Halted { subject: self.name.clone(), reason: error.to_string() };
                        self.world.saw(&self.name, halted);
                        return;
                    }
                    self.world.sleep(self.world.micros(20_000, 2_000_000)).await;
                }
            }
        }
        self.world.saw(&self.name, Op::Done { subject: self.name.clone() });
    }

    async fn live(&self) -> Ended {
        match self.write_all().await {
            Ok(()) => Ended::Done,
            Err(error) => Ended::Again(error),
        }
    }

    async fn write_all(&self) -> Result<(), DatasetError> {
        let opened = TableKind::ALL.map(|kind| {
            self.world.note(&self.name, Kind::Invoke, None, Op::Head { subject: self.table(kind), value: 0 })
        });
        let mut dataset = Dataset::open(&self.store, &self.settings).await?;
        for (kind, operation) in TableKind::ALL.into_iter().zip(opened) {
            let value = u64::from(dataset.table_mut(kind).tip().next_ledger.0) - 1;
            let head = Op::Head { subject: self.table(kind), value };
            self.world.note(&self.name, Kind::Ok, Some(operation), head);
        }
        let to = LedgerSequence(self.bounded.unwrap_or(self.last));
        loop {
            let mut left = 0;
            for kind in TableKind::ALL {
                left += usize::from(self.write_slot(&mut dataset, kind, to).await?);
            }
            if left == 0 {
                break;
            }
        }
        if self.compacts {
            for kind in TableKind::ALL {
                dataset.table_mut(kind).compact(self.width * 2, 4).await?;
            }
        }
        Ok(())
    }

    fn table(&self, kind: TableKind) -> String {
        format!("{}/{kind}", self.region)
    }

    /// Writes the next slot of a table. False if it has all.
    async fn write_slot(
        &self,
        dataset: &mut Dataset,
        kind: TableKind,
        to: LedgerSequence,
    ) -> Result<bool, DatasetError> {
        let table = dataset.table_mut(kind);
        let Some(range) = table.next_range(Some(to)) else { return Ok(false) };
        let (first, last) = (*range.start(), *range.end());
        let closed = u64::from(last.0) * self.pace;
        self.world.sleep(closed.saturating_sub(self.world.now())).await;
        let mut encoder = table.encoder(range.clone())?;
        let mut digest = RowDigest::default();
        let (mut parent_hash, mut end) = (None, None);
        for made in self.ledgers.range(first, last) {
            match kind {
                TableKind::TokenTransfers => {
                    encoder.append_rows(&made.rows)?;
                    digest.add(&made.ledger.row_digest);
                }
                TableKind::Ledgers => {
                    encoder.append_ledgers(std::slice::from_ref(&made.ledger))?;
                    digest.add(&ledgers_digest([&made.ledger]));
                }
            }
            parent_hash.get_or_insert(made.ledger.previous_hash);
            end = Some((made.ledger.hash, made.ledger.closed_at));
        }
        let (Some(parent_hash), Some((last_hash, closed_at))) = (parent_hash, end) else { return Ok(false) };
        let file = encoder.finish()?;
        let rows = SlotRows { range, parent_hash, last_hash, closed_at, file, digest };
        let commit = Op::Commit { table: self.table(kind), first: first.0, last: last.0 };
        let operation = self.world.note(&self.name, Kind::Invoke, None, commit.clone());
        let outcome = if self.world.chance(500) {
            table.commit(rows).await
        } else {
            let stored = table.store_ahead(rows).await;
            match stored {
                Ok(stored) => {
                    table.commit_stored(&stored).await.map(|done| done.unwrap_or(Outcome::Superseded))
                }
                Err(error) => Err(error),
            }
        };
        let kind_of_end = match &outcome {
            Ok(Outcome::Committed | Outcome::Adopted) => Kind::Ok,
            Ok(Outcome::Superseded) => Kind::Fail,
            Err(_) => Kind::Info,
        };
        self.world.note(&self.name, kind_of_end, Some(operation), commit);
        outcome?;
        let subject = format!("{}/{kind} by life {} of {}", self.region, self.lives, self.name);
        let value = u64::from(table.tip().next_ledger.0) - 1;
        self.world.saw(&self.name, Op::Head { subject, value });
        Ok(true)
    }
}

/// Looks at what is there in the end, by its bytes and as a reader sees it.
pub(super) fn audit(
    world: &World,
    fibers: &mut Fibers,
    stores: &[SimStore],
    ledgers: &Arc<Ledgers>,
    plan: &Plan,
) -> Result<(), SimError> {
    for made in ledgers.range(LedgerSequence(FIRST), LedgerSequence(plan.last)) {
        let expected = &made.expected;
        let (ledger, hash, events) = (expected.ledger, expected.hash.clone(), expected.events.clone());
        world.saw("oracle", Op::Expected { ledger, hash, events });
    }
    for (region, store) in stores.iter().enumerate() {
        let region = format!("r{region}");
        if plan.bounded.is_none() {
            for (kind, slot) in TableKind::ALL.iter().flat_map(|kind| {
                slots(FIRST, plan.last, plan.width).into_iter().map(move |slot| (kind, slot))
            }) {
                let (first, last) = slot.into_inner();
                world.saw("oracle", Op::Due { table: format!("{region}/{kind}"), first, last });
            }
        }
        note_logs(world, &region, &store.dump());
        for (fault, count) in store.faults_done() {
            world.trace(format_args!("{region} {fault} done {count} times"));
        }
        note_rows(world, fibers, store, &region)?;
    }
    Ok(())
}

/// Slots and objects of both tables, by their bytes.
pub(super) fn note_logs(world: &World, region: &str, dump: &[(String, Bytes)]) {
    for kind in TableKind::ALL {
        note_log(world, region, kind, dump);
    }
}

/// Slots and objects of a table, by their bytes.
fn note_log(world: &World, region: &str, kind: TableKind, dump: &[(String, Bytes)]) {
    let objects: std::collections::BTreeMap<&str, &Bytes> =
        dump.iter().map(|(name, bytes)| (name.as_str(), bytes)).collect();
    for slot in 0_u64.. {
        let path = format!("{kind}/_delta_log/{slot:020}.json");
        let Some(bytes) = objects.get(path.as_str()) else { break };
        let lines: Vec<Value> =
            bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let find = |key: &str| lines.iter().find_map(|line| line.get(key));
        let info = find("commitInfo").and_then(|info| info.get("orrery"));
        let text = |key: &str| {
            let value = info.and_then(|info| info.get(key)).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let number = |key: &str| {
            let value = info.and_then(|info| info.get(key)).and_then(Value::as_u64);
            value.and_then(|value| u32::try_from(value).ok())
        };
        let range = number("first_ledger").zip(number("last_ledger"));
        world.saw(
            "auditor",
            Op::Slot {
                table: format!("{region}/{kind}"),
                slot,
                ledgers: range.filter(|(first, last)| first <= last),
                hash: hex(bytes),
                prev: text("prev"),
                parent: text("parent_ledger_hash"),
                last_hash: text("last_ledger_hash"),
            },
        );
        if let Some(add) = find("add") {
            let of = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            let path = format!("{kind}/{}", of(add.get("path")));
            let expected = of(add.get("tags").and_then(|tags| tags.get("orrery.sha256")));
            let found = objects.get(path.as_str()).map(|bytes| hex(bytes));
            world.saw("auditor", Op::Object { region: region.to_owned(), path, expected, found });
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rows as a reader sees them.
fn note_rows(world: &World, fibers: &mut Fibers, store: &SimStore, region: &str) -> Result<(), SimError> {
    let view = Arc::new(DatasetView::new(
        Store::over(store.client("auditor"), "", Retry::at_once(1)),
        ViewLimits::default(),
    ));
    let result = Rc::new(RefCell::new(Err("it did not end".to_owned())));
    let (to, world_of_reader) = (Rc::clone(&result), world.clone());
    fibers.start("auditor", async move {
        let read = read_rows(&view).await;
        drop(world_of_reader);
        *to.borrow_mut() = read.map_err(|error| error.to_string());
    });
    fibers.run_until(world.now() + 600_000_000);
    let stored = std::mem::replace(&mut *result.borrow_mut(), Ok(Vec::new()));
    match stored {
        Ok(stored) => {
            for (ledger, hash, events) in stored {
                world.saw("auditor", Op::Stored { region: region.to_owned(), ledger, hash, events });
            }
        }
        Err(reason) => {
            world.saw("auditor", Op::Halted { subject: format!("readers of {region}"), reason });
        }
    }
    Ok(())
}

type StoredLedger = (u32, String, Vec<String>);

async fn read_rows(view: &Arc<DatasetView>) -> Result<Vec<StoredLedger>, DatasetError> {
    view.refresh().await?;
    let Some(snapshot) = view.snapshot() else { return Ok(Vec::new()) };
    let mut stored: Vec<StoredLedger> = Vec::new();
    let mut scan = view.scan(&snapshot, ScanRequest::ledgers());
    while let Some(batch) = scan.next().await? {
        for ledger in ledgers_from_batch(&batch)? {
            stored.push((ledger.sequence.0, ledger.hash.to_string(), Vec::new()));
        }
    }
    let mut scan = view.scan(&snapshot, ScanRequest::events(EventFilter::default()));
    while let Some(events) = scan.next_events().await? {
        for event in events {
            let ledger = event.ledger_sequence.0;
            match stored.iter_mut().find(|(number, ..)| *number == ledger) {
                Some((.., events)) => events.push(event_text(&event)),
                None => stored.push((ledger, String::new(), vec![event_text(&event)])),
            }
        }
    }
    Ok(stored)
}
