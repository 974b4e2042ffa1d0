//! Asks, fetches and puts what the cores of both tables decide, for as long as it runs; tells how the peer stands.
//!
//! What it needs to go on is in both datasets: one that is killed goes on where the log ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use orrery_supervisor::{Clock, seeded_bug};
use tokio::sync::{mpsc, watch};

use super::core::ReplicationCore;
use super::message::{Action, Input, TableEnd};
use super::peer::{PeerError, PeerRegion};
use super::standing::{Standing, worst};
use crate::dataset::{
    DatasetError, DatasetErrorClass, DatasetSettings, Replica, SlotObject, SlotPut, Store, TableKind,
    is_object, keep_difference, put_object, read_slot,
};
use crate::region::ReplicationMode;
use crate::region::report::{RegionName, RegionReport};

/// Between two reports that are asked for.
const ROUND_EVERY: Duration = Duration::from_secs(1);

/// Rounds that a region which derives itself has to be behind before it copies: its own pipeline may be about to commit.
const BEHIND_ROUNDS: u32 = 3;

/// What a person is to be called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The peer.
    pub region: RegionName,
    /// The table that differs.
    pub table: TableKind,
    /// The first slot that differs; `None` if this region's own table is at fault.
    pub slot: Option<u64>,
    /// What differs where, where both sides are kept, and what to do.
    pub reason: String,
}

/// What a replicator is made from.
#[derive(Clone)]
pub struct ReplicatorSettings {
    /// The peer's name.
    pub region: RegionName,
    /// What is done about it.
    pub mode: ReplicationMode,
    /// A region that derives itself copies only when it is further behind.
    pub lag_max_ledgers: u32,
    /// The link.
    pub peer: Arc<dyn PeerRegion>,
    /// Our own.
    pub dataset: Store,
    /// What it must be.
    pub settings: DatasetSettings,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it tells how the peer stands.
    pub standings: watch::Sender<BTreeMap<RegionName, Standing>>,
    /// Where it tells of differences. One that is not taken is told again later.
    pub alarms: mpsc::Sender<Alarm>,
}

/// One table.
struct Side {
    kind: TableKind,
    replica: Replica,
    core: ReplicationCore,
    behind_rounds: u32,
}

/// The loop.
pub struct Replicator {
    settings: ReplicatorSettings,
    sides: Vec<Side>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    is_asking: bool,
    standing: Standing,
    /// The newest alarm, which is logged once.
    alarmed: Option<String>,
}

/// What has ended.
enum Done {
    Report(Result<RegionReport, PeerError>),
    Of(TableKind, Input),
}

impl Replicator {
    /// Of a region that begins to look at another one.
    pub fn new(settings: ReplicatorSettings) -> Self {
        let side = |kind| Side {
            kind,
            replica: Replica::new(&settings.dataset, kind, &settings.settings),
            core: ReplicationCore::default(),
            behind_rounds: 0,
        };
        let standing = Standing::new(settings.region.clone(), settings.mode);
        let sides = TableKind::ALL.into_iter().map(side).collect();
        Self { settings, sides, jobs: FuturesUnordered::new(), is_asking: false, standing, alarmed: None }
    }

