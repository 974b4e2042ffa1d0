//! `orrery events`: ledgers in, events out.

use std::path::Path;

use orrery_actors::pipeline::{Pipeline, PipelineSettings, ProcessedLedger, Proof};
use orrery_actors::sink::{self, FileColumn, SinkReport, SinkSettings, Target};
use orrery_actors::source::{self, SourceUrl};
use serde_json::json;

use crate::cli::{EventsArgs, Integrity};
use crate::console::Console;
use crate::exit::Failure;
use crate::progress::Bar;
use crate::{environment, interrupt, network};

/// Runs to the end of the source. A file appears only if every ledger was processed.
pub(crate) fn run(args: &EventsArgs, console: &Console) -> Result<(), Failure> {
    let interrupted = interrupt::flag()?;
    refuse_own_input(args)?;
    let source = source::open_with(&args.sources, args.range.range(), &environment::variable)?;
    let network = network::choose(&args.network, source.as_ref())?;
    let mut sink = sink::open(SinkSettings {
        format: args.format.into(),
        target: match &args.out {
            Some(path) => Target::File(path.clone()),
            None => {
                Target::Stream { writer: Box::new(std::io::stdout()), name: "standard output".to_owned() }
            }
        },
        file_column: if args.with_file { FileColumn::First } else { FileColumn::Absent },
        network_passphrase: network.passphrase().to_owned(),
    })?;
    let mut bar = Bar::new(source.progress());
    let settings = PipelineSettings {
        network,
        mode: args.mode.into(),
        proof: if args.integrity == Integrity::Off { Proof::Nothing } else { Proof::Hashes },
        workers: args.workers.count(),
    };
    let mut totals = Totals::default();
    for ledger in Pipeline::start(source, settings, interrupted)? {
        let ledger = ledger?;
        report_violations(args.integrity, &ledger, &bar, console)?;
        totals.add(&ledger);
        let events = ledger.events.map_err(|error| {
            Failure::BadLedger(format!("{}: byte {}: {error}", ledger.file, ledger.offset))
        })?;
        sink.write(&ledger.file, &events.rows)?;
        bar.ledger(events.rows.len());
    }
    let report = sink.finish()?;
    drop(bar);
    if totals.ledgers == 0 {
        console.warn("no ledger was read: see --from and --to");
    }
    match &args.out {
        Some(_) => totals.print(&report, console),
        None => Ok(()),
    }
}

/// Events over their own ledgers would be the end of those.
fn refuse_own_input(args: &EventsArgs) -> Result<(), Failure> {
    let Some(out) = args.out.as_ref().and_then(|out| out.canonicalize().ok()) else { return Ok(()) };
    let is_out = |source: &&SourceUrl| match source {
        SourceUrl::Path(path) => Path::new(path).canonicalize().is_ok_and(|path| path == out),
        SourceUrl::Stream(path) => path.canonicalize().is_ok_and(|path| path == out),
        _ => false,
    };
    match args.sources.iter().find(is_out) {
        Some(source) => {
            Err(Failure::Usage(format!("--out {} is the input {source}: give another file", out.display())))
        }
        None => Ok(()),
    }
}

fn report_violations(
    integrity: Integrity,
    ledger: &ProcessedLedger,
    bar: &Bar,
    console: &Console,
) -> Result<(), Failure> {
    let found = ledger.contradictions().collect::<Vec<_>>().join("; ");
    if found.is_empty() {
        return Ok(());
    }
    let text = format!("{}: byte {}: ledger {}: {found}", ledger.file, ledger.offset, ledger.sequence);
    if integrity == Integrity::Strict {
        return Err(Failure::CheckFailed(text));
    }
    bar.suspend(|| console.warn(text));
    Ok(())
}

#[derive(Default)]
struct Totals {
    ledgers: u64,
    xdr_bytes: u64,
    with_violations: u64,
}

impl Totals {
    fn add(&mut self, ledger: &ProcessedLedger) {
        self.ledgers += 1;
        self.xdr_bytes += ledger.xdr_bytes as u64;
        self.with_violations += u64::from(ledger.contradictions().next().is_some());
    }

    fn print(&self, report: &SinkReport, console: &Console) -> Result<(), Failure> {
        let range = report.ledgers.as_ref();
        console.result(&[
            ("file", json!(report.path.as_ref().map(|path| path.display().to_string()))),
            ("ledgers", json!(self.ledgers)),
            ("ledgers_with_violations", json!(self.with_violations)),
            ("events", json!(report.rows)),
            ("first_ledger", json!(range.map(|range| range.start().0.to_string()))),
            ("last_ledger", json!(range.map(|range| range.end().0.to_string()))),
            ("xdr_bytes", json!(self.xdr_bytes)),
            ("file_bytes", json!(report.bytes)),
        ])
    }
}
