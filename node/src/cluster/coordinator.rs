//! The region's coordinator as an actor: looks who is there and how far the dataset is, decides, and tells every node.
//!
//! One node's coordinator is active, as its lease says; those of the others stand by. It keeps nothing that it could not
//! find out again: what nodes are at they say themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use orrery_actors::coordinator::{CoordinatorCore, Plan, View, Worker, due_spans, missing_roles};
use orrery_actors::dataset::{DatasetError, DatasetSettings, Store, Table, TableKind};
use orrery_actors::metrics::PipelineMetrics;
use orrery_actors::region::RegionView;
use orrery_actors::source::LedgerStore;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::control::{CallError, Refusal};
use orrery_supervisor::cluster::lease::{Coordination, Epoch};
use orrery_supervisor::cluster::membership::{Member, MemberState};
use orrery_supervisor::cluster::role::Role;
use orrery_supervisor::{Clock, ErrorClass, ExitError, MonotonicTime};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;

use super::concerns::{Concern, Said};
use super::hearing::{Hearing, Readers, Reports};
use super::message::{Ask, Assignment, Report, Told};
use super::newer::Newer;
use super::peers::Peers;
use super::settings::TASKS_MAX;
use crate::telemetry;

/// Between two decisions: what a node that has nothing to do waits for more, on average half of it. Each costs two requests to
/// the store of the dataset.
const ROUND_EVERY: Duration = Duration::from_millis(200);

/// A node that does not answer sooner gets nothing new in this round.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// A source that does not tell it sooner is asked again later: nodes wait for what they are to do.
const TIP_WITHIN: Duration = Duration::from_secs(2);

/// Between two looks at the newest ledger of the sources.
const TIP_EVERY: Duration = Duration::from_secs(2);

/// What it is made from.
#[derive(Clone)]
pub(crate) struct CoordinatorSettings {
    pub(crate) peers: Peers,
    /// Whether this node is the active one.
    pub(crate) coordination: watch::Receiver<Coordination>,
    /// Passphrase of the ledgers' network.
    pub(crate) network: String,
    /// In order of preference; the first that tells its newest ledger is believed.
    pub(crate) sources: Vec<Arc<dyn LedgerStore>>,
    pub(crate) dataset: Store,
    /// What the dataset is, or becomes.
    pub(crate) settings: DatasetSettings,
    /// The last ledger; `None` goes on for ever.
    pub(crate) to: Option<LedgerSequence>,
    /// Whether ledgers are derived here at all: a region that only copies has nothing to share out.
    pub(crate) derives: bool,
    /// What all nodes are told of this region and its peers, if it has any.
    pub(crate) regions: watch::Receiver<Option<RegionView>>,
    /// Where it notes what a person should know while it is the active one.
    pub(crate) concerns: watch::Sender<Vec<String>>,
    /// And which nodes serve readers, as they said last.
    pub(crate) readers: watch::Sender<Option<Readers>>,
    /// Where it notes the newest ledger, for whoever asks for the lag.
    pub(crate) metrics: Arc<PipelineMetrics>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The actor.
pub(crate) struct Coordinator;

/// Time for another round.
#[derive(Debug)]
pub(crate) struct Round;

impl ractor::Message for Round {}

/// What it holds while it runs.
pub(crate) struct CoordinatorState {
    settings: CoordinatorSettings,
    active: Option<Active>,
    newer: Newer,
}

/// What it holds while it is the active one.
struct Active {
    epoch: u64,
    tables: Vec<Table>,
    core: CoordinatorCore,
    hearing: Hearing,
    /// The newest ledger of the sources, and when it was asked for.
    newest: Option<(LedgerSequence, MonotonicTime)>,
    /// Roles that nobody has.
    missing: Vec<Role>,
    /// Who refuses, having heard of a newer coordinator, and of which epoch that is.
    elsewhere: BTreeMap<NodeName, u64>,
    said: Said,
}

impl Actor for Coordinator {
    type Msg = Round;
    type State = CoordinatorState;
    type Arguments = CoordinatorSettings;

