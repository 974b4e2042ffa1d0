//! The replicators of the node whose coordinator is active, and what this region says of itself meanwhile.
//!
//! ```text
//! replication (OneForOne)                      on every node that may coordinate; at work while it is the active one
//! |- peer/us, peer/ap: a Replicator each  --->  standings, alarms
//! |- traffic: who has it, from every view  --->  the report
//! `- reporter: own report + standings     --->  the view that goes to all nodes with their assignments
//! ```

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use orrery_actors::dataset::{DatasetSettings, Replica, Store, TableKind};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::region::replication::{
    Alarm, PeerRegion, Replicator, ReplicatorSettings, Standing, Verdict,
};
use orrery_actors::region::report::{DurableLedger, Heard, RegionName, RegionReport, TableReport};
use orrery_actors::region::{PeerState, RegionView};
use orrery_supervisor::cluster::certificates::Credentials;
use orrery_supervisor::cluster::lease::{Coordination, Epoch};
use orrery_supervisor::{
    ChildSpec, Clock, ExitError, MonotonicTime, Restart, RestartIntensity, Strategy, SupervisorSpec,
};
use tokio::sync::{Mutex, mpsc, watch};

use super::link::PeerLink;
use super::settings::RegionSettings;
use super::traffic::{TrafficDesk, reported};
use crate::cluster::{Ask, Peers, Readers};
use crate::readiness::Readiness;

/// Between two looks at our own tables for the report.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Alarms that wait: one of each peer is enough.
const ALARMS_MAX: usize = 16;

/// A node that does not answer sooner is told with the next alarm.
const PARK_WITHIN: Duration = Duration::from_secs(2);

/// A region whose slot differs waits so long for others to say which one they have.
const DECIDES_WITHIN: Duration = Duration::from_secs(10);

/// What replicators and reporter are made from.
#[derive(Clone)]
pub(crate) struct Replication {
    pub(crate) settings: RegionSettings,
    pub(crate) credentials: Credentials,
    pub(crate) coordination: watch::Receiver<Coordination>,
    pub(crate) dataset: Store,
    pub(crate) dataset_settings: DatasetSettings,
    pub(crate) pipeline: String,
    pub(crate) metrics: Arc<PipelineMetrics>,
    pub(crate) readiness: Arc<Readiness>,
    /// What the coordinator wants a person to know.
    pub(crate) concerns: watch::Receiver<Vec<String>>,
    /// Which nodes of the region serve readers.
    pub(crate) readers: watch::Receiver<Option<Readers>>,
    pub(crate) peers: Peers,
    /// Where traffic belongs.
    pub(crate) desk: TrafficDesk,
    /// What all nodes are to be told.
    pub(crate) view: watch::Sender<Option<RegionView>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: u64,
}

impl Replication {
    /// The supervisor of it all.
    pub(crate) fn child(self, intensity: RestartIntensity) -> ChildSpec {
        let (alarms, alarmed) = mpsc::channel(ALARMS_MAX);
        let standings = watch::Sender::default();
        let mut spec = SupervisorSpec::new("replication", Strategy::OneForOne, intensity);
        for (place, peer) in self.settings.peers.iter().enumerate() {
            let seed = self.seed.rotate_left(8) ^ place as u64;
            let link = PeerLink::new(peer.clone(), self.credentials.clone(), self.clock.clone(), seed);
            let settings = ReplicatorSettings {
                region: peer.name.clone(),
                mode: peer.mode,
                lag_max_ledgers: self.settings.lag_max_ledgers,
                peer: Arc::new(link) as Arc<dyn PeerRegion>,
                dataset: self.dataset.clone(),
                settings: self.dataset_settings.clone(),
                clock: self.clock.clone(),
                standings: standings.clone(),
                alarms: alarms.clone(),
            };
            let coordination = self.coordination.clone();
            spec = spec.child(ChildSpec::task(peer.name.to_string(), move |_| {
                let (settings, coordination) = (settings.clone(), coordination.clone());
                Ok(Box::pin(while_active(coordination, move |_| {
                    let mut replicator = Replicator::new(settings.clone());
                    async move { replicator.run().await }
                })))
            }));
        }
        spec = spec.child(self.traffic());
        let reporter = Arc::new((Reporter { replication: self, standings }, Mutex::new(alarmed)));
        let reporter = ChildSpec::task("reporter", move |_| {
            let reporter = reporter.clone();
            Ok(Box::pin(async move {
                let (reporter, alarmed) = &*reporter;
                // One life of it at a time.
                let alarmed = Mutex::new(alarmed.lock().await);
                let coordination = reporter.replication.coordination.clone();
                while_active(coordination, async |epoch| {
                    reporter.run(epoch, &mut *alarmed.lock().await).await
                })
                .await
            }))
        });
        ChildSpec::supervisor(spec.child(reporter)).restart(Restart::Permanent)
    }

