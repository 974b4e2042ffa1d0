//! Opening what a node works on: its sources, its dataset, and where in them it begins.
//!
//! What is away is waited for, as later while the node runs; what is wrong is an error at once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use orrery_actors::dataset::{DatasetError, DatasetSettings, DatasetUrl, Grid, Store, Table, TableKind};
use orrery_actors::ledger::Network;
use orrery_actors::source::{self, LedgerBound, LedgerRange, LedgerStore, SourceError, resolve_range};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{Backoff, Clock, MonotonicTime, SeededRandom, SystemClock};

use crate::environment;
use crate::exit::Failure;
use crate::runner::{Goal, connect, seed};
use crate::settings::Settings;

/// Between looks at what is away.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// Ledgers of a slot where the network is followed: about a minute and a half until rows are durable.
const LIVE_LEDGERS_PER_SLOT: u32 = 16;

/// The tables of a dataset.
const TABLES: [TableKind; 2] = [TableKind::TokenTransfers, TableKind::Ledgers];

/// What a pipeline is made from, as it was found.
pub(crate) struct Opened {
    pub(crate) stores: Vec<Arc<dyn LedgerStore>>,
    pub(crate) network: Network,
    pub(crate) dataset: Store,
    pub(crate) dataset_settings: DatasetSettings,
    /// First and last ledger of the run; the last is `None` without an end.
    pub(crate) range: (LedgerSequence, Option<LedgerSequence>),
}

/// The last ledger that every table of a dataset has; `None` if there is none yet.
///
/// # Errors
///
/// The dataset cannot be read.
pub(crate) async fn last_durable(
    dataset: &Store,
    settings: &DatasetSettings,
) -> Result<Option<LedgerSequence>, DatasetError> {
    let mut last = Some(LedgerSequence(u32::MAX));
    for kind in TABLES {
        let table = Table::open(dataset, kind, settings).await?;
        let (start, next) = (table.configuration().start_ledger, table.tip().next_ledger);
        last = last.min((next > start).then(|| LedgerSequence(next.0 - 1)));
    }
    Ok(last)
}

/// Opens everything, and tries again while something is away and patience lasts.
///
/// # Errors
///
/// What is wrong, or was away for too long.
pub(crate) async fn open(settings: &Settings, goal: Goal) -> Result<Opened, Failure> {
    let backoff =
        Backoff::new(BACKOFF_FIRST, BACKOFF_CAP).map_err(|error| Failure::Bug(error.to_string()))?;
    let (clock, mut random) = (SystemClock::new(), SeededRandom::new(seed()));
    let ignored = settings.without_effect().join(", ");
    if !ignored.is_empty() {
        tracing::warn!(
            ignored,
            "settings without effect: this node has not the role coordinator, and is told what to do; give them to those \
             that have it"
        );
    }
    let mut attempts = 0;
    loop {
        let error = match attempt(settings, goal).await {
            Err(error) if error.is_passing() => error,
            result => return result,
        };
        let waited = clock.now().since(MonotonicTime::ORIGIN);
        if settings.patience.is_some_and(|patience| waited >= patience) {
            return Err(error);
        }
        attempts += 1;
        let delay = backoff.delay(attempts, &mut || random.draw());
        tracing::warn!(%error, attempts, ?delay, "cannot open what the node works on, trying again");
        tokio::time::sleep(delay).await;
    }
}

async fn attempt(settings: &Settings, goal: Goal) -> Result<Opened, Failure> {
    if !settings.needs_all() || !settings.derives() {
        return open_part(settings).await;
    }
    let stores = open_stores(settings).await?;
    let dataset = connect(&settings.dataset)?;
    dataset.self_test().await.map_err(DatasetError::from)?;
    let network = network(settings, &stores)?;
    let opening = Opening { settings, stores: &stores, dataset: &dataset, network: &network, goal };
    let (dataset_settings, from) = opening.dataset_settings().await?;
    let to = opening.last(dataset_settings.start_ledger, from).await?;
    Ok(Opened { stores, network, dataset, dataset_settings, range: (from, to) })
}

/// As [`attempt`], of a node that is told by a coordinator what to do: what its roles need. Whatever the dataset is, it is
/// there before there is anything to do.
async fn open_part(settings: &Settings) -> Result<Opened, Failure> {
    let stores = if settings.needs_sources() { open_stores(settings).await? } else { Vec::new() };
    let dataset = match settings.reads_dataset() {
        true => connect(&settings.dataset)?,
        false => connect(&DatasetUrl::Memory)?,
    };
    if settings.needs_dataset() {
        dataset.self_test().await.map_err(DatasetError::from)?;
    }
    // Who only processes, or only writes, may not know it: the coordinator says so.
    let is_known = !stores.is_empty() || settings.network.is_some();
    let network = if is_known { network(settings, &stores)? } else { Network::new("") };
    let dataset_settings = DatasetSettings {
        network_passphrase: settings.network.clone(),
        slots_per_checkpoint: settings.slots_per_checkpoint,
        ..DatasetSettings::default()
    };
    let range = (LedgerBound::FIRST_CLOSED, None);
    Ok(Opened { stores, network, dataset, dataset_settings, range })
}

/// Asks a source again while what is wrong may pass: a busy one fails single requests.
async fn patiently<T, F: Future<Output = Result<T, SourceError>>>(
    request: impl FnMut() -> F,
) -> Result<T, SourceError> {
    let mut random = SeededRandom::new(seed());
    source::patiently(&mut || random.draw(), request).await
}

