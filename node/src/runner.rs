//! A node as it runs: its supervision tree, and what serves and watches it until it ends.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_actors::checkpoint::{NodeState, Quarantined, StateError, task_of};
use orrery_actors::dataset::{DatasetUrl, Retry, Store};
use orrery_actors::exchange::ExchangeCounts;
use orrery_actors::feed::{History, Outlet, StoredHistory};
use orrery_actors::pipeline::Places;
use orrery_actors::pipeline::supervised::{PipelineLimits, SupervisedPipeline};
use orrery_actors::source::AtTip;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{
    ChildSpec, EndWhen, ExitReason, Restart, RestartIntensity, Strategy, SupervisorHandle, SupervisorSpec,
    SystemClock,
};

use tokio::runtime::Handle;

use crate::audit::Audit;
use crate::cluster::{Assignee, ClusterNode, Served};
use crate::control::{self, Control};
use crate::environment;
use crate::exit::Failure;
use crate::opening::{self, Opened};
use crate::parked::Parked;
use crate::readiness::{Phase, Readiness};
use crate::region::RegionSettings;
use crate::settings::Settings;
use crate::telemetry::observed;

/// How a run ended that did nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every ledger that was wanted is durable.
    Complete,
    /// It was told to stop, and ended what was in work.
    Drained {
        /// The last ledger that is durable, whoever made it so.
        durable: Option<LedgerSequence>,
    },
}

/// Why a node does not go on.
enum Why {
    /// Its tree has ended by itself.
    TreeEnded(ExitReason),
    /// What came of it is known, and the tree has only to be stopped.
    Over(Result<Ended, Failure>),
    /// It is told to stop.
    Told,
}

/// Whether a run has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Every ledger up to the last one that is wanted, then the end. Ledgers that no source has yet are a gap, or awaited.
    Range(AtTip),
    /// The network's ledgers, for ever.
    Follow,
}

/// Restarts of the node's own children before it gives up.
const RESTARTS_MAX: u32 = 3;

/// Before a ledger that was refused is fetched again, doubling: with one source, a pipeline parks after six seconds.
const REFETCH_AFTER: Duration = Duration::from_secs(2);

/// Period of these.
const RESTARTS_PERIOD: Duration = Duration::from_secs(60);

/// A dataset that does not tell sooner how far it is keeps no node from its end.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);

/// A node whose sources and dataset are open.
pub(crate) struct Node {
    pub(crate) settings: Settings,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) state: NodeState,
    pub(crate) audit: Arc<Audit>,
    /// Threads for bulk work.
    working: Handle,
    /// First and last ledger of this run; the last is `None` without an end.
    pub(crate) range: (LedgerSequence, Option<LedgerSequence>),
    pipeline: SupervisedPipeline,
    goal: Goal,
    pub(crate) cluster: Option<ClusterNode>,
}

/// A dataset's store. Nothing is asked of it yet.
pub(crate) fn connect(dataset: &DatasetUrl) -> Result<Store, Failure> {
    let retry = Retry::new(seed()).map_err(|error| Failure::Bug(error.to_string()))?;
    Ok(Store::connect(dataset, &environment::variable, retry)?)
}

/// The state of a node that does not run, and that has some.
pub(crate) fn existing_state(data_dir: &std::path::Path) -> Result<NodeState, Failure> {
    if !NodeState::exists(data_dir) {
        return Err(Failure::Usage(format!(
            "{}: no node keeps its state here: give --data-dir",
            data_dir.display()
        )));
    }
    Ok(NodeState::open(data_dir)?)
}

/// Nodes that fail together must not come back together: their process numbers differ.
pub(crate) fn seed() -> u64 {
    u64::from(std::process::id())
}

impl Node {
    /// Opens the node's own state, then sources and dataset, which may be away for as long as patience lasts.
    pub(crate) async fn open(
        settings: Settings,
        goal: Goal,
        readiness: Arc<Readiness>,
        audit: Arc<Audit>,
        working: Handle,
    ) -> Result<Self, Failure> {
        let state = NodeState::open(&settings.data_dir)?;
        state.keep_open();
        readiness.watch(state.writes.clone());
        if let Err(error) = state.parked.know(&settings.pipeline) {
            tracing::warn!(%error, "the pipeline's name is not noted; commands on the stopped node ask for --config");
        }
        let Opened { stores, network, dataset, dataset_settings, range } =
            opening::open(&settings, goal).await?;
        if settings.reads_dataset() {
            readiness.reach.show(dataset.clone(), &settings);
        }
        let mut limits = PipelineLimits::for_workers(settings.workers);
        limits.object_bytes = settings.prefetch_bytes;
        let pipeline = SupervisedPipeline {
            name: settings.pipeline.clone(),
            task: None,
            stores,
            network,
            mode: settings.mode,
            proof: settings.proof,
            dataset,
            settings: dataset_settings,
            from: None,
            to: range.1,
            at_tip: if let Goal::Range(at_tip) = goal { at_tip } else { AtTip::Wait },
            patience: settings.patience,
            refetch_after: REFETCH_AFTER,
            hangs_after: settings.hangs_after,
            limits,
            state: Some(state.clone()),
            feed: settings.http.map(|_| readiness.feed.clone()),
            outlet: settings.cluster.as_ref().map(|_| Arc::new(Outlet::default())),
            metrics: readiness.metrics.clone(),
            clock: Arc::new(readiness.clock),
            places: Places::default(),
            seed: seed(),
        };
        readiness.feed.attach(
            readiness.reach.dataset().map(|view| Arc::new(StoredHistory::new(view)) as Arc<dyn History>),
        );
        if let Some(to) = range.1 {
            pipeline.metrics.newest(to);
        }
        let cluster = match &settings.cluster {
            Some(cluster) => Some(ClusterNode::start(cluster, &pipeline, readiness.regions.clone()).await?),
            None => None,
        };
        Ok(Self { settings, readiness, state, audit, working, range, pipeline, goal, cluster })
    }

