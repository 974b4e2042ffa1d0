//! Whether a node does its work, for whoever sends it traffic or watches over it: `/readyz`.
//!
//! Ready is not the same as alive. A node that waits for its sources or its dataset is alive, and a restart would help
//! nobody; so `/healthz` says only that the process turns, and everything that is told here is no reason to end it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use orrery_actors::checkpoint::Writes;
use orrery_actors::dataset::DatasetUrl;
use orrery_actors::feed::{Hub, HubLimits};
use orrery_actors::metrics::{Outages, PipelineMetrics};
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::parked::Reasons;
use crate::reach::Reach;
use crate::region::Regions;
use crate::serve::HashedToken;
use crate::service_manager::ServiceManager;
use crate::settings::Settings;
use crate::telemetry::observed;

/// A coordinator that was refused speaks again much sooner.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// In the node's folder: while it is there, traffic belongs elsewhere. What is in it says why.
const OUT_OF_TRAFFIC: &str = "out-of-traffic";

/// Bytes of it that are told.
const WHY_BYTES_MAX: u64 = 512;

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its sources and its dataset are being opened, for as long as they are away.
    Starting,
    /// Its tree runs.
    Running,
    /// It was told to stop and ends what is in work.
    Stopping,
}

/// What a node tells of itself while it runs. The node writes, `/readyz` reads.
pub(crate) struct Readiness {
    node: String,
    pipeline: String,
    /// An outage that is shorter is no news: stores and sources restart.
    unready_after: Duration,
    /// There while an operator wants no traffic here.
    out_of_traffic: PathBuf,
    pub(crate) clock: SystemClock,
    pub(crate) metrics: Arc<PipelineMetrics>,
    /// The way to the node, for HTTP.
    pub(crate) reach: Reach,
    /// What it processes and stores, for readers of the feed.
    pub(crate) feed: Arc<Hub>,
    /// Whose tokens are let in since the node was told to look again.
    pub(crate) renewed: watch::Sender<Arc<[HashedToken]>>,
    /// This region and its peers.
    pub(crate) regions: Regions,
    /// What is parked, and why.
    pub(crate) parked: watch::Sender<Reasons>,
    /// Who started the process, told of its phases.
    pub(crate) service_manager: ServiceManager,
    /// What coordinators said.
    orders: Mutex<Orders>,
    phase: Mutex<Phase>,
    volumes: Vec<(&'static str, PathBuf)>,
    /// Of the node's state, since it was opened.
    writes: OnceLock<Writes>,
}

/// Why a node does not do what a coordinator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// For programs: `other_dataset` or `other_network`.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) detail: String,
}

/// What coordinators said last.
#[derive(Clone, Debug, Default)]
struct Orders {
    /// What the node did not do, why, and when it was told so.
    refused: Option<(Refused, MonotonicTime)>,
    /// When it did what it was told.
    obeyed: Option<MonotonicTime>,
}

impl Orders {
    /// Why the node did not do lately what a coordinator said, and whether it does what another one says: then the first is a
    /// stranger, and the node is as well as before.
    fn refused(&self, now: MonotonicTime) -> Option<(&Refused, bool)> {
        let is_recent = |at: &MonotonicTime| now.since(*at) < REFUSED_FOR;
        let (refused, _) = self.refused.as_ref().filter(|(_, at)| is_recent(at))?;
        Some((refused, self.obeyed.as_ref().is_some_and(is_recent)))
    }
}

/// What is seen at one moment.
#[derive(Clone, Debug)]
struct Seen {
    phase: Phase,
    parked: Reasons,
    refused: Option<Refused>,
    is_gone: bool,
    outages: Outages,
    now: MonotonicTime,
}

