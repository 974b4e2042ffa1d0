//! `orrery verify --dataset`: a whole dataset held against itself.

use futures::FutureExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_actors::dataset::{DatasetError, DatasetReport, DatasetUrl, TableReport, verify};
use serde_json::{Value, json};

use crate::console::Console;
use crate::exit::Failure;
use crate::threads;
use crate::{interrupt, runner};

/// Reads every object of it; fails if anything is wrong.
pub(crate) fn run(dataset: &DatasetUrl, console: &Console) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    let interrupted = interrupt::wait()?;
    let store = runner::connect(dataset)?;
    let bar = ProgressBar::no_length();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bytes} read  {binary_bytes_per_sec}  {elapsed}")
    {
        bar.set_style(style);
    }
    let report = runtime.block_on(async {
        let mut progress = |bytes| bar.inc(bytes);
        tokio::select! {
            report = verify(&store, &mut progress).boxed() => report.map_err(|error| DatasetError::from(error).into()),
            () = interrupted => Err(Failure::Interrupted),
        }
    });
    bar.finish_and_clear();
    print(&report?, dataset, console)
}

fn print(report: &DatasetReport, dataset: &DatasetUrl, console: &Console) -> Result<(), Failure> {
    for problem in report.problems() {
        console.warn(format_args!("{}: {}", problem.path, problem.problem));
    }
    for table in &report.tables {
        for path in &table.unnamed.first {
            console.warn(format_args!("{}/{path}: no slot names this file", table.kind.as_str()));
        }
    }
    let tables: Vec<_> = report.tables.iter().map(table).collect();
    console.rows(&tables)?;
    if report.tables.iter().all(|table| table.slots == 0) {
        return Err(Failure::CheckFailed(format!("{dataset}: no dataset is there: nothing is verified")));
    }
    if report.tables.iter().any(|table| table.unnamed.files > 0) {
        console.text(WHAT_IS_UNNAMED)?;
    }
    match report.problems().count() {
        0 => console.text(WHAT_IT_MEANS),
        problems => Err(Failure::CheckFailed(format!("{dataset}: {problems} problems"))),
    }
}

fn table(table: &TableReport) -> Vec<(&'static str, Value)> {
    vec![
        ("table", json!(table.kind.as_str())),
        ("slots", json!(table.slots)),
        ("first_ledger", json!(table.ledgers.as_ref().map(|ledgers| ledgers.start().0))),
        ("last_ledger", json!(table.ledgers.as_ref().map(|ledgers| ledgers.end().0))),
        ("rows", json!(table.rows)),
        ("files", json!(table.files)),
        ("bytes", json!(table.bytes)),
        ("row_digest", json!(table.digest.to_string())),
        ("last_slot_sha256", json!(table.tip_sha256.map(|hash| hash.to_string()))),
        ("checkpoints_compared", json!(table.checkpoints)),
        ("unnamed_files", json!(table.unnamed.files)),
        ("unnamed_bytes", json!(table.unnamed.bytes)),
        ("problems", json!(table.problems.len())),
    ]
}

const WHAT_IS_UNNAMED: &str = "
Unnamed files are named by no slot: no reader looks at them, and they only take room. A writer stores each file before the slot
that names it; those that stay are of one that ended in between, or whose source has another network's ledgers. Their names are
above. When nobody writes to the dataset or compacts it, verify again and delete them.";

const WHAT_IT_MEANS: &str = "
Proven: every slot of the log follows from the one before by hash, ledgers are contiguous and their hashes link, every file
has the bytes that its name and the log promise, its rows add up to the log's digests, and both tables agree. Equal
last_slot_sha256 in two places: equal datasets. Not proven: that the rows are those of the network's ledgers (orrery verify
--source), and that nobody cut off the newest slots of both tables.";
