//! Two regions: one derives and writes, the other has the product's replicator copy over a link that loses, delays and damages
//! what it carries. Both are killed at any step.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_actors::dataset::{
    DatasetSettings, Replica, Retry, SlotObject, Store, TableKind, read_object, read_slot,
};
use orrery_actors::region::ReplicationMode;
use orrery_actors::region::replication::{Alarm, PeerError, PeerRegion, Replicator, ReplicatorSettings};
use orrery_actors::region::report::{RegionName, RegionReport, TableReport, Traffic};
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use tokio::sync::{mpsc, watch};

use super::SimError;
use super::dataset::{Plan, Writer, audit};
use super::fibers::Fibers;
use super::ledgers::Ledgers;
use super::store::{SimStore, StoreFaults};
use super::world::{Micros, World};
use crate::history::Op;

/// Faults end after this.
const SAFETY: Micros = 40_000_000;
/// All is copied then.
const LIVENESS: Micros = 120_000_000;
/// Puts that were given up are applied by then.
const AT_REST: Micros = 700_000_000;

/// The other region, as a link shows it.
struct Peer {
    world: World,
    name: RegionName,
    store: Store,
    link: Arc<Link>,
}

/// What a link does to what it carries, in a thousand answers.
struct Link {
    world: World,
    lost: u32,
    damaged: u32,
    is_faulty_until: Micros,
}

impl Link {
    /// What comes of an answer.
    async fn carry(&self) -> Result<(), PeerError> {
        self.world.sleep(self.world.micros(1000, 150_000)).await;
        let is_lost = self.world.now() < self.is_faulty_until && self.world.chance(self.lost);
        match is_lost {
            true => Err(PeerError::Away("the link lost it".to_owned())),
            false => Ok(()),
        }
    }

    fn is_damaged(&self) -> bool {
        self.world.now() < self.is_faulty_until && self.world.chance(self.damaged)
    }
}

impl Peer {
    async fn say(&self) -> Result<RegionReport, PeerError> {
        self.link.carry().await?;
        let mut tables = Vec::new();
        for kind in TableKind::ALL {
            let mut replica = Replica::new(&self.store, kind, &settings());
            let looked = replica.look().await.map_err(|error| PeerError::Away(error.to_string()))?;
            let Some(tip) = looked.cloned() else { continue };
            let id = replica.table().map(|table| table.id().to_owned()).unwrap_or_default();
            tables.push(TableReport {
                kind,
                id,
                slots: tip.slot,
                slot_sha256: tip.slot_sha256,
                next_ledger: tip.next_ledger.0,
                total_digest: tip.total_digest,
                epoch: tip.epoch,
                epochs: Vec::new(),
            });
        }
        self.link.carry().await?;
        Ok(RegionReport {
            region: self.name.clone(),
            version: "sim".to_owned(),
            lease_epoch: 1,
            ready: true,
            reasons: Vec::new(),
            durable: None,
            source_tip: None,
            tables,
            decision: None,
            traffic: Traffic::default(),
            heard: Vec::new(),
        })
    }

    async fn some_slots(&self, table: TableKind, from: u64, max: u32) -> Result<Vec<Bytes>, PeerError> {
        self.link.carry().await?;
        let mut slots = Vec::new();
        for slot in (from..).take(max as usize) {
            let found = read_slot(&self.store, table, slot).await;
            match found.map_err(|error| PeerError::Away(error.to_string()))? {
                Some(bytes) => slots.push(bytes),
                None => break,
            }
        }
        self.link.carry().await?;
        Ok(slots)
    }

    async fn whole(&self, table: TableKind, object: SlotObject) -> Result<Bytes, PeerError> {
        self.link.carry().await?;
        let found = read_object(&self.store, table, &object.path, 0..object.bytes).await;
        let found = found.map_err(|error| PeerError::Away(error.to_string()))?;
        let bytes = found.ok_or_else(|| PeerError::Refused("no such file".to_owned()))?;
        self.link.carry().await?;
        if !self.link.is_damaged() || bytes.is_empty() {
            return Ok(bytes);
        }
        self.world.trace(format_args!("{} comes damaged", object.path));
        let at = self.world.below(bytes.len());
        if self.world.chance(500) {
            return Ok(bytes.slice(..at));
        }
        let mut damaged = bytes.to_vec();
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 1;
        }
        Ok(damaged.into())
    }
}

impl PeerRegion for Peer {
    fn report(&self) -> BoxFuture<'_, Result<RegionReport, PeerError>> {
        self.say().boxed()
    }

    fn slots(&self, table: TableKind, from: u64, max: u32) -> BoxFuture<'_, Result<Vec<Bytes>, PeerError>> {
        self.some_slots(table, from, max).boxed()
    }

    fn object(
        &self,
        table: TableKind,
        _: u64,
        object: SlotObject,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>> {
        self.whole(table, object).boxed()
    }
}

