//! Ledgers of a simulated network, sources that give them as a test says, and pipelines over both.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use orrery_actors::checkpoint::NodeState;
use orrery_actors::dataset::{DatasetSettings, Grid, Retry, Store, TableKind, verify};
use orrery_actors::ledger::Network;
use orrery_actors::metrics::{PipelineCounts, PipelineMetrics};
use orrery_actors::pipeline::supervised::{PipelineLimits, SupervisedPipeline};
use orrery_actors::pipeline::{Places, Proof};
use orrery_actors::processor::ttp::Mode;
use orrery_actors::source::synthetic::{NETWORK_PASSPHRASE, SyntheticLedgers, SyntheticSpec};
use orrery_actors::source::{AtTip, Fetched, FetchedObject, LedgerStore, SourceError, SourceErrorKind};
use orrery_schemas::{LedgerSequence, RowDigest};
use orrery_supervisor::{
    Backoff, ChildSpec, EndWhen, ExitReason, Outcome, Restart, RestartIntensity, RestartReport, Strategy,
    SupervisorHandle, SupervisorSpec, SystemClock,
};
use tempfile::TempDir;

use crate::objects::Objects;

/// The first ledger of the simulated network, and the last one that is made here.
pub(crate) const FIRST: u32 = 2;
pub(crate) const LAST: u32 = 101;

/// Longer than anything here takes on a busy machine.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// A ledger's XDR, and the digest of the rows it has, which the simulation knows without deriving them.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) xdr: Bytes,
    pub(crate) rows: u64,
    pub(crate) digest: RowDigest,
}

/// Ledgers `FIRST..=LAST` of a network; another seed is another history of the same network.
pub(crate) fn ledgers(seed: u64) -> Arc<Vec<Made>> {
    static MADE: [OnceLock<Arc<Vec<Made>>>; 2] = [const { OnceLock::new() }; 2];
    let make = || {
        let query = format!("seed={seed}&ledgers={}&density=sparse", LAST - FIRST + 1);
        let spec = SyntheticSpec::from_query(&query).unwrap();
        let made = SyntheticLedgers::new(&spec).map(|ledger| Made {
            xdr: ledger.to_xdr().into(),
            rows: ledger.expected.len() as u64,
            digest: RowDigest::of(&ledger.expected),
        });
        Arc::new(made.collect())
    };
    MADE[seed as usize - 1].get_or_init(make).clone()
}

/// What a source does with a request instead of giving what it has.
pub(crate) enum Fault {
    /// Gives these ledgers instead: the network's, or others.
    Gives(Bytes),
    /// Is away, and says so in a way that is worth no immediate retry.
    Away,
}

/// The first ledger asked for, and how many requests for the same came before.
type Rule = dyn Fn(u32, usize) -> Option<Fault> + Send + Sync;

/// Objects of `per_object` ledgers.
pub(crate) struct Source {
    name: &'static str,
    ledgers: Arc<Vec<Made>>,
    per_object: u32,
    rule: Box<Rule>,
    asked: Mutex<Vec<u32>>,
}

impl Source {
    pub(crate) fn new(
        name: &'static str,
        seed: u64,
        per_object: u32,
        rule: impl Fn(u32, usize) -> Option<Fault> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let rule = Box::new(rule);
        Arc::new(Self { name, ledgers: ledgers(seed), per_object, rule, asked: Mutex::default() })
    }

    /// One that gives whatever it is asked for.
    pub(crate) fn sound(per_object: u32) -> Arc<Self> {
        Self::new("sound", 1, per_object, |_, _| None)
    }

    /// First ledgers of all requests so far.
    pub(crate) fn asked(&self) -> Vec<u32> {
        self.asked.lock().unwrap().clone()
    }

    /// The object that holds `range`.
    pub(crate) fn object(&self, range: RangeInclusive<u32>) -> Bytes {
        object(&self.ledgers, range)
    }

    fn reply(&self, range: &RangeInclusive<LedgerSequence>) -> Result<Fetched, SourceError> {
        let first = range.start().0;
        let earlier = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(first);
            asked.iter().filter(|asked| **asked == first).count() - 1
        };
        let fault = (self.rule)(first, earlier);
        if first > LAST {
            return Ok(Fetched::NotYet);
        }
        let named = self.unit(*range.start());
        let bytes = match fault {
            Some(Fault::Away) => {
                // Longer than a stream waits: the fetcher learns of it at once.
                let kind = SourceErrorKind::Throttled { status: 503, after: Some(Duration::from_secs(3600)) };
                return Err(SourceError::new(self.name, kind));
            }
            Some(Fault::Gives(bytes)) => bytes,
            None => self.object(named.start().0..=named.end().0),
        };
        let file = format!("{}/{}-{}", self.name, named.start(), named.end()).into();
        let range = *range.start()..=*range.end().min(named.end());
        Ok(Fetched::Objects(vec![FetchedObject { file, named, range, bytes }]))
    }
}