    /// What decides where traffic belongs.
    fn traffic(&self) -> ChildSpec {
        let replication = self.clone();
        ChildSpec::task("traffic", move |_| {
            let replication = replication.clone();
            Ok(Box::pin(async move {
                let Self { coordination, settings, readiness, view, clock, desk, .. } = &replication;
                let decides = |_| desk.run(settings, &readiness.regions, view.subscribe(), clock);
                while_active(coordination.clone(), decides).await
            }))
        })
    }
}

/// Works whenever this node coordinates, for as long as it does.
async fn while_active<W: Future<Output = ()>>(
    mut coordination: watch::Receiver<Coordination>,
    work: impl Fn(Epoch) -> W,
) -> Result<(), ExitError> {
    loop {
        let active = coordination.wait_for(|coordination| coordination.active.is_some()).await;
        // Without a sender the node ends.
        let Some(epoch) = active.ok().and_then(|coordination| coordination.active) else {
            return pending().await;
        };
        tokio::select! {
            () = work(epoch) => {}
            _ = coordination.wait_for(|coordination| coordination.active != Some(epoch)) => {}
        }
    }
}

/// Puts together what this region says of itself, and what its nodes are told.
struct Reporter {
    replication: Replication,
    standings: watch::Sender<BTreeMap<RegionName, Standing>>,
}