impl Readiness {
    /// Of a node that begins.
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            node: settings.name.clone(),
            pipeline: settings.pipeline.clone(),
            unready_after: settings.unready_after,
            clock: SystemClock::new(),
            metrics: Arc::new(PipelineMetrics::new(settings.pipeline.as_str())),
            reach: Reach::default(),
            feed: Arc::new(Hub::new(HubLimits::default())),
            regions: Regions::new(settings.region.is_some()),
            renewed: watch::Sender::new([].into()),
            out_of_traffic: settings.data_dir.join(OUT_OF_TRAFFIC),
            parked: watch::Sender::default(),
            service_manager: ServiceManager::of_this_process(),
            orders: Mutex::default(),
            phase: Mutex::new(Phase::Starting),
            volumes: volumes(settings),
            writes: OnceLock::new(),
        })
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The node goes on to another phase.
    pub(crate) fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.service_manager.entered(phase);
        // Only now: who looks whether the node is ready, before it sends readers here again, sees that it is not.
        if phase == Phase::Stopping {
            self.feed.close();
        }
    }

    /// Whether sources and dataset were opened.
    pub(crate) fn has_begun(&self) -> bool {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) != Phase::Starting
    }

    /// Notes why the node does not do what a coordinator says now.
    pub(crate) fn refuse(&self, refused: Refused) {
        self.orders().refused = Some((refused, self.clock.now()));
    }

    /// Notes that the node does what a coordinator says now.
    pub(crate) fn obey(&self) {
        self.orders().obeyed = Some(self.clock.now());
    }

    /// Why it did not lately, if so, and it does what no other one says.
    pub(crate) fn refused(&self) -> Option<Refused> {
        let orders = self.orders();
        orders.refused(self.clock.now()).filter(|(_, obeys)| !obeys).map(|(refused, _)| refused.clone())
    }

    /// Why it did not lately what a coordinator said, if so, while it does what another one says.
    pub(crate) fn stranger(&self) -> Option<Refused> {
        let orders = self.orders();
        orders.refused(self.clock.now()).filter(|(_, obeys)| *obeys).map(|(refused, _)| refused.clone())
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether traffic belongs here, and if not, why: the node is not ready, an operator has taken it out, or it belongs to
    /// another region.
    pub(crate) fn traffic(&self) -> (bool, Value) {
        let mut reasons = self.reasons();
        if let Some(why) = self.out_of_traffic() {
            reasons.push(json!({ "reason": "out_of_traffic", "pipeline": self.pipeline, "detail": why }));
        }
        if let Some(why) = self.regions.elsewhere() {
            reasons.push(json!({ "reason": "other_region", "pipeline": self.pipeline, "detail": why }));
        }
        match reasons.is_empty() {
            true => (true, self.regions.with_share(json!({ "traffic": true }))),
            false => (false, json!({ "traffic": false, "reasons": reasons })),
        }
    }

    /// Why an operator wants no traffic here, if so.
    fn out_of_traffic(&self) -> Option<String> {
        let file = match File::open(&self.out_of_traffic) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // It is there, whatever it says.
            Err(error) => return Some(format!("{}: {error}", self.out_of_traffic.display())),
        };
        let mut why = Vec::new();
        // A file that cannot be read says nothing, and is there.
        let _ = file.take(WHY_BYTES_MAX).read_to_end(&mut why);
        let why = String::from_utf8_lossy(&why);
        let why = if why.trim().is_empty() { "an operator has taken the node out" } else { why.trim() };
        Some(format!("{why}; traffic comes back when {} is deleted", self.out_of_traffic.display()))
    }

    /// The node's state was opened.
    pub(crate) fn watch(&self, writes: Writes) {
        // Once for a node; another would be the same.
        let _ = self.writes.set(writes);
    }

    /// What a person should see to, though the node does its work.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.writes.get().and_then(Writes::refused).into_iter().chain(self.regions.warnings()).collect()
    }

    /// The answer, and whether it is that the node is ready.
    pub(crate) fn answer(&self) -> (bool, Value) {
        let reasons = self.reasons();
        let (is_ready, mut answer) = match reasons.is_empty() {
            true => (true, json!({ "ready": true })),
            false => (false, json!({ "ready": false, "reasons": reasons })),
        };
        let warnings = self.warnings();
        if !warnings.is_empty() {
            answer["warnings"] = json!(warnings);
        }
        (is_ready, answer)
    }

    /// Tells the same to whoever counts.
    pub(crate) fn tell(&self) {
        let reasons = self.reasons();
        let names = reasons.iter().filter_map(|reason| reason["reason"].as_str());
        observed::set_readiness(
            names.collect::<Vec<_>>().as_slice(),
            self.traffic().0,
            self.warnings().len(),
        );
    }

    /// Disks that the node needs.
    pub(crate) fn volumes(&self) -> Vec<(&'static str, PathBuf)> {
        self.volumes.clone()
    }

    fn reasons(&self) -> Vec<Value> {
        let seen = Seen {
            phase: *self.phase.lock().unwrap_or_else(PoisonError::into_inner),
            parked: self.parked.borrow().clone(),
            refused: self.refused(),
            is_gone: self.reach.dataset().is_some_and(|dataset| dataset.is_gone()),
            outages: self.metrics.outages(),
            now: self.clock.now(),
        };
        reasons(&seen, &self.pipeline, self.unready_after)
    }
}

