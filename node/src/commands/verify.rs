//! `orrery verify --source`: what a source's ledgers prove, and what cannot be proven from them.

use orrery_actors::pipeline::{Pipeline, PipelineSettings, ProcessedLedger, Proof};
use orrery_actors::processor::ttp::Mode;
use orrery_actors::source;
use serde_json::json;

use crate::cli::VerifyArgs;
use crate::commands::{verify_against, verify_dataset};
use crate::console::Console;
use crate::exit::Failure;
use crate::progress::Bar;
use crate::{environment, interrupt, network};

/// Checks every ledger and says what is wrong with each; fails if anything is.
pub(crate) fn run(args: &VerifyArgs, console: &Console) -> Result<(), Failure> {
    if let (Some(dataset), Some(against)) = (&args.dataset, &args.against) {
        return verify_against::run(dataset, against, console);
    }
    if let Some(dataset) = &args.dataset {
        return verify_dataset::run(dataset, console);
    }
    let interrupted = interrupt::flag()?;
    let sources = [&args.positional[..], &args.sources].concat();
    let source = source::open_with(&sources, args.range.range(), &environment::variable)?;
    let network = network::choose(&args.network, source.as_ref())?;
    let mut bar = Bar::new(source.progress());
    let settings = PipelineSettings {
        network,
        mode: Mode::Auto,
        proof: Proof::Everything,
        workers: args.workers.count(),
    };
    let mut findings = Findings::default();
    for ledger in Pipeline::start(source, settings, interrupted)? {
        let ledger = match ledger {
            Ok(ledger) => ledger,
            Err(error) => {
                drop(bar);
                findings.print(console)?;
                return Err(error.into());
            }
        };
        let problems = findings.add(&ledger);
        bar.suspend(|| {
            let place = format!("{}: byte {}: ledger {}", ledger.file, ledger.offset, ledger.sequence);
            problems.iter().for_each(|problem| console.warn(format!("{place}: {problem}")));
        });
        bar.ledger(ledger.events.as_ref().map_or(0, |events| events.rows.len()));
    }
    drop(bar);
    findings.print(console)?;
    findings.verdict()
}

#[derive(Default)]
struct Findings {
    ledgers: u64,
    events: u64,
    sound: u64,
    violations: u64,
    faults: u64,
    mismatches: u64,
    differences: u64,
    calls_proven: u64,
    calls_reconciled: u64,
    calls_rewritten: u64,
}

impl Findings {
    /// Counts a ledger; returns what is wrong with it.
    fn add(&mut self, ledger: &ProcessedLedger) -> Vec<String> {
        let problems: Vec<String> = ledger.problems().collect();
        self.ledgers += 1;
        self.violations += ledger.violations().len() as u64;
        self.mismatches += ledger.mismatches.len() as u64;
        self.differences += u64::from(ledger.difference.is_some());
        match &ledger.events {
            Ok(events) => self.events += events.rows.len() as u64,
            Err(_) => self.faults += 1,
        }
        if let Some(integrity) = &ledger.integrity {
            self.calls_proven += u64::from(integrity.calls_proven);
            self.calls_reconciled += u64::from(integrity.calls_reconciled);
            self.calls_rewritten += u64::from(integrity.calls_rewritten);
        }
        self.sound += u64::from(problems.is_empty());
        problems
    }

    fn print(&self, console: &Console) -> Result<(), Failure> {
        console.result(&[
            ("ledgers", json!(self.ledgers)),
            ("ledgers_sound", json!(self.sound)),
            ("hash_violations", json!(self.violations)),
            ("ledgers_without_events", json!(self.faults)),
            ("events", json!(self.events)),
            ("delta_mismatches", json!(self.mismatches)),
            ("cross_check_differences", json!(self.differences)),
            ("contract_calls_proven", json!(self.calls_proven)),
            ("contract_calls_reconciled", json!(self.calls_reconciled)),
            ("contract_calls_not_provable", json!(self.calls_rewritten)),
        ])?;
        console.text(WHAT_IT_MEANS)
    }

    fn verdict(&self) -> Result<(), Failure> {
        if self.ledgers == 0 {
            return Err(Failure::CheckFailed(
                "no ledger was read: nothing is verified; see --from and --to".to_owned(),
            ));
        }
        if self.sound == self.ledgers {
            return Ok(());
        }
        let bad = self.ledgers - self.sound;
        Err(Failure::CheckFailed(format!("{bad} of {} ledgers are not sound", self.ledgers)))
    }
}

const WHAT_IT_MEANS: &str = "
Proven: headers, their chain inside each stream and lake, transactions, results, and the events of contract calls, by the
hashes in the ledgers (V0 to V5). Cross-checked, bound by no hash: entry changes against all events, and stellar-core's
events against those derived from what each transaction did. Not provable from ledgers alone: that the network agreed on them; compare the last ledger's hash with one that you trust.";
