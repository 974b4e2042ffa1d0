//! Where the stages of a pipeline work: on the node of its processor, or on another one.
//!
//! The node that processes owns the pipeline and its tree. A stage that works elsewhere is there for as long as its stream
//! lives; what it cannot reach is away for the pipeline as if it were here.

use std::sync::Arc;

use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ChildSpec, ErrorClass, ExitError, StartContext, StartError};

use super::supervised::{SINKS, SupervisedPipeline, backoff};
use crate::dataset::{DatasetSettings, TableKind};
use crate::envelope::ProcessorMessage;
use crate::exchange::{
    DatasetWire, Opening, Reach, RemoteFetcher, RemoteFetcherSettings, RemoteNode, RemoteSink,
    RemoteSinkSettings, Wanted,
};
use crate::sink::OnCheckpoint;

/// Where a stage works.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// With the processor.
    #[default]
    Here,
    /// On another node, which has what it needs.
    Node(Arc<RemoteNode>),
}

/// Where the stages work, besides the processor.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The fetcher. Elsewhere, the pipeline here needs no stores.
    pub fetcher: Place,
    /// The sinks of all tables. Elsewhere, the pipeline here reaches no dataset.
    pub sinks: Place,
}

impl SupervisedPipeline {
    /// The stage that a pipeline of another node asks for, from what this node knows of it: its stores, its dataset, its
    /// limits. `on_durable` is told of a sink's checkpoints. What is kept of ledgers is kept where they are processed.
    ///
    /// # Errors
    ///
    /// The other node means another network or another dataset, or a table that this release does not have.
    pub fn stage(&self, opening: &Opening, on_durable: OnCheckpoint) -> Result<ChildSpec, ExitError> {
        let network = hex::encode(self.network.id());
        // A node that only writes may not know it; the dataset does, and refuses what is not its own.
        if !self.network.passphrase().is_empty() && opening.network != network {
            return Err(differs("network", &opening.network, &network));
        }
        let mut pipeline = Self {
            from: opening.from.map(LedgerSequence),
            to: opening.to.map(LedgerSequence),
            state: None,
            places: Places::default(),
            ..self.clone()
        };
        match &opening.wanted {
            Wanted::Fetch { at_tip } => {
                pipeline.at_tip = (*at_tip).into();
                Ok(Arc::new(pipeline).fetcher_child(backoff()?))
            }
            Wanted::Sink { table, dataset } => {
                let ours = identity(&self.settings);
                if *dataset != ours {
                    return Err(differs("dataset", &format!("{dataset:?}"), &format!("{ours:?}")));
                }
                let wanted = SINKS.into_iter().find(|(_, kind)| Some(*kind) == table.kind());
                let (id, kind) = wanted.ok_or_else(|| differs("table", &format!("{table:?}"), "its own"))?;
                Ok(Arc::new(pipeline).sink_child(id, kind, backoff()?, on_durable))
            }
        }
    }

    /// What is asked of another node.
    fn opening(&self, node: &RemoteNode, wanted: Wanted) -> Opening {
        Opening {
            pipeline: self.name.clone(),
            network: hex::encode(self.network.id()),
            from: self.from.map(|from| from.0),
            to: self.to.map(|to| to.0),
            window_bytes: node.limits.window_bytes(),
            wanted,
        }
    }

    /// Another node is waited for as long as a store or a source; every stage looks for it in its own time.
    fn reach(&self, context: &StartContext, stage: &str) -> Result<Reach, ExitError> {
        let seed = self.seed_of(context.incarnation(), stage);
        Ok(Reach { patience: self.patience, backoff: backoff()?, clock: self.clock.clone(), seed })
    }

    pub(super) fn remote_fetcher(
        &self,
        node: &Arc<RemoteNode>,
        context: &StartContext,
    ) -> Result<(RemoteFetcher, RemoteFetcherSettings), StartError> {
        let settings = RemoteFetcherSettings {
            opening: self.opening(node, Wanted::Fetch { at_tip: self.at_tip.into() }),
            node: node.clone(),
            epoch: context.incarnation(),
            reach: self.reach(context, "fetcher")?,
            processor: context.sibling::<ProcessorMessage>("processor")?,
            probe: context.probe().clone(),
            metrics: self.metrics.clone(),
        };
        Ok((RemoteFetcher, settings))
    }

    pub(super) fn remote_sink(
        self: &Arc<Self>,
        kind: TableKind,
        node: &Arc<RemoteNode>,
        context: &StartContext,
    ) -> Result<(RemoteSink, RemoteSinkSettings), StartError> {
        self.refuse_if_parked()?;
        let dataset = identity(&self.settings);
        let metrics = self.metrics.clone();
        let settings = RemoteSinkSettings {
            opening: self.opening(node, Wanted::Sink { table: kind.into(), dataset }),
            node: node.clone(),
            epoch: context.incarnation(),
            on_checkpoint: Arc::new(move |ledger| metrics.acknowledged(kind.as_str(), ledger)),
            reach: self.reach(context, kind.as_str())?,
        };
        Ok((RemoteSink, settings))
    }
}

/// What two nodes must agree on to write one dataset.
fn identity(settings: &DatasetSettings) -> DatasetWire {
    let steps = |grid: &crate::dataset::Grid| {
        grid.steps().iter().map(|step| (step.from_ledger.0, step.ledgers_per_slot)).collect()
    };
    DatasetWire {
        start_ledger: settings.start_ledger.map(|ledger| ledger.0),
        grid: settings.grid.as_ref().map(steps),
        processor_version: settings.processor_version,
    }
}

fn differs(what: &str, theirs: &str, ours: &str) -> ExitError {
    let reason = format!(
        "the {what} that is asked for is {theirs}, this node's is {ours}: give both nodes the same settings"
    );
    ExitError::new(ErrorClass::Invalid, reason)
}