    /// Goes on for ever.
    pub async fn run(&mut self) {
        let mut rounds = tokio::time::interval(ROUND_EVERY);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = rounds.tick(), if !self.is_asking => {
                    self.is_asking = true;
                    let peer = self.settings.peer.clone();
                    self.jobs.push(async move { Done::Report(peer.report().await) }.boxed());
                }
                Some(done) = self.jobs.next() => match done {
                    Done::Report(answer) => {
                        self.is_asking = false;
                        self.reported(answer).await;
                    }
                    Done::Of(kind, input) => self.happened(kind, input).await,
                },
            }
            self.tell();
        }
    }

    /// Asks for one report, and does all that follows from it: what [`Self::run`] does between two of its ticks, for whoever has
    /// a clock of its own.
    pub async fn round(&mut self) {
        let peer = self.settings.peer.clone();
        let answer = peer.report().await;
        self.reported(answer).await;
        while let Some(done) = self.jobs.next().await {
            if let Done::Of(kind, input) = done {
                self.happened(kind, input).await;
            }
        }
        self.tell();
    }

    async fn reported(&mut self, answer: Result<RegionReport, PeerError>) {
        let report = match answer {
            Ok(report) if report.region == self.settings.region => report,
            Ok(report) => {
                let why =
                    format!("region `{}` answers there: give each region its own addresses", report.region);
                return self.standing.unheard(why);
            }
            Err(error) => return self.standing.unheard(error.to_string()),
        };
        self.standing.heard(report.clone(), self.settings.clock.now());
        for place in 0..self.sides.len() {
            let Some(side) = self.sides.get_mut(place) else { return };
            let kind = side.kind;
            match side.replica.look().await {
                Ok(_) => {}
                Err(error) if error.class() != DatasetErrorClass::Data => {
                    tracing::warn!(%error, region = %self.settings.region, "cannot look at our own dataset, trying again");
                    continue;
                }
                Err(error) => {
                    self.alarm(kind, None, &error.to_string(), "");
                    continue;
                }
            }
            if let Err(error) = take_epoch(side, &report, &self.settings.region).await {
                self.alarm(kind, None, &error.to_string(), "");
            }
            let Some(side) = self.sides.get_mut(place) else { return };
            let (ours, theirs) = (end(&side.replica), reported_end(&report, kind));
            let copies = side.copies(&self.settings, ours.as_ref(), theirs.as_ref());
            self.happened(kind, Input::Round { ours, theirs, copies }).await;
        }
        self.compare_tips();
    }

    /// Performs what the core of a table makes of an input, and what comes of that.
    async fn happened(&mut self, kind: TableKind, input: Input) {
        let Some(place) = self.sides.iter().position(|side| side.kind == kind) else { return };
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(side) = self.sides.get_mut(place) else { return };
            for action in side.core.step(input) {
                inputs.extend(self.perform(place, kind, action).await);
            }
        }
        self.compare_tips();
    }

    async fn perform(&mut self, place: usize, kind: TableKind, action: Action) -> Option<Input> {
        let (peer, dataset) = (self.settings.peer.clone(), self.settings.dataset.clone());
        match action {
            Action::Ask { question, ours, theirs } => {
                self.job(kind, async move { ask(peer, dataset, kind, question, ours, theirs).await });
                None
            }
            Action::FetchObject { slot, object } => {
                self.job(kind, async move { fetch(peer, kind, slot, object).await });
                None
            }
            Action::PutFile { slot, object, bytes } => {
                self.standing.copied(bytes.len());
                self.job(kind, async move { put_file(dataset, kind, slot, object, bytes).await });
                None
            }
            Action::PutSlot { slot, bytes } => {
                let count = bytes.len();
                let side = self.sides.get_mut(place)?;
                Some(match side.replica.put_slot(slot, bytes).await {
                    Ok(SlotPut::Done) => {
                        self.standing.copied(count);
                        let region = &self.settings.region;
                        tracing::info!(table = %kind, slot, %region, "slot copied");
                        end(&side.replica).map_or(Input::SlotNotPut, |ours| Input::SlotPut { ours })
                    }
                    Ok(SlotPut::Taken) => Input::SlotNotPut,
                    Ok(SlotPut::Unfit(why)) => Input::SlotUnfit { slot, why },
                    Err(error) => {
                        tracing::warn!(%error, table = %kind, slot, "a copied slot cannot be put, trying again");
                        Input::SlotNotPut
                    }
                })
            }
            Action::Park { slot, reason, evidence } => {
                let kept = match &evidence {
                    Some((ours, theirs)) => keep_difference(&dataset, kind, slot, ours, theirs).await,
                    None => String::new(),
                };
                self.alarm(kind, Some(slot), &format!("slot {slot}: {reason}"), &kept);
                None
            }
        }
    }

    fn job(&self, kind: TableKind, work: impl Future<Output = Input> + Send + 'static) {
        self.jobs.push(work.map(move |input| Done::Of(kind, input)).boxed());
    }

    fn alarm(&mut self, kind: TableKind, slot: Option<u64>, what: &str, kept: &str) {
        let region = self.settings.region.clone();
        let evidence = match kept {
            "" => String::new(),
            kept => format!("; both sides are kept in {kept}"),
        };
        let reason = format!(
            "region {region} and this one differ: table {kind}, {what}{evidence}; find out which side is wrong (`orrery verify` in \
             both regions), mend it there (ops/runbooks/difference.md), and `orrery resume` the pipeline of each that is parked"
        );
        if self.alarmed.as_ref() != Some(&reason) {
            tracing::error!(%region, table = %kind, reason, "regions differ");
            self.alarmed = Some(reason.clone());
        }
        // A full channel has the same alarm already, and it is told again.
        let _ = self.settings.alarms.try_send(Alarm { region, table: kind, slot, reason });
    }

    /// How far they are ahead of us.
    fn compare_tips(&mut self) {
        let tips: Vec<_> = self.sides.iter().filter_map(|side| side.replica.tip()).collect();
        let ours = tips.iter().min_by_key(|tip| tip.next_ledger).filter(|_| tips.len() == self.sides.len());
        let ours = ours.map(|tip| (tip.next_ledger.0, tip.closed_at.map(|time| time.unix_seconds())));
        self.standing.lag(ours);
    }

    fn tell(&mut self) {
        let (state, detail) = worst(self.sides.iter().map(|side| (side.kind, side.core.state())));
        let equal = self.sides.iter().map(|side| side.core.equal()).collect();
        let differences = self.sides.iter().map(|side| side.core.differences()).sum();
        self.standing.stands(state, detail, equal, differences);
        let (region, standing) = (self.settings.region.clone(), self.standing.clone());
        self.settings.standings.send_if_modified(|standings| {
            let is_new = standings.get(&region) != Some(&standing);
            standings.insert(region, standing);
            is_new
        });
    }
}