fn settings() -> DatasetSettings {
    DatasetSettings { network_passphrase: Some(NETWORK_PASSPHRASE.to_owned()), ..DatasetSettings::default() }
}

/// What one life of a replicator is made from.
#[derive(Clone)]
struct Copier {
    world: World,
    from: SimStore,
    to: SimStore,
    link: Arc<Link>,
    last: u32,
}

impl Copier {
    async fn run(self) {
        let Ok(region) = "r0".parse::<RegionName>() else { return };
        let (standings, _kept) = watch::channel(BTreeMap::new());
        let (alarms, mut alarmed) = mpsc::channel::<Alarm>(4);
        let retry = || Retry::at_once(4);
        let peer = Peer {
            world: self.world.clone(),
            name: region.clone(),
            store: Store::over(self.from.client("gateway"), "", retry()),
            link: Arc::clone(&self.link),
        };
        let dataset = Store::over(self.to.client("copier"), "", retry());
        let mut replicator = Replicator::new(ReplicatorSettings {
            region,
            mode: ReplicationMode::Copy,
            lag_max_ledgers: 0,
            peer: Arc::new(peer),
            dataset: dataset.clone(),
            settings: settings(),
            clock: Arc::new(self.world.clone()),
            standings,
            alarms,
        });
        loop {
            replicator.round().await;
            while let Ok(alarm) = alarmed.try_recv() {
                self.world.saw("copier", Op::Halted { subject: "copier".to_owned(), reason: alarm.reason });
            }
            if self.is_complete(&dataset).await {
                self.world.saw("copier", Op::Done { subject: "copier".to_owned() });
                return;
            }
            self.world.sleep(1_000_000).await;
        }
    }

    async fn is_complete(&self, dataset: &Store) -> bool {
        for kind in TableKind::ALL {
            let mut replica = Replica::new(dataset, kind, &settings());
            match replica.look().await {
                Ok(Some(tip)) if tip.next_ledger.0 > self.last => {}
                _ => return false,
            }
        }
        true
    }
}

/// Runs one seed's regions.
///
/// # Errors
///
/// [`SimError`] if the simulation itself cannot go on.
pub(super) fn run(world: &World, ledgers: &Arc<Ledgers>) -> Result<(), SimError> {
    let plan = Plan { regions: 2, writers: 1, bounded: None, ..Plan::draw(world) };
    let stores = [SimStore::new(world, "r0"), SimStore::new(world, "r1")];
    stores.iter().for_each(|store| store.set_faults(plan.faults));
    let rate = |max: usize| u32::try_from(world.below(max)).unwrap_or(0);
    let link = Link { world: world.clone(), lost: rate(250), damaged: rate(400), is_faulty_until: SAFETY };
    world.trace(format_args!("{plan:?} lost {} damaged {}", link.lost, link.damaged));
    let [from, to] = stores.clone();
    let copier = Copier { world: world.clone(), from, to, link: Arc::new(link), last: plan.last };
    let mut fibers = Fibers::new(world)?;
    let writer = Writer::new(world, &stores[0], ledgers, &plan, (0, 0), None);
    let mut alive =
        [fibers.start("r0w0", writer.clone().run()), fibers.start("copier", copier.clone().run())];
    while world.now() < SAFETY {
        let next = world.now() + world.micros(plan.disturbed_every / 2, plan.disturbed_every * 2);
        fibers.run_until(next.min(SAFETY));
        let chosen = world.below(2);
        let Some(id) = alive.get_mut(chosen) else { continue };
        match world.below(3) {
            0 => {
                fibers.kill(*id);
                *id = restart(&mut fibers, chosen, &writer, &copier);
            }
            1 => fibers.pause(*id, world.micros(100_000, 20_000_000)),
            _ => {}
        }
    }
    stores.iter().for_each(|store| store.set_faults(StoreFaults::default()));
    for (chosen, id) in alive.iter_mut().enumerate() {
        if !fibers.is_running(*id) {
            *id = restart(&mut fibers, chosen, &writer, &copier);
        }
    }
    for subject in ["r0w0", "copier"] {
        world.saw("nemesis", Op::Awaited { subject: subject.to_owned() });
    }
    world.saw("nemesis", Op::Healed { within_us: LIVENESS });
    fibers.run_until(SAFETY + LIVENESS);
    fibers.run_until(SAFETY + LIVENESS + AT_REST);
    audit(world, &mut fibers, &stores, ledgers, &plan)
}

fn restart(fibers: &mut Fibers, chosen: usize, writer: &Writer, copier: &Copier) -> usize {
    match chosen {
        0 => fibers.start("r0w0", writer.clone().run()),
        _ => fibers.start("copier", copier.clone().run()),
    }
}
