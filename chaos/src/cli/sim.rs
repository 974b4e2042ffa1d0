//! `orrery-chaos sim`: the product's protocols in simulation, on seeds; `orrery-chaos check`: the checkers on a history.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Output, RunError, print};
use crate::checkers::{Finding, check};
use crate::experiment::ExperimentError;
use crate::history;
use crate::sim::{Protocol, Run, Simulation};

/// Findings that are shown to people: more are the same again. JSON has all.
const FINDINGS_SHOWN: usize = 12;

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub(super) struct SimArgs {
    /// The first seed: the same seed gives the same run, and the same hash of its trace
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from the first one on
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// Simulate this alone; all if none is named
    #[arg(long, value_enum)]
    protocol: Vec<Protocol>,
    /// Runs at a time; as many as there are processors if not given
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Write what happened into this folder, one file a seed and protocol: a history (JSON lines) and a trace
    #[arg(long)]
    out: Option<PathBuf>,
    /// Switch one of the seeded bugs on, and see that it is caught
    #[cfg(feature = "seeded-bugs")]
    #[arg(long)]
    bug: Option<orrery_supervisor::seeded_bugs::Bug>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A history: JSON lines, as `sim --out` writes them
    history: PathBuf,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What came of all seeds.
#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    seeds: u64,
    runs: usize,
    /// SHA-256 over the hashes of all traces, in order.
    trace_hash: String,
    trace_lines: u64,
    simulated_seconds: u64,
    seconds: f64,
    findings: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    seed: u64,
    protocol: Protocol,
    finding: Finding,
    reproduction: String,
}

/// True if nothing was found.
pub(super) fn run_sim(args: &SimArgs) -> Result<bool, RunError> {
    writeln!(io::stderr(), "seed {}", args.seed)?;
    let clock = SystemClock::new();
    let simulation = Simulation::new().map_err(|error| skipped(&error))?;
    let protocols = if args.protocol.is_empty() { Protocol::ALL.to_vec() } else { args.protocol.clone() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build()?;
    let seeds = args.seed..args.seed.saturating_add(args.seeds);
    let runs: Result<Vec<_>, RunError> = pool.install(|| {
        let run = |(seed, protocol): (u64, Protocol)| {
            let run = || simulation.run(seed, protocol, args.out.is_some());
            #[cfg(feature = "seeded-bugs")]
            let run = || orrery_supervisor::seeded_bugs::with(args.bug, run);
            let run = run().map_err(|error| skipped(&error))?;
            if let Some(folder) = &args.out {
                write_run(folder, &run)?;
            }
            Ok(Run { history: Vec::new(), trace: Vec::new(), ..run })
        };
        let all: Vec<_> = seeds.flat_map(|seed| protocols.iter().map(move |it| (seed, *it))).collect();
        all.into_par_iter().map(run).collect()
    });
    let runs = runs?;
    let mut hash = Sha256::new();
    runs.iter().for_each(|run| hash.update(&run.trace_hash));
    let report = Report {
        seed: args.seed,
        seeds: args.seeds,
        runs: runs.len(),
        trace_hash: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        trace_lines: runs.iter().map(|run| run.trace_lines).sum(),
        simulated_seconds: runs.iter().map(|run| run.simulated_us).sum::<u64>() / 1_000_000,
        seconds: clock.now().since(MonotonicTime::ORIGIN).as_secs_f64(),
        findings: runs.into_iter().flat_map(found).collect(),
    };
    print(args.output, &report, |out| write_report(out, &report))?;
    Ok(report.findings.is_empty())
}

fn found(run: Run) -> impl Iterator<Item = Found> {
    let (seed, protocol) = (run.seed, run.protocol);
    let reproduction =
        format!("orrery-chaos sim --seed {seed} --seeds 1 --protocol {} --out sim", protocol.as_str());
    run.findings.into_iter().map(move |finding| Found {
        seed,
        protocol,
        finding,
        reproduction: reproduction.clone(),
    })
}

fn write_run(folder: &Path, run: &Run) -> Result<(), RunError> {
    std::fs::create_dir_all(folder)?;
    let name = format!("{}-{}", run.seed, run.protocol.as_str());
    let mut out = BufWriter::new(File::create(folder.join(format!("{name}.history.jsonl")))?);
    history::write(&mut out, &run.history)?;
    let mut out = BufWriter::new(File::create(folder.join(format!("{name}.trace")))?);
    run.trace.iter().try_for_each(|line| out.write_all(line.as_bytes()))?;
    Ok(out.flush()?)
}

fn write_report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { seed, seeds, runs, trace_hash, trace_lines, simulated_seconds, seconds, findings } = report;
    writeln!(
        out,
        "{runs} runs of {seeds} seeds from {seed}: {simulated_seconds} s simulated in {seconds:.1} s"
    )?;
    writeln!(out, "{trace_lines} lines of traces, SHA-256 {trace_hash}")?;
    for Found { finding, reproduction, .. } in findings.iter().take(FINDINGS_SHOWN) {
        writeln!(out, "{finding}\n  again: {reproduction}")?;
    }
    match findings.len() {
        0 => writeln!(out, "no invariant was broken"),
        count => writeln!(out, "{count} findings"),
    }
}

fn skipped(error: &crate::sim::SimError) -> RunError {
    RunError::Experiment(ExperimentError::Skipped(error.to_string()))
}

/// True if nothing was found.
pub(super) fn run_check(args: &CheckArgs) -> Result<bool, RunError> {
    let history = history::read(BufReader::new(File::open(&args.history)?))?;
    let findings = check(&history);
    print(args.output, &findings, |out| {
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
        writeln!(out, "{} entries, {} findings", history.len(), findings.len())
    })?;
    Ok(findings.is_empty())
}
