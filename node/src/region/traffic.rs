//! Where traffic belongs, decided once for each view of the regions on the node that coordinates.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};
use orrery_actors::dataset::Store;
use orrery_actors::region::report::{Decision, RegionName, RegionReport, Traffic};
use orrery_actors::region::traffic::{
    TrafficCore, TrafficInput, TrafficPeer, TrafficSettings, TrafficView, newer, next_generation,
};
use orrery_actors::region::{PeerState, RegionView};
use orrery_supervisor::Clock;
use tokio::sync::watch;

use super::decisions;
use super::settings::RegionSettings;
use super::told::Regions;

/// Between two attempts to reach a store that does not answer.
const STORE_AGAIN: Duration = Duration::from_secs(2);

/// Decisions of other operators at the same moment that are stepped over.
const RIVALS_MAX: u32 = 8;

/// What is decided, and where it is kept; clones are the same.
#[derive(Clone)]
pub(crate) struct TrafficDesk {
    dataset: Store,
    /// As this region's coordinator sees it now; `None` before it has begun.
    pub(super) now: watch::Sender<Option<TrafficView>>,
    /// The newest decision that is kept here.
    kept: watch::Sender<Option<Decision>>,
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The region; `None` for priorities.
    pub(crate) to: Option<RegionName>,
    pub(crate) forced: bool,
    pub(crate) by: String,
    pub(crate) reason: String,
}

impl TrafficDesk {
    pub(crate) fn new(dataset: Store) -> Self {
        Self { dataset, now: watch::Sender::default(), kept: watch::Sender::default() }
    }

    /// Writes down what an operator wants, behind all decisions that are known.
    ///
    /// # Errors
    ///
    /// It cannot be written down now.
    pub(crate) async fn decide(&self, wanted: Wanted) -> Result<Decision, String> {
        for _ in 0..RIVALS_MAX {
            let heard = self.now.borrow().as_ref().and_then(|view| view.decision.clone());
            let kept = decisions::newest(&self.dataset).await?;
            let known = match (heard, kept) {
                (Some(heard), Some(kept)) => Some(newer(&heard, &kept).clone()),
                (heard, kept) => heard.or(kept),
            };
            let Wanted { to, forced, by, reason } = wanted.clone();
            let decision = Decision { generation: next_generation(known.as_ref()), to, forced, by, reason };
            let kept = decisions::keep(&self.dataset, &decision).await?;
            self.kept.send_replace(Some(kept.clone()));
            if kept == decision {
                tracing::warn!(
                    generation = kept.generation,
                    to = kept.to.as_ref().map(ToString::to_string),
                    forced = kept.forced,
                    by = kept.by,
                    "an operator has decided where traffic belongs"
                );
                return Ok(kept);
            }
        }
        Err("other operators decide at the same moment: see orrery regions, and decide again".to_owned())
    }

