//! What must come of a world, whatever is done to it: made once for all faults of a run, by a node that nobody disturbs, and
//! by the simulated network itself.

use std::path::{Path, PathBuf};

use orrery_actors::source::synthetic::{Density, SyntheticLedgers, SyntheticSpec};

use super::setup::Setup;
use crate::experiment::ExperimentError;
use crate::judges::dataset::Expected;
use crate::process::Running;
use crate::workload::{FIRST_LEDGER, Target, UNDISTURBED_MAX, Workload, succeeded, url};

/// What is expected.
#[derive(Debug)]
pub(super) struct Reference {
    /// The complete lake.
    pub(super) lake: PathBuf,
    /// The dataset.
    pub(super) dataset: Expected,
    /// Ids of the events of each ledger that has any, in order.
    pub(super) events: Vec<(u32, Vec<String>)>,
}

impl Reference {
    /// Makes lake and dataset in `folder`, as `setup` describes them.
    ///
    /// # Errors
    ///
    /// A run that nobody disturbs fails.
    pub(super) fn new(setup: &Setup, folder: &Path) -> Result<Self, ExperimentError> {
        let Setup { orrery, ledgers, slot_ledgers, seed, .. } = setup;
        let (folder, orrery) = (folder.join("undisturbed"), orrery.clone());
        let workload =
            Workload { orrery, folder, ledgers: *ledgers, slot_ledgers: *slot_ledgers, seed: *seed };
        workload.make_lake()?;
        let target = workload.fresh("dataset")?;
        backfill(&workload, &target)?;
        let dataset = Expected::read(&target.dataset, (FIRST_LEDGER, workload.last_ledger()))?;
        let spec = SyntheticSpec {
            seed: *seed,
            ledgers: *ledgers,
            density: Density::Sparse,
            ..SyntheticSpec::default()
        };
        let ids = |(made, ledger): (orrery_actors::source::synthetic::SyntheticLedger, u32)| {
            (ledger, made.expected.iter().map(|event| event.event_id().to_string()).collect::<Vec<_>>())
        };
        let events = SyntheticLedgers::new(&spec).zip(FIRST_LEDGER..).map(ids);
        let events = events.filter(|(_, events)| !events.is_empty()).collect();
        Ok(Self { lake: workload.lake(), dataset, events })
    }
}

fn backfill(workload: &Workload, target: &Target) -> Result<(), ExperimentError> {
    let grid = format!("{FIRST_LEDGER}:{}", workload.slot_ledgers);
    let (lake, dataset) = (url(&workload.lake()), url(&target.dataset));
    let words = ["backfill", "--source", &lake, "--dataset", &dataset, "--grid", &grid, "--from", "genesis"];
    let mut command = workload.orrery.command(words);
    command.arg("--data-dir").arg(&target.data);
    let ended = Running::start(command)?.finish(UNDISTURBED_MAX)?;
    succeeded("the undisturbed run", &ended)
}