/// Where the node's state is, and the dataset, if that is on a disk.
fn volumes(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let state = [("state", settings.data_dir.clone())];
    let dataset = match &settings.dataset {
        DatasetUrl::File(path) => Some(("dataset", path.clone())),
        _ => None,
    };
    state.into_iter().chain(dataset).collect()
}

/// Why a node is not ready; empty if it is.
fn reasons(seen: &Seen, pipeline: &str, unready_after: Duration) -> Vec<Value> {
    let reason = |why: &str, detail: &str| json!({ "reason": why, "pipeline": pipeline, "detail": detail });
    let mut reasons = Vec::new();
    match seen.phase {
        Phase::Starting => reasons.push(reason("starting", "sources and dataset are being opened")),
        Phase::Stopping => {
            reasons.push(reason("draining", "what is in work is finished, readers go elsewhere"))
        }
        Phase::Running => {}
    }
    for (name, why) in &seen.parked {
        reasons.push(json!({ "reason": "parked", "pipeline": name, "detail": why }));
    }
    reasons.extend(seen.refused.iter().map(|refused| reason(refused.reason, &refused.detail)));
    if seen.is_gone {
        let fix = "its log has been deleted, or its disk is not mounted: stop the node before it writes more, bring the \
                   dataset back, and start it again";
        reasons.push(reason("dataset_gone", fix));
    }
    let outages = [
        ("source_outage", "no source gives the ledger that is due", seen.outages.sources),
        ("dataset_outage", "the dataset cannot be read or written", seen.outages.dataset),
    ];
    for (why, detail, since) in outages {
        // What is parked asks for nothing, so that nothing can show that an outage is over.
        let Some(since) = since.filter(|_| !seen.parked.contains_key(pipeline)) else { continue };
        let lasts = seen.now.since(since);
        if lasts > unready_after {
            let mut reason = reason(why, detail);
            reason["seconds"] = json!(lasts.as_secs());
            reasons.push(reason);
        }
    }
    reasons
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a node that will never be there.
    pub(crate) fn of_nobody() -> Arc<Readiness> {
        let mut config = crate::config::Config::default();
        config.source.urls = vec!["synthetic:?ledgers=1".to_owned()];
        config.dataset.url = "memory://".to_owned();
        Readiness::new(&Settings::new(&config).unwrap())
    }

    /// One that runs.
    pub(crate) fn whose_state_disk_is_full() -> Arc<Readiness> {
        let (readiness, writes) = (of_nobody(), Writes::default());
        readiness.enter(Phase::Running);
        readiness.watch(writes.clone());
        assert_eq!(readiness.answer(), (true, json!({ "ready": true })));
        let source = io::ErrorKind::StorageFull.into();
        let full = orrery_actors::checkpoint::StateError::Io { path: "data".into(), action: "write", source };
        writes.note::<()>("restart", Err(full));
        readiness
    }

    const LIMIT: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_node_is_ready_while_it_runs_and_nothing_is_away_for_long() {
        let check =
            |phase, parked: Option<&str>, sources: Option<u64>, dataset: Option<u64>, expect: &[&str]| {
                let outages = Outages { sources: sources.map(at), dataset: dataset.map(at) };
                let parked = parked.map(|why| ("main".to_owned(), why.to_owned())).into_iter().collect();
                let seen = Seen { phase, parked, refused: None, is_gone: false, outages, now: at(100) };
                let found = reasons(&seen, "main", LIMIT);
                let names: Vec<_> = found.iter().map(|reason| reason["reason"].as_str().unwrap()).collect();
                assert_eq!(names, expect, "{seen:?}");
                assert!(found.iter().all(|reason| reason["pipeline"] == "main"));
            };
        check(Phase::Starting, None, None, None, &["starting"]);
        check(Phase::Running, None, None, None, &[]);
        check(Phase::Stopping, None, None, None, &["draining"]);
        check(Phase::Running, Some("ledger 9"), None, None, &["parked"]);
        check(Phase::Running, None, Some(40), Some(40), &[]);
        check(Phase::Running, None, Some(39), None, &["source_outage"]);
        check(Phase::Running, None, None, Some(39), &["dataset_outage"]);
        check(Phase::Running, None, Some(0), Some(0), &["source_outage", "dataset_outage"]);
        check(Phase::Running, Some("ledger 9"), Some(0), Some(0), &["parked"]);
        check(Phase::Starting, Some("ledger 9"), None, None, &["starting", "parked"]);
    }

    #[test]
    fn a_coordinator_that_is_refused_matters_to_a_node_that_obeys_no_other() {
        let check = |refused: Option<u64>, obeyed: Option<u64>, expect: Option<bool>| {
            let because = Refused { reason: "other_dataset", detail: "not ours".to_owned() };
            let orders =
                Orders { refused: refused.map(|seconds| (because, at(seconds))), obeyed: obeyed.map(at) };
            let found = orders.refused(at(100)).map(|(_, obeys)| obeys);
            assert_eq!(found, expect, "{orders:?}");
        };
        check(None, Some(100), None);
        check(Some(90), None, None);
        check(Some(91), None, Some(false));
        check(Some(91), Some(90), Some(false));
        check(Some(99), Some(91), Some(true));
    }

    #[test]
    fn a_state_that_cannot_be_written_is_a_warning_and_no_reason_to_send_traffic_elsewhere() {
        let readiness = whose_state_disk_is_full();
        let (is_ready, answer) = readiness.answer();
        let warning = answer["warnings"][0].as_str().unwrap();
        assert!(is_ready && warning.contains("state cannot be written"), "{answer}");
        assert!(readiness.traffic().0);
    }

    #[test]
    fn a_parked_task_is_named_and_hides_no_outage() {
        let parked = [("main/until-20".to_owned(), "ledger 7".to_owned())].into();
        let outages = Outages { sources: None, dataset: Some(at(0)) };
        let refused = Some(Refused { reason: "other_dataset", detail: "not ours".to_owned() });
        let seen = Seen { phase: Phase::Running, parked, refused, is_gone: true, outages, now: at(100) };
        let expect = [
            json!({ "reason": "parked", "pipeline": "main/until-20", "detail": "ledger 7" }),
            json!({ "reason": "other_dataset", "pipeline": "main", "detail": "not ours" }),
        ];
        let found = reasons(&seen, "main", LIMIT);
        assert_eq!(found[..2], expect);
        assert_eq!(
            (&found[2]["reason"], &found[3]["reason"]),
            (&json!("dataset_gone"), &json!("dataset_outage"))
        );
    }
}
