//! `orrery backup`, and `orrery restore`, which is the way back.

use std::fmt::Write;
use std::path::Path;

use futures::FutureExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_actors::dataset::{
    CopyReport, CopySettings, CopyUntil, DatasetUrl, Store, TableCopy, copy, verify,
};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::Metric;
use serde_json::{Value, json};

use crate::cli::{BackupArgs, CopyArgs, RestoreArgs};
use crate::console::Console;
use crate::exit::Failure;
use crate::telemetry::contract::BACKUP;
use crate::threads;
use crate::{interrupt, runner};

/// From where to where, and how far.
struct Way<'a> {
    from: &'a DatasetUrl,
    to: &'a DatasetUrl,
    until: CopyUntil,
    copy: &'a CopyArgs,
}

/// Copies what the backup lacks.
pub(crate) fn backup(args: &BackupArgs, console: &Console) -> Result<(), Failure> {
    let way = Way { from: &args.dataset, to: &args.to, until: CopyUntil::End, copy: &args.copy };
    let report = run(&way, console)?;
    match &args.metrics {
        Some(path) => write_metrics(path, &report),
        None => Ok(()),
    }
}

/// Copies a backup to where the dataset is to be.
pub(crate) fn restore(args: &RestoreArgs, console: &Console) -> Result<(), Failure> {
    let until = match (args.until_slot, args.until_ledger) {
        (Some(slot), _) => CopyUntil::Slot(slot),
        (None, Some(ledger)) => CopyUntil::Ledger(LedgerSequence(ledger)),
        (None, None) => CopyUntil::End,
    };
    run(&Way { from: &args.from, to: &args.dataset, until, copy: &args.copy }, console).map(drop)
}

fn run(way: &Way<'_>, console: &Console) -> Result<CopyReport, Failure> {
    if way.from == way.to {
        return Err(Failure::Usage(format!(
            "{}: a dataset is no copy of itself: name another place",
            way.to
        )));
    }
    let runtime = threads::runtime()?;
    let interrupted = interrupt::wait()?;
    let (from, to) = (runner::connect(way.from)?, runner::connect(way.to)?);
    let settings = CopySettings {
        until: way.until,
        concurrency: way.copy.concurrency.get(),
        pace: way.copy.pace.pace(),
    };
    let bar = ProgressBar::no_length();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let template = "{spinner} {bytes} {msg}  {binary_bytes_per_sec}  {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message("copied");
    let done = runtime.block_on(async {
        let work = async {
            let progress = |bytes| bar.inc(bytes);
            let report = copy(&from, &to, &settings, &progress).await?;
            let problems = if way.copy.verify { read_back(&to, &bar).await? } else { Vec::new() };
            Ok((report, problems))
        };
        tokio::select! {
            done = work.boxed() => done,
            () = interrupted => Err(Failure::Interrupted),
        }
    });
    bar.finish_and_clear();
    let (report, problems) = done?;
    let tables: Vec<_> = report.tables.iter().map(table).collect();
    report.tables.iter().flat_map(|table| &table.notes).for_each(|note| console.warn(note));
    problems.iter().for_each(|problem| console.warn(problem));
    console.rows(&tables)?;
    verdict(way, &report, &problems).map(|()| report)
}

/// All objects and rows of the copy.
async fn read_back(to: &Store, bar: &ProgressBar) -> Result<Vec<String>, Failure> {
    bar.set_position(0);
    bar.set_message("read back");
    let report = verify(to, &mut |bytes| bar.inc(bytes)).await;
    let report = report.map_err(orrery_actors::dataset::DatasetError::from)?;
    Ok(report.problems().map(|problem| format!("{}: {}", problem.path, problem.problem)).collect())
}

fn table(table: &TableCopy) -> Vec<(&'static str, Value)> {
    vec![
        ("table", json!(table.kind.as_str())),
        ("slots_copied", json!(table.slots)),
        ("files_copied", json!(table.files)),
        ("evidence_copied", json!(table.evidence)),
        ("bytes_copied", json!(table.bytes)),
        ("last_slot", json!(table.slot)),
        ("last_slot_sha256", json!(table.slot_sha256.to_string())),
        ("last_ledger", json!(table.last_ledger.map(|ledger| ledger.0))),
        ("closed_at", json!(table.closed_at.map(|time| time.to_string()))),
        ("rows", json!(table.rows)),
        ("row_digest", json!(table.digest.to_string())),
    ]
}

fn verdict(way: &Way<'_>, report: &CopyReport, problems: &[String]) -> Result<(), Failure> {
    if !problems.is_empty() {
        let fix = format!("see `orrery scrub --dataset {} --repair-from {}`", way.to, way.from);
        return Err(Failure::CheckFailed(format!("{}: {} problems: {fix}", way.to, problems.len())));
    }
    let short = report.tables.iter().find_map(|table| Some((table.kind, table.falls_short.as_ref()?)));
    match short {
        Some((kind, problem)) => {
            Err(Failure::CheckFailed(format!("{}: {}: {problem}", way.to, kind.as_str())))
        }
        None => Ok(()),
    }
}

/// A value of a table's backup.
type Told<'a> = &'a dyn Fn(&TableCopy) -> Option<u64>;

/// What would be lost with the original is what closed after the newest ledger of the backup.
fn write_metrics(path: &Path, report: &CopyReport) -> Result<(), Failure> {
    let mut text = String::new();
    let closed_at =
        |table: &TableCopy| table.closed_at.and_then(|time| u64::try_from(time.unix_seconds()).ok());
    let last_ledger = |table: &TableCopy| table.last_ledger.map(|ledger| u64::from(ledger.0));
    let values: [Told<'_>; 4] =
        [&last_ledger, &closed_at, &|table| Some(table.bytes), &|table| Some(table.rows)];
    for (Metric { name, help, .. }, value) in BACKUP.iter().zip(values) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for table in &report.tables {
            if let Some(value) = value(table) {
                let _ = writeln!(text, "{name}{{table=\"{}\"}} {value}", table.kind.as_str());
            }
        }
    }
    // A collector never sees half a file.
    let part = path.with_extension("part");
    std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path)).map_err(|error| {
        Failure::Unavailable(format!(
            "write {}: {error}: name a file in a folder that is there",
            path.display()
        ))
    })
}