    async fn pre_start(
        &self,
        myself: ActorRef<Round>,
        settings: CoordinatorSettings,
    ) -> Result<CoordinatorState, ActorProcessingErr> {
        myself.send_message(Round)?;
        Ok(CoordinatorState { settings, active: None, newer: Newer::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Round>,
        _: Round,
        state: &mut CoordinatorState,
    ) -> Result<(), ActorProcessingErr> {
        state.round().await?;
        myself.send_after(ROUND_EVERY, || Round);
        Ok(())
    }
}

impl CoordinatorState {
    async fn round(&mut self) -> Result<(), ExitError> {
        let members = self.settings.peers.members();
        let active = self.settings.coordination.borrow().active;
        let Some(epoch) = active.map(Epoch::get) else {
            if self.active.take().is_some() {
                tracing::info!("another coordinator is active, this one stands by");
                self.settings.concern(&[]);
                self.settings.readers.send_replace(None);
            }
            return Ok(());
        };
        if self.newer.waits(epoch, self.settings.clock.now()) {
            return Ok(());
        }
        if self.active.as_ref().is_none_or(|active| active.epoch != epoch) {
            let Some(active) = self.begin(epoch).await? else { return Ok(()) };
            self.active = Some(active);
        }
        if let Err(error) = self.open_copied().await {
            return passing(error, "open a table that was copied");
        }
        let Some(active) = &mut self.active else { return Ok(()) };
        for table in &mut active.tables {
            if let Err(error) = table.look().await {
                return passing(error, "follow the dataset");
            }
        }
        active.look_at_sources(&self.settings).await;
        if !active.hearing.is_enough(&members, self.settings.clock.now()) {
            active.listen(&self.settings).await;
            return Ok(());
        }
        let plan = active.decide(&self.settings, members.iter());
        active.tell(&self.settings, plan).await;
        self.settings.readers.send_replace(Some(active.hearing.readers()));
        let newer = active.elsewhere.values().max().copied();
        match newer.filter(|newer| self.newer.heard(epoch, *newer, self.settings.clock.now())) {
            Some(newer) => {
                tracing::warn!(
                    epoch,
                    newer,
                    "a newer coordinator was heard of: this one stands by until its lease is read"
                );
                self.active = None;
                self.settings.concern(&[]);
            }
            None => active.note_concerns(&self.settings),
        }
        Ok(())
    }

    /// Opens the tables, makes them if they are not there, and hears what nodes are at. `None` if that cannot be done now.
    async fn begin(&self, epoch: u64) -> Result<Option<Active>, ExitError> {
        let mut tables = Vec::new();
        for kind in [TableKind::TokenTransfers, TableKind::Ledgers] {
            match self.open(kind).await {
                Ok(table) => tables.push(table),
                // It comes from another region.
                Err(DatasetError::NoTable { .. }) if !self.settings.derives => {}
                Err(error) => return passing(error, "open the dataset").map(|()| None),
            }
        }
        let hearing = Hearing::new(self.settings.clock.now(), epoch == Epoch::FIRST.get());
        let mut active = Active {
            epoch,
            tables,
            core: CoordinatorCore::default(),
            hearing,
            newest: None,
            missing: Vec::new(),
            elsewhere: BTreeMap::new(),
            said: Said::default(),
        };
        active.listen(&self.settings).await;
        tracing::info!(epoch, next = active.next().map(|next| next.0), "coordinator is active");
        Ok(Some(active))
    }

    /// Opens tables that have come from another region meanwhile.
    async fn open_copied(&mut self) -> Result<(), DatasetError> {
        let has = |kind| {
            self.active.as_ref().is_none_or(|active| active.tables.iter().any(|table| table.kind() == kind))
        };
        let missing = TableKind::ALL.into_iter().filter(|kind| !has(*kind));
        for kind in missing.collect::<Vec<_>>() {
            match Table::open(&self.settings.dataset, kind, &self.settings.settings.of_existing()).await {
                Err(DatasetError::NoTable { .. }) => {}
                opened => {
                    let table = opened?;
                    if let Some(active) = &mut self.active {
                        active.tables.push(table);
                    }
                }
            }
        }
        Ok(())
    }

    /// A table that is there is taken as it is: what this node thought when it started may have been overtaken by others.
    async fn open(&self, kind: TableKind) -> Result<Table, DatasetError> {
        let CoordinatorSettings { dataset, settings, .. } = &self.settings;
        let existing = settings.of_existing();
        match Table::open(dataset, kind, &existing).await {
            Err(DatasetError::NoTable { .. }) if self.settings.derives => {
                Table::open(dataset, kind, settings).await
            }
            opened => opened,
        }
    }
}

impl CoordinatorSettings {
    /// Shows what a person should know, in place of what was shown before.
    fn concern(&self, concerns: &[Concern]) {
        let missing = concerns.iter().find_map(|concern| match concern {
            Concern::Missing { roles, .. } => Some(roles.as_slice()),
            Concern::Idle(_) | Concern::Parked(..) | Concern::Elsewhere(..) => None,
        });
        telemetry::set_missing(missing.unwrap_or_default());
        let concerns: Vec<String> = concerns.iter().map(Concern::to_string).collect();
        self.concerns.send_if_modified(|shown| {
            let is_new = *shown != concerns;
            *shown = concerns;
            is_new
        });
    }
}

impl Active {
    /// The first ledger that not both tables have.
    fn next(&self) -> Option<LedgerSequence> {
        if self.tables.len() < TableKind::ALL.len() {
            return None;
        }
        self.tables.iter().map(|table| table.tip().next_ledger).min()
    }

    /// Asks every node how it is that has not said so yet.
    async fn listen(&mut self, settings: &CoordinatorSettings) {
        let unheard = self.hearing.unheard(&settings.peers.members());
        let asked = unheard.into_iter().map(|name| async move {
            let told = settings.peers.ask(&name, &Ask::Report, ANSWER_WITHIN).await;
            (name, told)
        });
        for (name, told) in join_all(asked).await {
            if let Ok(Told::Report(report)) = told {
                self.hearing.note(name, report);
            }
        }
    }

    async fn look_at_sources(&mut self, settings: &CoordinatorSettings) {
        let now = settings.clock.now();
        let is_fresh = self.newest.is_some_and(|(_, at)| now.since(at) < TIP_EVERY);
        if settings.to.is_some() || is_fresh {
            return;
        }
        let known = self.newest.map(|(newest, _)| newest);
        for source in &settings.sources {
            match tokio::time::timeout(TIP_WITHIN, source.tip(known)).await {
                // A source that is behind another one takes nothing back.
                Ok(Ok(newest)) => {
                    self.newest =
                        Some((known.map_or(newest, |known| known.max(newest)), settings.clock.now()));
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, source = source.name(), "cannot tell the newest ledger");
                }
                Err(_) => {
                    tracing::warn!(source = source.name(), within = ?TIP_WITHIN, "does not tell the newest ledger");
                }
            }
        }
        // Asked again later, with what was known.
        self.newest = known.map(|known| (known, settings.clock.now()));
    }

    /// Who is to do what.
    fn decide<'a>(
        &mut self,
        settings: &CoordinatorSettings,
        members: impl Iterator<Item = &'a Member>,
    ) -> Plan {
        if let Some(newest) = self.newest.map(|(newest, _)| newest).or(settings.to) {
            settings.metrics.newest(newest);
        }
        let workers: Vec<Worker> = members.map(|member| self.worker(member)).collect();
        self.missing = missing_roles(&workers);
        // No more than there is room for: a span behind one that nobody has would wait for it.
        let able = workers.iter().filter(|worker| worker.is_ready && worker.processes);
        let count = able.map(|worker| worker.capacity as usize).sum();
        let spans =
            match (self.next(), self.tables.first(), self.newest.map(|(newest, _)| newest).or(settings.to)) {
                (Some(next), Some(table), Some(newest)) if settings.derives => {
                    due_spans(|first| table.range_at(first, settings.to), next, settings.to, newest, count)
                }
                _ => Vec::new(),
            };
        self.core.plan(&View { spans, workers })
    }

