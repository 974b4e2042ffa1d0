//! `orrery demo`: synthetic ledgers through proof and processor into a Parquet file, and what that showed.

use std::collections::BTreeMap;

use orrery_actors::ledger::Network;
use orrery_actors::pipeline::{Pipeline, PipelineSettings, Proof};
use orrery_actors::processor::ttp::Mode;
use orrery_actors::sink::{self, FileColumn, Format, SinkSettings, Target};
use orrery_actors::source::synthetic::NETWORK_PASSPHRASE;
use orrery_actors::source::{self, LedgerRange};
use orrery_schemas::Kind;
use orrery_supervisor::{Clock, SystemClock};
use serde_json::json;

use crate::cli::DemoArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::interrupt;
use crate::progress::Bar;

/// Stops at the first ledger that is not sound: synthetic ledgers always are.
pub(crate) fn run(args: &DemoArgs, console: &Console) -> Result<(), Failure> {
    let interrupted = interrupt::flag()?;
    let clock = SystemClock::new();
    let source = source::open(&[args.synthetic.url()?], LedgerRange::default())?;
    let mut bar = Bar::new(source.progress());
    let settings = PipelineSettings {
        network: Network::new(NETWORK_PASSPHRASE),
        mode: Mode::Auto,
        proof: Proof::Everything,
        workers: args.workers.count(),
    };
    let mut sink = sink::open(SinkSettings {
        format: Format::Parquet,
        target: Target::File(args.out.clone()),
        file_column: FileColumn::Absent,
        network_passphrase: NETWORK_PASSPHRASE.to_owned(),
    })?;
    let mut kinds = BTreeMap::<Kind, u64>::new();
    let (mut ledgers, mut transactions, mut xdr_bytes, mut not_provable) = (0_u64, 0_u64, 0_u64, 0_u64);
    for ledger in Pipeline::start(source, settings, interrupted)? {
        let ledger = ledger?;
        if let Some(problem) = ledger.problems().next() {
            return Err(Failure::CheckFailed(format!("ledger {}: {problem}", ledger.sequence)));
        }
        let events = ledger.events.map_err(|error| Failure::BadLedger(error.to_string()))?;
        ledgers += 1;
        not_provable += ledger.integrity.as_ref().map_or(0, |proof| u64::from(proof.calls_rewritten));
        transactions += u64::from(events.ledger.tx_count);
        xdr_bytes += ledger.xdr_bytes as u64;
        events.rows.iter().for_each(|row| *kinds.entry(row.kind).or_default() += 1);
        sink.write(&ledger.file, &events.rows)?;
        bar.ledger(events.rows.len());
    }
    let report = sink.finish()?;
    drop(bar);
    let seconds = clock.now().since(orrery_supervisor::MonotonicTime::ORIGIN).as_secs_f64();
    let kinds: serde_json::Map<_, _> =
        kinds.iter().map(|(kind, count)| (kind.as_str().to_owned(), json!(count))).collect();
    console.result(&[
        ("ledgers", json!(ledgers)),
        ("transactions", json!(transactions)),
        ("events", json!(report.rows)),
        ("events_by_kind", json!(kinds)),
        ("proof", json!("hashes (V0 to V5), event deltas and cross-check hold in every ledger")),
        ("contract_calls_not_provable", json!(not_provable)),
        ("xdr_bytes", json!(xdr_bytes)),
        ("ledgers_per_second", json!((ledgers as f64 / seconds).round() as u64)),
        ("file", json!(args.out.display().to_string())),
        ("file_bytes", json!(report.bytes)),
    ])?;
    console.text(format_args!(
        "\nLook at it: duckdb -c \"SELECT kind, count(*) FROM '{}' GROUP BY kind\"",
        args.out.display()
    ))
}