    /// Runs until every ledger of the range is durable, or `interrupted`, or it cannot go on. `watch` is polled beside it.
    ///
    /// # Errors
    ///
    /// It cannot go on; or [`Failure::Interrupted`]: it was told to stop, and did not in time.
    pub(crate) async fn run(
        self,
        interrupted: BoxFuture<'_, ()>,
        watch: BoxFuture<'_, ()>,
    ) -> Result<Ended, Failure> {
        let noted = self.state.parked.reasons()?;
        let parked = Arc::new(Parked::new(&self.settings.pipeline, noted, self.readiness.parked.clone()));
        let tree = self.tree(&parked)?;
        let clock = Arc::new(SystemClock::new());
        let observer = parked.observer(self.state.clone());
        let handle = SupervisorHandle::start(tree, clock, seed(), Some(observer))
            .await
            .map_err(|error| Failure::Bug(error.to_string()))?;
        self.readiness.enter(Phase::Running);
        let control = Control::new(&self, &handle, &parked);
        let assignee = self.assignee(&handle);
        let why = self.until_end(&handle, &control, &assignee, &parked, interrupted, watch).await;
        let outcome = match why {
            Why::TreeEnded(ExitReason::Failed(error)) => Err(error.into()),
            Why::TreeEnded(ExitReason::Normal | ExitReason::Shutdown) => Ok(Ended::Complete),
            // The report of it came just before, and the root ends with the last pipeline.
            Why::TreeEnded(ExitReason::Parked(reason)) => Err(self.parked(parked.reason().unwrap_or(reason))),
            Why::TreeEnded(other) => Err(Failure::Bug(other.to_string())),
            Why::Over(outcome) => {
                handle.stop(self.settings.stop_within).await;
                outcome
            }
            Why::Told => self.drain(&handle, &control, &assignee).await,
        };
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        if let Err(error) = self.state.flush() {
            tracing::warn!(%error, "the node's own state is not all written; the dataset has what counts");
        }
        outcome
    }

    async fn until_end(
        &self,
        handle: &SupervisorHandle,
        control: &Control<'_>,
        assignee: &Assignee,
        parked: &Parked,
        interrupted: BoxFuture<'_, ()>,
        watch: BoxFuture<'_, ()>,
    ) -> Why {
        tokio::select! {
            reason = handle.join() => Why::TreeEnded(reason),
            () = interrupted => Why::Told,
            failure = control::serve(control).boxed() => Why::Over(Err(failure)),
            served = self.serve_cluster(control, assignee).boxed() => match served {
                Ok(Served::Complete) => Why::Over(Ok(Ended::Complete)),
                Ok(Served::Drain) => Why::Told,
                Err(failure) => Why::Over(Err(failure)),
            },
            reason = parked.wait(), if self.goal != Goal::Follow => Why::Over(Err(self.parked(reason))),
            () = parked.ended() => Why::Over(Ok(Ended::Complete)),
            () = watch => Why::Told,
            () = observed::follow(handle) => Why::Told,
            () = self.readiness.reach.answer(|question| self.tell(question, control).boxed()) => Why::Told,
        }
    }

    /// Hands over what others can do, and ends what is in work.
    async fn drain(
        &self,
        handle: &SupervisorHandle,
        control: &Control<'_>,
        assignee: &Assignee,
    ) -> Result<Ended, Failure> {
        tracing::info!("stopping: what is in work is finished");
        self.readiness.enter(Phase::Stopping);
        if let Some(cluster) = &self.cluster {
            cluster.hand_over(control, assignee).await;
        }
        match handle.stop(self.settings.stop_within).await {
            ExitReason::Normal | ExitReason::Shutdown | ExitReason::Parked(_) => {
                Ok(Ended::Drained { durable: self.durable().await })
            }
            ExitReason::Failed(error) => Err(error.into()),
            _ => Err(Failure::Interrupted),
        }
    }

