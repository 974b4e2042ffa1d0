//! `orrery compact`: few large files in place of many small ones.

use orrery_actors::dataset::{DatasetSettings, Table, TableKind};
use serde_json::json;

use crate::cli::CompactArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::threads;
use crate::{interrupt, runner};

/// Windows that one call works on, between two looks at the signal.
const WINDOWS_AT_ONCE: usize = 16;

/// Both tables, window after window, until nothing is left to compact.
pub(crate) fn run(args: &CompactArgs, console: &Console) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    let interrupted = interrupt::wait()?;
    let store = runner::connect(&args.dataset)?;
    runtime.block_on(async {
        let mut results = Vec::new();
        for kind in TableKind::ALL {
            let mut table = Table::open(&store, kind, &DatasetSettings::default()).await?;
            let (mut windows, mut replaced) = (0, 0);
            loop {
                let report = tokio::select! {
                    report = table.compact(args.ledgers_per_file, WINDOWS_AT_ONCE) => report?,
                    () = interrupted.clone() => return Err(Failure::Interrupted),
                };
                if report.windows == 0 {
                    break;
                }
                windows += report.windows;
                replaced += report.files;
            }
            results.push(vec![
                ("table", json!(kind.as_str())),
                ("files_replaced", json!(replaced)),
                ("by_files", json!(windows)),
            ]);
        }
        console.rows(&results)
    })
}