impl Reporter {
    async fn run(&self, epoch: Epoch, alarmed: &mut mpsc::Receiver<Alarm>) {
        let Replication { dataset, dataset_settings, view, .. } = &self.replication;
        let mut replicas = TableKind::ALL.map(|kind| Replica::new(dataset, kind, dataset_settings));
        let mut looks = tokio::time::interval(REPORT_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pending = BTreeMap::new();
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    for replica in &mut replicas {
                        if let Err(error) = replica.look().await {
                            tracing::debug!(%error, "our own dataset cannot be looked at for the report");
                        }
                    }
                    let seen = self.view(epoch, &replicas);
                    self.judge(&mut pending, &seen.peers).await;
                    view.send_replace(Some(seen));
                }
                Some(alarm) = alarmed.recv() => {
                    let raised = self.replication.clock.now();
                    pending.entry(alarm.region.clone()).or_insert((alarm, raised));
                }
            }
        }
    }

    /// Parks this region for differences in which most others are not known to be on its side.
    async fn judge(&self, pending: &mut BTreeMap<RegionName, (Alarm, MonotonicTime)>, peers: &[PeerState]) {
        let now = self.replication.clock.now();
        for (region, (alarm, raised)) in std::mem::take(pending) {
            match alarm.verdict(peers) {
                Verdict::GoOn => {
                    tracing::error!(%region, "most regions have what this one has, which goes on: {region} is to be mended");
                }
                Verdict::Wait if now.since(raised) < DECIDES_WITHIN => {
                    pending.insert(region, (alarm, raised));
                }
                Verdict::Wait | Verdict::Park => self.park(alarm).await,
            }
        }
    }

    fn view(&self, epoch: Epoch, replicas: &[Replica]) -> RegionView {
        let Replication { settings, clock, .. } = &self.replication;
        let now = clock.now();
        let standings = self.standings.borrow();
        let peers = settings.peers.iter().filter_map(|peer| standings.get(&peer.name));
        let peers: Vec<_> = peers.map(|standing| standing.at(now, settings.unheard_after)).collect();
        let heard = peers.iter().map(|peer| Heard {
            region: peer.region.clone(),
            seconds_ago: peer.heard_ms_ago.map(|ago| ago / 1000),
        });
        let own = self.report(epoch, replicas, heard.collect());
        let Replication { desk, readiness, .. } = &self.replication;
        let traffic = desk.now.borrow().clone().or_else(|| readiness.regions.traffic());
        RegionView { own: Some(own), peers, traffic }
    }

    fn report(&self, epoch: Epoch, replicas: &[Replica], heard: Vec<Heard>) -> RegionReport {
        let Replication { settings, readiness, metrics, concerns, desk, .. } = &self.replication;
        let (ready, mut reasons) = self.ready();
        reasons.extend(concerns.borrow().iter().cloned());
        let told = readiness.regions.traffic();
        let (decision, traffic) = reported(settings, desk.now.borrow().as_ref(), told.as_ref());
        RegionReport {
            region: settings.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lease_epoch: epoch.get(),
            ready,
            reasons,
            durable: durable(replicas),
            source_tip: u32::try_from(metrics.counts().newest).ok().filter(|newest| *newest > 0),
            tables: replicas.iter().filter_map(table_report).collect(),
            decision,
            traffic,
            heard,
        }
    }

    /// Whether a node of the region serves readers, and why others do not. Before the coordinator has heard them, this one.
    fn ready(&self) -> (bool, Vec<String>) {
        let Replication { readiness, readers, .. } = &self.replication;
        if let Some(readers) = &*readers.borrow() {
            return (readers.ready > 0, readers.unready.clone());
        }
        let (is_ready, answer) = readiness.answer();
        let details = answer["reasons"].as_array().into_iter().flatten();
        (is_ready, details.filter_map(|reason| reason["detail"].as_str().map(str::to_owned)).collect())
    }

    /// Has every node of the region park its pipeline, and say why.
    async fn park(&self, alarm: Alarm) {
        let Replication { peers, pipeline, .. } = &self.replication;
        let ask = Ask::Park { pipeline: pipeline.clone(), reason: Some(alarm.reason) };
        let members = peers.members();
        let asked = members.iter().map(|member| async {
            let name = &member.identity.name;
            if let Err(error) = peers.ask(name, &ask, PARK_WITHIN).await {
                tracing::warn!(node = %name, %error, "the node is not parked yet");
            }
        });
        join_all(asked).await;
    }
}

/// The newest ledger that every table has.
fn durable(replicas: &[Replica]) -> Option<DurableLedger> {
    let tips: Vec<_> = replicas.iter().filter_map(Replica::tip).collect();
    let tip = tips.iter().min_by_key(|tip| tip.next_ledger).filter(|_| tips.len() == replicas.len())?;
    let (hash, closed_at) = tip.last_ledger_hash.zip(tip.closed_at)?;
    Some(DurableLedger { ledger: tip.next_ledger.0.saturating_sub(1), hash, closed_at })
}

fn table_report(replica: &Replica) -> Option<TableReport> {
    let table = replica.table()?;
    let tip = table.tip();
    Some(TableReport {
        kind: table.kind(),
        id: table.id().to_owned(),
        slots: tip.slot,
        slot_sha256: tip.slot_sha256,
        next_ledger: tip.next_ledger.0,
        total_digest: tip.total_digest,
        epoch: tip.epoch,
        epochs: table.told_epochs(),
    })
}