    /// Decides with every view, for ever. `told` is what this node heard of its region before.
    pub(super) async fn run(
        &self,
        settings: &RegionSettings,
        told: &Regions,
        mut views: watch::Receiver<Option<RegionView>>,
        clock: &Arc<dyn Clock>,
    ) {
        let has = told.traffic().is_some_and(|traffic| traffic.has);
        let mut core = TrafficCore::new(of(settings), has);
        // What was seen while this node coordinated before is old, and so is this when it does not any more.
        let _forgets = Forgets(&self.now);
        self.now.send_replace(None);
        self.kept.send_replace(self.newest().await);
        let mut kept = self.kept.subscribe();
        let mut keeping: OptionFuture<BoxFuture<'_, Option<Decision>>> = None.into();
        let mut is_keeping = false;
        loop {
            let decision = kept.borrow_and_update().clone();
            let input = views.borrow_and_update().as_ref().map(|view| input(settings, view, decision, clock));
            if let Some(input) = input {
                let view = core.step(&input);
                if view.decision != input.decision && !is_keeping {
                    keeping = view.decision.clone().map(|decision| self.keep(decision)).into();
                    is_keeping = true;
                }
                self.show(view);
            }
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                // Who decided wants it to be seen at once.
                _ = kept.changed() => {}
                done = &mut keeping, if is_keeping => {
                    is_keeping = false;
                    if let Some(Some(decision)) = done {
                        self.kept.send_replace(Some(decision));
                    }
                }
            }
        }
    }

    fn show(&self, view: TrafficView) {
        let before = self.now.borrow().as_ref().map(|before| before.has);
        if before != Some(view.has) {
            let why: Vec<_> =
                view.regions.iter().map(|region| format!("{}: {}", region.region, region.state)).collect();
            tracing::info!(
                has = view.has,
                regions = why.join(", "),
                "whether traffic belongs to this region"
            );
        }
        self.now.send_replace(Some(view));
    }

    /// The newest decision that is kept; of a store that does not say for a while, none, until it is heard of.
    async fn newest(&self) -> Option<Decision> {
        match tokio::time::timeout(STORE_AGAIN, decisions::newest(&self.dataset)).await {
            Ok(Ok(newest)) => newest,
            Ok(Err(error)) => {
                tracing::warn!(error, "the decision about traffic that is kept here cannot be read");
                None
            }
            Err(_) => None,
        }
    }

    /// Keeps what was heard of another region, so that this one knows it when that one is gone. What holds is what was heard,
    /// whatever is kept of its generation.
    fn keep(&self, decision: Decision) -> BoxFuture<'_, Option<Decision>> {
        async move {
            match tokio::time::timeout(STORE_AGAIN, decisions::keep(&self.dataset, &decision)).await {
                Ok(Ok(_)) => Some(decision),
                Ok(Err(error)) => {
                    tracing::debug!(error, "a decision about traffic is not kept yet");
                    tokio::time::sleep(STORE_AGAIN).await;
                    None
                }
                Err(_) => None,
            }
        }
        .boxed()
    }
}

/// Forgets what was seen when it goes.
struct Forgets<'a>(&'a watch::Sender<Option<TrafficView>>);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// What a region says of its traffic, as it is seen now or, before that, as this node was told.
pub(super) fn reported(
    settings: &RegionSettings,
    now: Option<&TrafficView>,
    told: Option<&TrafficView>,
) -> (Option<Decision>, Traffic) {
    let view = now.or(told);
    let traffic = Traffic {
        has: view.is_some_and(|view| view.has),
        since_seconds: view.map_or(0, |view| view.since_seconds),
        priority: settings.priority,
        weight: settings.weight,
    };
    (view.and_then(|view| view.decision.clone()), traffic)
}

fn of(settings: &RegionSettings) -> TrafficSettings {
    let RegionSettings { name, priority, weight, lag_max_ledgers, unheard_after, stable, .. } =
        settings.clone();
    // A slot that is durable elsewhere is durable here within a few seconds, if all is well.
    let behind_after = unheard_after * 2;
    TrafficSettings { region: name, priority, weight, lag_max_ledgers, unheard_after, behind_after, stable }
}

fn input(
    settings: &RegionSettings,
    view: &RegionView,
    decision: Option<Decision>,
    clock: &Arc<dyn Clock>,
) -> TrafficInput {
    let durable = |report: &RegionReport| report.durable.map(|durable| durable.ledger);
    let peers = settings.peers.iter().map(|peer| {
        let state = view.peers.iter().find(|state| state.region == peer.name);
        let report = state.and_then(|state| state.report.as_ref());
        let heard = state.and_then(|state: &PeerState| state.heard_ms_ago);
        TrafficPeer {
            region: peer.name.clone(),
            heard_ago: heard.filter(|_| report.is_some()).map(Duration::from_millis),
            priority: report.map_or(0, |report| report.traffic.priority),
            weight: report.map_or(0, |report| report.traffic.weight),
            ready: report.is_some_and(|report| report.ready),
            durable: report.and_then(durable),
            has: report.is_some_and(|report| report.traffic.has),
            decision: report.and_then(|report| report.decision.clone()),
        }
    });
    TrafficInput {
        now: clock.now(),
        ready: view.own.as_ref().is_some_and(|own| own.ready),
        durable: view.own.as_ref().and_then(durable),
        peers: peers.collect(),
        decision,
    }
}