    /// Notes why ledgers wait, if any do.
    fn note_concerns(&mut self, settings: &CoordinatorSettings) {
        let newest = self.newest.map(|(newest, _)| newest).or(settings.to);
        let ledgers =
            newest.zip(self.next()).map_or(0, |(newest, next)| (newest.0 + 1).saturating_sub(next.0));
        let mut concerns = Vec::new();
        if ledgers > 0 && !self.missing.is_empty() {
            concerns.push(Concern::Missing { roles: self.missing.clone(), ledgers });
        }
        concerns.extend(self.core.passed_over().cloned().map(Concern::Idle));
        concerns
            .extend(self.hearing.parked().map(|(node, why)| Concern::Parked(node.clone(), why.to_owned())));
        concerns.extend(self.elsewhere.iter().map(|(node, epoch)| Concern::Elsewhere(node.clone(), *epoch)));
        for concern in self.said.due(&concerns, settings.clock.now()) {
            tracing::warn!("{concern}");
        }
        settings.concern(&concerns);
    }

    fn worker(&self, member: &Member) -> Worker {
        let name = &member.identity.name;
        let heard = self.hearing.of(name);
        let is_parked = heard.is_some_and(|report| report.parked.is_some() || report.is_draining);
        let running = |report: &Report| report.tasks.iter().map(|task| task.id).collect();
        let roles = &member.profile.roles;
        Worker {
            name: name.clone(),
            fetches: roles.contains(Role::Fetcher),
            processes: roles.contains(Role::Processor),
            writes: roles.contains(Role::Sink),
            // What a node says of itself is not believed without bounds.
            capacity: member.profile.capacity.min(TASKS_MAX),
            load: member.load,
            // A suspect keeps what it has: it may be back before others have caught up.
            is_ready: self.hearing.answers(name) && !member.draining && !is_parked,
            answered: self.hearing.has_answered(name),
            takes_more: member.state == MemberState::Alive,
            running: heard.map(running).unwrap_or_default(),
            parked: heard.map(|report| report.parked_tasks.iter().copied().collect()).unwrap_or_default(),
        }
    }

