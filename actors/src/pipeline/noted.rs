//! What a node notes of the tables it writes, and compares when it opens them: CKPT-1, a checkpoint never moves back.
//!
//! The dataset is the truth, so that a note which is lost or behind is only written anew. A dataset that is behind its note
//! is another matter: rows that were durable, and that others have read, are gone. That stops the pipeline before a ledger
//! is written, though the same rows could be made again: a folder that is not mounted, another bucket or a restored copy
//! look alike, and only a person knows which it is. The alarm is raised once; `resume` takes the dataset as it is.

use std::sync::{Arc, OnceLock};

use orrery_schemas::LedgerSequence;
use orrery_supervisor::{ErrorClass, ExitError};

use crate::checkpoint::{NodeState, Opened, OutputKey, StateError};
use crate::dataset::{Store, Table, TableKind};
use crate::metrics::PipelineMetrics;

/// The notes of one life of an output.
#[derive(Clone)]
pub(super) struct Notes {
    state: NodeState,
    pipeline: String,
    /// Where the dataset is: see [`crate::dataset::Store::place`].
    dataset: String,
    /// Written when the table is open, read with every commit.
    output: Arc<OnceLock<OutputKey>>,
}

impl Notes {
    /// `None` for a dataset that does not outlive the process.
    pub(super) fn new(state: &NodeState, pipeline: &str, dataset: &Store) -> Option<Self> {
        let dataset = dataset.place()?.to_owned();
        Some(Self { state: state.clone(), pipeline: pipeline.to_owned(), dataset, output: Arc::default() })
    }

    /// All that is noted, to be read before a table is opened: what another pipeline of this node notes while it is being
    /// opened says nothing about it. Nothing, if the state cannot be read.
    pub(super) fn read(&self) -> Vec<(OutputKey, LedgerSequence)> {
        self.state.checkpoints.list().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot tell whether the dataset has gone back, it is taken as it is");
            Vec::new()
        })
    }

    /// Compares an open table with what was noted `before` it was opened, and notes what it has.
    ///
    /// # Errors
    ///
    /// It has gone back. That the state cannot be read is none: it is not the truth.
    pub(super) fn open(
        &self,
        table: &Table,
        before: &[(OutputKey, LedgerSequence)],
        metrics: &PipelineMetrics,
    ) -> Result<(), ExitError> {
        let (output, next) = (self.output(table), table.tip().next_ledger);
        let durable = table.tip().last_ledger_hash.map(|_| LedgerSequence(next.0.saturating_sub(1)));
        let noted = before.iter().find(|(key, _)| *key == output).map(|(_, ledger)| *ledger);
        match self.state.checkpoints.open(&output, noted, durable) {
            Ok(Opened::Sound) => {}
            Ok(Opened::MadeAnew(before)) => {
                let (table, id) = (table.name(), &output.id);
                tracing::warn!(table, id, %before, "another table was here before, it is begun anew");
            }
            Ok(Opened::WentBack(noted)) => {
                metrics.checkpoint_lost();
                let reason = went_back(&table.name(), durable, noted, next, &self.pipeline);
                tracing::error!(%noted, %next, table = table.name(), "CKPT-1: ledgers that were durable are gone");
                self.raise(&output, &reason).unwrap_or_else(|error| {
                    tracing::warn!(%error, "that the pipeline is parked is not noted: it will look again");
                });
                return Err(ExitError::new(ErrorClass::Data, reason));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot tell whether the dataset has gone back, it is taken as it is")
            }
        }
        self.release(self.output.get_or_init(|| output));
        Ok(())
    }

    /// Every ledger up to `ledger` is durable in the table.
    pub(super) fn committed(&self, ledger: LedgerSequence) {
        let Some(output) = self.output.get() else { return };
        // The dataset has it all the same.
        let noted = self.state.checkpoints.advance(output, ledger);
        self.state.writes.note("checkpoint, which the dataset has", noted);
        self.release(output);
    }

    /// Parked first, so that a crash in between leaves the alarm.
    fn raise(&self, output: &OutputKey, reason: &str) -> Result<(), StateError> {
        self.state.parked.park(&self.pipeline, reason)?;
        self.state.checkpoints.forget_dataset(output)
    }

    /// A quarantined ledger that both tables have now was mended, and is in nobody's way.
    fn release(&self, output: &OutputKey) {
        let released = self.state.checkpoints.of_dataset(output).and_then(|noted| {
            let all = Some(noted).filter(|noted| noted.len() == TableKind::ALL.len());
            let Some(durable) = all.and_then(|noted| noted.into_iter().min()) else { return Ok(Vec::new()) };
            self.state.mend(&self.pipeline, &self.dataset, durable)
        });
        match released {
            Ok(ledgers) => ledgers.into_iter().for_each(|ledger| {
                tracing::info!(%ledger, "a quarantined ledger is durable now and leaves the quarantine");
            }),
            Err(error) => drop(self.state.writes.note::<()>("end of a quarantine", Err(error))),
        }
    }

    fn output(&self, table: &Table) -> OutputKey {
        OutputKey {
            dataset: self.dataset.clone(),
            table: table.kind().as_str().to_owned(),
            id: table.id().to_owned(),
        }
    }
}

/// What a person is told.
fn went_back(
    table: &str,
    durable: Option<LedgerSequence>,
    noted: LedgerSequence,
    next: LedgerSequence,
    pipeline: &str,
) -> String {
    let has = durable.map_or_else(|| "it has none".to_owned(), |durable| format!("it ends with {durable}"));
    format!(
        "CKPT-1: {table}: every ledger up to {noted} was durable here and now {has}: the dataset has gone back, no \
         ledger was written; see whether it is the right disk, bucket or folder, or a copy that was restored; `orrery resume \
         {pipeline}` takes it as it is, to go on from ledger {next}"
    )
}