/// A `LedgerCloseMetaBatch`.
pub(crate) fn object(ledgers: &[Made], range: RangeInclusive<u32>) -> Bytes {
    let part = &ledgers[(range.start() - FIRST) as usize..=(range.end() - FIRST) as usize];
    let head = [*range.start(), *range.end(), part.len() as u32].map(u32::to_be_bytes).concat();
    let all: Vec<_> = [&head[..]].into_iter().chain(part.iter().map(|made| &made.xdr[..])).collect();
    all.concat().into()
}

impl LedgerStore for Source {
    fn name(&self) -> &str {
        self.name
    }

    fn network_passphrase(&self) -> Option<&str> {
        Some(NETWORK_PASSPHRASE)
    }

    fn unit(&self, sequence: LedgerSequence) -> RangeInclusive<LedgerSequence> {
        let first = sequence.0 / self.per_object * self.per_object;
        let last = first + self.per_object - 1;
        LedgerSequence(first.max(FIRST))..=LedgerSequence(last.min(LAST).max(sequence.0))
    }

    fn bytes_estimate(&self, range: &RangeInclusive<LedgerSequence>) -> usize {
        (range.end().0 - range.start().0 + 1) as usize * (64 << 10)
    }

    fn fetch(
        &self,
        range: RangeInclusive<LedgerSequence>,
        _: usize,
    ) -> BoxFuture<'_, Result<Fetched, SourceError>> {
        Box::pin(async move { self.reply(&range) })
    }

    fn oldest(&self) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(async { Ok(LedgerSequence(FIRST)) })
    }

    fn tip(&self, _: Option<LedgerSequence>) -> BoxFuture<'_, Result<LedgerSequence, SourceError>> {
        Box::pin(async { Ok(LedgerSequence(LAST)) })
    }

    fn missing(&self, sequence: LedgerSequence) -> SourceError {
        let kind = SourceErrorKind::MissingLedger { lake: self.name.to_owned(), key: format!("{sequence}") };
        SourceError { ledger: Some(sequence), ..SourceError::new(self.name, kind) }
    }
}

/// Few attempts, and pauses that no test notices.
fn retry() -> Retry {
    Retry::with(4, Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1)).unwrap(), 7)
}

pub(crate) fn over(objects: &Arc<Objects>) -> Store {
    Store::over(objects.clone(), "", retry())
}

/// Settings of a dataset of slots of `width` ledgers.
pub(crate) fn settings(width: u32) -> DatasetSettings {
    DatasetSettings {
        network_passphrase: Some(NETWORK_PASSPHRASE.to_owned()),
        start_ledger: Some(LedgerSequence(FIRST)),
        grid: Some(Grid::uniform(width).unwrap()),
        ..DatasetSettings::default()
    }
}

/// A pipeline of two workers up to ledger `to`, with slots of `width` ledgers.
pub(crate) fn pipeline(
    name: &str,
    sources: &[Arc<Source>],
    objects: &Arc<Objects>,
    width: u32,
    to: u32,
) -> SupervisedPipeline {
    SupervisedPipeline {
        name: name.to_owned(),
        task: None,
        stores: sources.iter().map(|source| source.clone() as Arc<dyn LedgerStore>).collect(),
        network: Network::new(NETWORK_PASSPHRASE),
        mode: Mode::Auto,
        proof: Proof::Hashes,
        dataset: over(objects),
        settings: settings(width),
        to: Some(LedgerSequence(to)),
        from: None,
        at_tip: AtTip::Fail,
        refetch_after: Duration::from_millis(1),
        hangs_after: None,
        patience: None,
        limits: PipelineLimits::for_workers(2.try_into().unwrap()),
        state: None,
        feed: None,
        outlet: None,
        metrics: Arc::new(PipelineMetrics::new(name)),
        places: Places::default(),
        clock: Arc::new(SystemClock::new()),
        seed: 1,
    }
}

/// A node's own state, in a folder that ends with it.
pub(crate) fn state() -> (TempDir, NodeState) {
    let folder = tempfile::tempdir().unwrap();
    let state = NodeState::open(folder.path()).unwrap();
    (folder, state)
}

/// Pipelines under one supervisor.
pub(crate) struct Running {
    pub(crate) handle: SupervisorHandle,
    reports: Arc<Mutex<Vec<RestartReport>>>,
}