    /// Tells every node what to do, and notes what each answers.
    async fn tell(&mut self, settings: &CoordinatorSettings, plan: Plan) {
        let is_complete = match (self.next(), settings.to) {
            (Some(next), Some(to)) => next > to,
            _ => false,
        };
        let is_outvoted = self.hearing.is_outvoted();
        let identity = settings.peers.members().me().clone();
        let (next, to) = (self.next().map(|next| next.0), settings.to.map(|to| to.0));
        let me = identity.name.clone();
        let regions = settings.regions.borrow().clone().map(Box::new);
        // Who copies may be told by the tables alone.
        let of_tables = || self.tables.first().map(|table| table.configuration().network_passphrase.clone());
        let network = Some(settings.network.clone()).filter(|known| !known.is_empty()).or_else(of_tables);
        let network = network.unwrap_or_default();
        let present: BTreeSet<NodeName> = plan.keys().cloned().collect();
        let members = settings.peers.members();
        let leaves = |name: &NodeName| {
            // By its membership too: one of its name that has just come begins with nothing.
            members.get(name).is_some_and(|member| member.draining) && self.hearing.has_left_off(name)
        };
        let plan = plan.into_iter().filter(|(name, tasks)| !(tasks.is_empty() && leaves(name)));
        let asked = plan.map(|(name, tasks)| {
            if !is_complete && !self.hearing.has_heard(&name) {
                return (name, Ask::Report);
            }
            let (epoch, coordinator) = (self.epoch, identity.to_string());
            let (network, regions) = (network.clone(), regions.clone());
            let assignment = Assignment {
                epoch,
                coordinator,
                network,
                tasks,
                next,
                to,
                is_complete,
                is_outvoted,
                regions,
            };
            (name, Ask::Assign(assignment))
        });
        // This node last when all is done: it may end as soon as it hears so.
        let (last, first): (Vec<_>, Vec<_>) = asked.partition(|(name, _)| is_complete && *name == me);
        let mut answers = Vec::new();
        for group in [first, last] {
            let asked = group.into_iter().map(|(name, ask)| async move {
                let told = settings.peers.ask(&name, &ask, ANSWER_WITHIN).await;
                (name, told)
            });
            answers.extend(join_all(asked).await);
        }
        self.hearing.keep(&present);
        self.elsewhere.clear();
        for (name, told) in answers {
            match told {
                Ok(Told::Report(report)) => {
                    self.hearing.note(name, report);
                }
                Err(CallError::Refused { refusal: Refusal::Stale { current, .. }, .. }) => {
                    // It does nothing for this one.
                    self.hearing.note_silence(&name);
                    self.elsewhere.insert(name, current);
                }
                Ok(other) => tracing::warn!(node = %name, ?other, "no report from the node"),
                Err(error) => {
                    tracing::debug!(node = %name, %error, "the node does not answer");
                    self.hearing.note_silence(&name);
                }
            }
        }
    }
}

/// A dataset that is away is waited for; anything else ends the actor.
fn passing(error: DatasetError, action: &str) -> Result<(), ExitError> {
    use orrery_actors::dataset::DatasetErrorClass as Class;
    let class = match error.class() {
        Class::Unavailable => {
            tracing::warn!(%error, "cannot {action}, trying again");
            return Ok(());
        }
        Class::Usage => ErrorClass::Invalid,
        Class::Data => ErrorClass::Data,
        Class::Bug => ErrorClass::Internal,
    };
    Err(ExitError::new(class, error.to_string()))
}