impl Side {
    fn copies(
        &mut self,
        settings: &ReplicatorSettings,
        ours: Option<&TableEnd>,
        theirs: Option<&TableEnd>,
    ) -> bool {
        let next = |end: Option<&TableEnd>| end.map_or(0, |end| end.next_ledger);
        let is_behind = next(theirs) > next(ours).saturating_add(settings.lag_max_ledgers);
        self.behind_rounds = if is_behind { self.behind_rounds.saturating_add(1) } else { 0 };
        match settings.mode {
            ReplicationMode::Recompute => false,
            ReplicationMode::Copy => true,
            ReplicationMode::Both => self.behind_rounds >= BEHIND_ROUNDS,
        }
    }
}

/// Has an epoch that the peer has announced, or begun, announced here too. The error is what no waiting mends.
async fn take_epoch(side: &mut Side, report: &RegionReport, region: &RegionName) -> Result<(), DatasetError> {
    let Some(theirs) = report.table(side.kind).filter(|theirs| !theirs.epochs.is_empty()) else {
        return Ok(());
    };
    if side.replica.table().is_none_or(|table| table.id() != theirs.id) {
        return Ok(());
    }
    match side.replica.take_epoch(&theirs.epochs).await {
        Ok(is_new) => {
            if is_new {
                tracing::info!(%region, table = %side.kind, "an epoch is announced here as in a peer region");
            }
            Ok(())
        }
        Err(error @ (DatasetError::Epoch { .. } | DatasetError::Grid { .. })) => Err(error),
        Err(error) => {
            tracing::warn!(%error, %region, "an epoch cannot be announced now, trying again");
            Ok(())
        }
    }
}

fn end(replica: &Replica) -> Option<TableEnd> {
    let table = replica.table()?;
    let tip = table.tip();
    Some(TableEnd {
        id: table.id().to_owned(),
        slot: tip.slot,
        sha256: tip.slot_sha256,
        next_ledger: tip.next_ledger.0,
        digest: tip.total_digest,
    })
}

fn reported_end(report: &RegionReport, kind: TableKind) -> Option<TableEnd> {
    let table = report.table(kind)?;
    Some(TableEnd {
        id: table.id.clone(),
        slot: table.slots,
        sha256: table.slot_sha256,
        next_ledger: table.next_ledger,
        digest: table.total_digest,
    })
}

async fn ask(
    peer: Arc<dyn PeerRegion>,
    dataset: Store,
    kind: TableKind,
    question: u64,
    ours: Option<(u64, u32)>,
    theirs: Option<(u64, u32)>,
) -> Input {
    let own = async {
        let mut slots = Vec::new();
        let Some((from, max)) = ours else { return Ok(slots) };
        for slot in (from..).take(max as usize) {
            let Some(bytes) = read_slot(&dataset, kind, slot).await? else { break };
            slots.push(bytes);
        }
        Ok::<_, DatasetError>(slots)
    };
    let other = async {
        match theirs {
            Some((from, max)) => peer.slots(kind, from, max).await,
            None => Ok(Vec::new()),
        }
    };
    match futures::future::join(own, other).await {
        (Ok(ours), Ok(theirs)) => Input::Slots { question, ours, theirs },
        (ours, theirs) => {
            let why =
                ours.err().map(|error| error.to_string()).or(theirs.err().map(|error| error.to_string()));
            tracing::debug!(table = %kind, why, "slots cannot be compared now");
            Input::NoAnswer { question }
        }
    }
}

async fn fetch(peer: Arc<dyn PeerRegion>, kind: TableKind, slot: u64, object: SlotObject) -> Input {
    match peer.object(kind, slot, object.clone()).await {
        Ok(bytes) if seeded_bug!(B20, true, is_object(&object, &bytes).await) => {
            Input::Fetched { slot, object, bytes }
        }
        Ok(_) => {
            let untrue = format!("{} came with other bytes than slot {slot} says", object.path);
            Input::NotFetched { slot, untrue: Some(untrue) }
        }
        Err(PeerError::Untrue(why)) => Input::NotFetched { slot, untrue: Some(why) },
        Err(error) => {
            tracing::debug!(table = %kind, slot, %error, "a file cannot be fetched now");
            Input::NotFetched { slot, untrue: None }
        }
    }
}

async fn put_file(dataset: Store, kind: TableKind, slot: u64, object: SlotObject, bytes: Bytes) -> Input {
    match put_object(&dataset, kind, &object, bytes).await {
        Ok(()) => Input::FilePut { slot },
        Err(DatasetError::Halted(halt)) => {
            let reason = format!("{}: {}; both are kept in {}", halt.path, halt.reason, halt.kept);
            Input::FileDiffers { slot, reason }
        }
        Err(error) => {
            tracing::warn!(%error, table = %kind, slot, "a copied file cannot be put, trying again");
            Input::FileNotPut { slot }
        }
    }
}