pub(crate) fn supervisor(pipelines: Vec<SupervisorSpec>) -> SupervisorSpec {
    let intensity = RestartIntensity::new(3, Duration::from_secs(60)).unwrap();
    let root = SupervisorSpec::new("node", Strategy::OneForOne, intensity).end_when(EndWhen::AllEnded);
    let child = |spec| ChildSpec::supervisor(spec).restart(Restart::Transient);
    pipelines.into_iter().fold(root, |root, spec| root.child(child(spec)))
}

pub(crate) async fn start(pipelines: Vec<SupervisedPipeline>) -> Running {
    start_specs(pipelines.into_iter().map(|pipeline| pipeline.spec().unwrap()).collect()).await
}

pub(crate) async fn start_specs(pipelines: Vec<SupervisorSpec>) -> Running {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let noted = reports.clone();
    let observer = Arc::new(move |report: &RestartReport| noted.lock().unwrap().push(report.clone()));
    let clock = Arc::new(SystemClock::new());
    let root = supervisor(pipelines);
    let handle = SupervisorHandle::start(root, clock, 1, Some(observer)).await.unwrap();
    Running { handle, reports }
}

impl Running {
    /// Why it ended, once it has.
    pub(crate) async fn end(&self) -> ExitReason {
        tokio::time::timeout(WITHIN, self.handle.join()).await.expect("it goes on and on")
    }

    /// Runs to its end, and expects that it is a normal one.
    pub(crate) async fn end_normally(&self) {
        let reason = self.end().await;
        assert_eq!(reason, ExitReason::Normal, "{:?}", self.restarts());
    }

    /// What was restarted, and why.
    pub(crate) fn restarts(&self) -> Vec<String> {
        self.told(Outcome::Restarted)
    }

    /// What was parked, and why.
    pub(crate) fn parked(&self) -> Vec<String> {
        self.told(Outcome::Parked)
    }

    fn told(&self, outcome: Outcome) -> Vec<String> {
        let reports = self.reports.lock().unwrap();
        let of = reports.iter().filter(|report| report.outcome == outcome);
        of.map(|report| format!("{}/{}: {}", report.supervisor, report.child, report.reason)).collect()
    }

    /// Waits until `is_so`, looking whenever other tasks have had a turn.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let waiting = async {
            while !is_so() {
                self.turn().await;
            }
        };
        let came = tokio::time::timeout(WITHIN, waiting).await;
        assert!(came.is_ok(), "never came: {what}; restarts {:?}", self.restarts());
    }

    /// Lets every actor have some turns: whatever would still happen by itself has happened then.
    pub(crate) async fn settle(&self) {
        for _ in 0..40 {
            self.turn().await;
        }
    }

    /// Longer than a fetcher waits for ledgers at a time.
    async fn turn(&self) {
        let never = std::future::pending::<()>();
        drop(tokio::time::timeout(Duration::from_millis(12), never).await);
    }
}

/// Waits until the counts are as wanted, and then for whatever might change them.
pub(crate) async fn settled(
    running: &Running,
    metrics: &PipelineMetrics,
    wanted: impl Fn(&PipelineCounts) -> bool,
) -> PipelineCounts {
    running.until("the counts", || wanted(&metrics.counts())).await;
    running.settle().await;
    metrics.counts()
}

/// Both tables are sound and hold the simulation's own rows of ledgers `FIRST..=to`.
pub(crate) async fn check_rows(objects: &Arc<Objects>, to: u32) {
    let ends = check_rows_so_far(objects, to).await;
    assert_eq!(ends, [to, to]);
}

/// Both tables are sound and hold the simulation's own rows from `FIRST` on, and none after `to`. Gives their last ledgers.
pub(crate) async fn check_rows_so_far(objects: &Arc<Objects>, to: u32) -> Vec<u32> {
    let report = verify(&over(objects), &mut |_| {}).await.unwrap();
    let problems: Vec<_> = report.tables.iter().flat_map(|table| &table.problems).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let made = ledgers(1);
    let mut ends = Vec::new();
    for table in report.tables {
        let end = table.ledgers.as_ref().map_or(FIRST - 1, |ledgers| ledgers.end().0);
        assert!(end <= to, "{:?} has {end}, which is not right", table.kind);
        ends.push(end);
        let part = &made[..(end - FIRST + 1) as usize];
        let mut digest = RowDigest::default();
        part.iter().for_each(|made| digest.add(&made.digest));
        match table.kind {
            TableKind::Ledgers => assert_eq!(table.rows, part.len() as u64),
            TableKind::TokenTransfers => {
                assert_eq!(table.rows, part.iter().map(|made| made.rows).sum::<u64>());
                assert_eq!(table.digest, digest);
            }
        }
    }
    ends
}
