//! `orrery-chaos sim`: the product's protocols in simulation, on seeds; `orrery-chaos check`: the checkers on a history.

use std::collections::BTreeMap;
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
    /// Run each seed so often, and see that its trace is the same every time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
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
    repeat: u32,
    runs: usize,
    /// SHA-256 over the hashes of all traces, in order.
    trace_hash: String,
    trace_lines: u64,
    simulated_seconds: u64,
    seconds: f64,
    findings: Vec<Found>,
    /// What came of repetitions, by seed and protocol.
    repeated: Vec<Repeated>,
}

/// One seed of one protocol, run again and again.
#[derive(Debug, Serialize)]
struct Repeated {
    seed: u64,
    protocol: Protocol,
    /// How often each hash of a trace was seen: one hash, if a seed decides everything.
    traces: BTreeMap<String, u32>,
}

#[derive(Debug, Serialize)]
struct Found {
    seed: u64,
    protocol: Protocol,
    finding: Finding,
    reproduction: String,
}

/// True if nothing was found, and the same seed was the same run.
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
        let all: Vec<_> = seeds
            .flat_map(|seed| protocols.iter().map(move |it| (seed, *it)))
            .flat_map(|one| std::iter::repeat_n(one, args.repeat as usize))
            .collect();
        all.into_par_iter().map(run).collect()
    });
    let runs = runs?;
    let mut hash = Sha256::new();
    runs.iter().step_by(args.repeat as usize).for_each(|run| hash.update(&run.trace_hash));
    let repeated = if args.repeat > 1 { repeated(&runs, args.repeat as usize) } else { Vec::new() };
    let report = Report {
        seed: args.seed,
        seeds: args.seeds,
        repeat: args.repeat,
        runs: runs.len(),
        trace_hash: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        trace_lines: runs.iter().map(|run| run.trace_lines).sum(),
        simulated_seconds: runs.iter().map(|run| run.simulated_us).sum::<u64>() / 1_000_000,
        seconds: clock.now().since(MonotonicTime::ORIGIN).as_secs_f64(),
        findings: runs.into_iter().flat_map(found).collect(),
        repeated,
    };
    print(args.output, &report, |out| write_report(out, &report))?;
    Ok(report.findings.is_empty() && report.repeated.iter().all(Repeated::is_same))
}

/// Runs of one seed and protocol stand beside each other.
fn repeated(runs: &[Run], repeat: usize) -> Vec<Repeated> {
    let of = |runs: &[Run]| {
        let Run { seed, protocol, .. } = runs.first()?;
        let mut traces = BTreeMap::new();
        runs.iter().for_each(|run| *traces.entry(run.trace_hash.clone()).or_default() += 1);
        Some(Repeated { seed: *seed, protocol: *protocol, traces })
    };
    runs.chunks(repeat).filter_map(of).collect()
}

impl Repeated {
    fn is_same(&self) -> bool {
        self.traces.len() == 1
    }
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
    let Report { seed, seeds, runs, trace_hash, trace_lines, simulated_seconds, seconds, findings, .. } =
        report;
    writeln!(
        out,
        "{runs} runs of {seeds} seeds from {seed}: {simulated_seconds} s simulated in {seconds:.1} s"
    )?;
    writeln!(out, "{trace_lines} lines of traces, SHA-256 {trace_hash}")?;
    for Repeated { seed, protocol, traces } in &report.repeated {
        let protocol = protocol.as_str();
        for (trace, times) in traces {
            writeln!(out, "seed {seed} {protocol:<14} {times:>4} of {} times {trace}", report.repeat)?;
        }
        if traces.len() > 1 {
            writeln!(out, "seed {seed} {protocol}: {} different runs", traces.len())?;
        }
    }
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