    /// How far the dataset is: others may have gone on where this node left off. What this node knows, if it cannot be read.
    async fn durable(&self) -> Option<LedgerSequence> {
        let settings = self.pipeline.settings.of_existing();
        let read =
            tokio::time::timeout(DURABLE_WITHIN, opening::last_durable(&self.pipeline.dataset, &settings));
        let known = u32::try_from(self.pipeline.metrics.counts().checkpoint).ok().filter(|known| *known > 0);
        match read.await {
            Ok(Ok(last)) => last.max(known.map(LedgerSequence)),
            Ok(Err(_)) | Err(_) => known.map(LedgerSequence),
        }
    }

    fn assignee(&self, handle: &SupervisorHandle) -> Assignee {
        let places = self.cluster.as_ref().map(ClusterNode::places);
        Assignee::new(handle.clone(), self.pipeline.clone(), move |task| {
            places.as_ref().map_or_else(|| Some(Places::default()), |places| places(task))
        })
    }

    /// Ends what troubled its pipeline before the dataset had every ledger up to `durable`.
    pub(crate) fn mend(&self, durable: LedgerSequence) -> Result<(), StateError> {
        let Some(place) = self.pipeline.dataset.place() else { return Ok(()) };
        for ledger in self.state.mend(&self.settings.pipeline, place, durable)? {
            tracing::info!(%ledger, "others made a quarantined ledger durable; it leaves the quarantine");
        }
        Ok(())
    }

    /// What crosses to and from other nodes, if there are any.
    pub(crate) fn exchange_counts(&self) -> Option<ExchangeCounts> {
        self.cluster.as_ref().map(ClusterNode::exchange_counts)
    }

    /// Takes part in the cluster, if there is one.
    async fn serve_cluster(&self, control: &Control<'_>, assignee: &Assignee) -> Result<Served, Failure> {
        match &self.cluster {
            Some(cluster) => cluster.serve(control, assignee).await,
            None => std::future::pending().await,
        }
    }

    /// That the pipeline is parked, and what to do about it: whether it stays so over a restart depends on why.
    fn parked(&self, reason: String) -> Failure {
        let pipeline = self.settings.pipeline.clone();
        let (reason, fix) = match self.state.parked.reason(&pipeline) {
            Ok(None) => (reason, "when its cause is mended, run the same again to go on".to_owned()),
            Ok(Some(noted)) => (noted, self.resumed(&pipeline)),
            Err(_) => (reason, self.resumed(&pipeline)),
        };
        Failure::Parked { pipeline, reason, fix }
    }

    /// How a pipeline goes on that stays parked.
    fn resumed(&self, pipeline: &str) -> String {
        let is_ours = |name: &str| name == pipeline || task_of(name, pipeline).is_some();
        let is_evident = |entries: Vec<Quarantined>| entries.iter().any(|entry| is_ours(&entry.pipeline));
        let evidence = match self.state.quarantine.list().is_ok_and(is_evident) {
            true => "`orrery quarantine list` shows the evidence; ",
            false => "",
        };
        format!("{evidence}when its cause is mended, `orrery resume {pipeline}` and the same again go on")
    }

    /// The supervision tree of design.md, as far as it exists.
    fn tree(&self, parked: &Parked) -> Result<SupervisorSpec, Failure> {
        let intensity = RestartIntensity::new(RESTARTS_MAX, RESTARTS_PERIOD)
            .map_err(|error| Failure::Bug(error.to_string()))?;
        let ends = if self.goal == Goal::Follow { EndWhen::Told } else { EndWhen::AllEnded };
        let pipeline = self.settings.pipeline.as_str();
        if let Some(reason) = parked.reason() {
            if self.goal != Goal::Follow {
                return Err(self.parked(reason));
            }
            // Why stands in the refusal to start it.
            tracing::error!(pipeline, "pipeline is parked; see orrery quarantine list, orrery resume");
        }
        for (task, reason) in parked.tasks() {
            tracing::error!(pipeline, %task, reason, "task is parked; see orrery quarantine list, orrery resume");
        }
        // A parked one refuses to start, until it is resumed. In a cluster it gets its ledgers from the coordinator.
        let spec = match self.cluster {
            Some(_) => SupervisorSpec::new(pipeline, Strategy::OneForOne, intensity),
            None => self.pipeline.clone().spec()?,
        };
        let child = ChildSpec::supervisor(spec).restart(Restart::Transient);
        let pipelines =
            SupervisorSpec::new("pipelines", Strategy::OneForOne, intensity).end_when(ends).child(child);
        let pipelines = ChildSpec::supervisor(pipelines).restart(Restart::Transient).on(self.working.clone());
        let node = SupervisorSpec::new("node", Strategy::OneForOne, intensity).end_when(ends);
        let Some(cluster) = &self.cluster else { return Ok(node.child(pipelines)) };
        let node =
            node.child(cluster.child(intensity, &self.pipeline, &self.audit, &self.working)).child(pipelines);
        let region = self.settings.region.as_ref();
        let derives = !region.is_some_and(RegionSettings::copies_only);
        let coordinator = cluster.coordinator(&self.pipeline, self.range.1, derives);
        let replication = region
            .and_then(|region| cluster.replication(region, &self.pipeline, &self.readiness))
            .map(|replication| replication.child(intensity));
        Ok(coordinator.into_iter().chain(replication).fold(node, SupervisorSpec::child))
    }
}