/// The sources that are there, in order; one is enough to begin with.
async fn open_stores(settings: &Settings) -> Result<Vec<Arc<dyn LedgerStore>>, Failure> {
    let open = |url| source::open_stores(std::slice::from_ref(url), &environment::variable);
    if let [only] = &settings.sources[..] {
        return Ok(patiently(|| open(only)).await?);
    }
    let opened = settings.sources.iter().map(open);
    let (mut stores, mut away) = (Vec::new(), Vec::new());
    for result in join_all(opened).await {
        match result.map_err(Failure::from) {
            Ok(opened) => stores.extend(opened),
            Err(error) if error.is_passing() => away.push(error),
            Err(error) => return Err(error),
        }
    }
    match (stores.is_empty(), away.pop()) {
        (true, Some(error)) => Err(error),
        (_, error) => {
            for error in error.into_iter().chain(away) {
                tracing::warn!(%error, "a source is away, the node starts without it");
            }
            Ok(stores)
        }
    }
}

/// What is needed to find out what the dataset is and where a run begins.
struct Opening<'a> {
    settings: &'a Settings,
    stores: &'a [Arc<dyn LedgerStore>],
    dataset: &'a Store,
    network: &'a Network,
    goal: Goal,
}

impl Opening<'_> {
    /// What the dataset is or becomes, and the first ledger that it does not have.
    async fn dataset_settings(&self) -> Result<(DatasetSettings, LedgerSequence), Failure> {
        let mut settings = DatasetSettings {
            network_passphrase: Some(self.network.passphrase().to_owned()),
            grid: self.settings.grid.clone(),
            slots_per_checkpoint: self.settings.slots_per_checkpoint,
            ..DatasetSettings::default()
        };
        let mut next = Vec::new();
        for kind in TABLES {
            match Table::open(self.dataset, kind, &settings).await {
                Ok(table) => {
                    settings.start_ledger = Some(table.configuration().start_ledger);
                    settings.grid = settings.grid.or_else(|| Some(table.configuration().grid.clone()));
                    next.push(table.tip().next_ledger);
                }
                Err(DatasetError::NoTable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match (settings.start_ledger, self.settings.from) {
            (Some(start), Some(LedgerBound::Number(from))) if from != start => {
                Err(Failure::Configuration(format!(
                    "source.from: ledger {from}: the dataset begins with ledger {start}; leave it out to go on where the \
                 dataset ends, or name another dataset"
                )))
            }
            // A table that is not there yet begins where the dataset does.
            (Some(start), _) if next.len() < TABLES.len() => Ok((settings, start)),
            (Some(start), _) => Ok((settings, next.into_iter().min().unwrap_or(start))),
            (None, from) => {
                let [first, ..] = self.stores else {
                    return Err(Failure::Bug("no source is open".to_owned()));
                };
                let to = Some(LedgerBound::Latest).filter(|_| from == Some(LedgerBound::Latest));
                let start = match (from, to) {
                    (Some(LedgerBound::Number(from)), _) => from,
                    (Some(LedgerBound::Genesis), _) => LedgerBound::FIRST_CLOSED,
                    (Some(LedgerBound::Latest), _) => patiently(|| first.tip(None)).await?,
                    (None, _) => patiently(|| first.oldest()).await?,
                };
                settings.start_ledger = Some(start);
                if settings.grid.is_none() && self.goal == Goal::Follow {
                    settings.grid = Some(Grid::uniform(LIVE_LEDGERS_PER_SLOT).map_err(DatasetError::from)?);
                }
                Ok((settings, start))
            }
        }
    }

    /// The last ledger of the run. `start` is the dataset's first one.
    async fn last(
        &self,
        start: Option<LedgerSequence>,
        from: LedgerSequence,
    ) -> Result<Option<LedgerSequence>, Failure> {
        let [first, ..] = self.stores else { return Ok(None) };
        // A dataset that has all there is leaves nothing to do, which is no error: the range may end before it begins.
        let has_some = start.is_some_and(|start| start < from);
        let known = if has_some { LedgerSequence(from.0 - 1) } else { from };
        let range = LedgerRange { from: Some(LedgerBound::Number(known)), to: self.settings.to };
        match (self.goal, self.settings.to) {
            (Goal::Follow, None) => Ok(None),
            (_, Some(LedgerBound::Number(to))) => Ok(Some(to)),
            _ => Ok(Some(*patiently(|| resolve_range(first.as_ref(), range)).await?.end())),
        }
    }
}

/// The network that was asked for, or that the sources state, all alike.
fn network(settings: &Settings, stores: &[Arc<dyn LedgerStore>]) -> Result<Network, Failure> {
    let mut known = settings.network.as_deref();
    for store in stores {
        match (known, store.network_passphrase()) {
            (Some(known), Some(stated)) if known != stated => {
                return Err(Failure::Configuration(format!(
                    "{}: the source says that its network is `{stated}`, the configuration or an earlier source says \
                     `{known}`: give sources of one network, and leave source.network out",
                    store.name()
                )));
            }
            (known_before, stated) => known = known_before.or(stated),
        }
    }
    known.map(Network::new).ok_or_else(|| {
        Failure::Configuration(
            "the source does not say which network it is from: give --network or --passphrase".to_owned(),
        )
    })
}
