//! Faults that are done by experiments which are commands of their own: how each is called, and what its report says.

use std::io::Write;
use std::path::PathBuf;

use crate::cluster::{self, ClusterSettings};
use crate::crash::{self, CrashSettings};
use crate::disk_full;
use crate::experiment::ExperimentError;
use crate::process::Orrery;
use crate::regions::{self, RegionsSettings, StoreKind};
use crate::syscalls::{self, SyscallsSettings};
use crate::workload::{Mode, Workload};

use super::profile::Profile;
use super::verdict::Compared;

/// An experiment and what it does.
#[derive(Clone, Copy, Debug)]
pub enum Experiment {
    /// `crash`: SIGKILL at random moments.
    Crash,
    /// `syscalls`: SIGKILL and errors at system calls.
    Syscalls,
    /// `disk-full`.
    DiskFull,
    /// `cluster`, with these faults.
    Cluster(&'static [cluster::Fault]),
    /// `cluster`, with these faults, each to the node that coordinates.
    Coordinator(&'static [cluster::Fault]),
    /// `regions`, with these faults.
    Regions(&'static [regions::Fault]),
}

/// Ledgers of a cluster's dataset for each round, and once more: work for longer than a fault lasts.
const CLUSTER_LEDGERS: u32 = 4000;

/// Where an experiment runs, and how much of it is done.
pub(super) struct Place<'a> {
    pub(super) orrery: &'a Orrery,
    /// Another version of the program, if there is one.
    pub(super) other: Option<&'a Orrery>,
    /// Its own folder.
    pub(super) folder: PathBuf,
    pub(super) seed: u64,
    pub(super) profile: Profile,
    pub(super) progress: &'a mut dyn Write,
}

/// What an experiment says.
#[derive(Debug)]
pub(super) struct Findings {
    /// What shows that the fault happened; nothing if it did not.
    pub(super) witness: Option<String>,
    /// What should not be.
    pub(super) problems: Vec<String>,
    /// What was compared.
    pub(super) compared: Compared,
}

impl Experiment {
    /// Its command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Syscalls => "syscalls",
            Self::DiskFull => "disk-full",
            Self::Cluster(_) | Self::Coordinator(_) => "cluster",
            Self::Regions(_) => "regions",
        }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// As the experiment.
    pub(super) fn run(self, place: Place<'_>) -> Result<Findings, ExperimentError> {
        match self {
            Self::Crash => run_crash(place),
            Self::Syscalls => run_syscalls(place),
            Self::DiskFull => run_disk_full(place),
            Self::Cluster(faults) => run_cluster(faults, false, place),
            Self::Coordinator(faults) => run_cluster(faults, true, place),
            Self::Regions(faults) => run_regions(faults, place),
        }
    }
}

impl Place<'_> {
    fn workload(&self, ledgers: u32, slot_ledgers: u32) -> Workload {
        let (orrery, folder) = (self.orrery.clone(), self.folder.clone());
        Workload { orrery, folder, ledgers, slot_ledgers, seed: self.seed }
    }
}

fn run_crash(place: Place<'_>) -> Result<Findings, ExperimentError> {
    let rounds = place.profile.kills();
    let workload = place.workload(rounds * 30, 8);
    let settings = CrashSettings { workload, rounds, seed: place.seed, mode: Mode::Backfill };
    let report = crash::run(&settings, place.progress)?;
    let witness = format!(
        "{} processes ended by SIGKILL, {} of them while a part was half written",
        report.kills, report.kills_while_writing
    );
    let problems = [report.problems, report.comparison.problems].concat();
    let compared = Compared { datasets: 1, feeds: 0 };
    Ok(Findings { witness: (report.kills > 0).then_some(witness), problems, compared })
}

fn run_syscalls(place: Place<'_>) -> Result<Findings, ExperimentError> {
    let workload = place.workload(6, 4);
    let sample = place.profile.points();
    let settings = SyscallsSettings { workload, seed: place.seed, sample, calls: Vec::new() };
    let report = syscalls::run(&settings, place.progress)?;
    let (exercised, points) = report.killed();
    let failed: usize = report.calls.iter().map(|call| call.exercised).sum::<usize>() - exercised;
    let witness = format!("killed at {exercised} of {points} points, {failed} calls made to fail");
    let compared = Compared { datasets: report.calls.iter().map(|call| call.runs).sum(), feeds: 0 };
    Ok(Findings { witness: (exercised > 0).then_some(witness), problems: report.problems, compared })
}

fn run_disk_full(place: Place<'_>) -> Result<Findings, ExperimentError> {
    let workload = place.workload(Workload::whole_slots(60, 4), 4);
    let report = disk_full::run(&workload, place.progress)?;
    let witness = report.disks.first().map(|disk| format!("{} disks: {}", report.disks.len(), disk.message));
    let compared = Compared { datasets: report.disks.len(), feeds: 0 };
    Ok(Findings { witness, problems: report.problems, compared })
}

fn run_cluster(
    faults: &[cluster::Fault],
    to_coordinator: bool,
    place: Place<'_>,
) -> Result<Findings, ExperimentError> {
    let rounds = place.profile.rounds(faults.len());
    let workload = place.workload(CLUSTER_LEDGERS * (1 + rounds), 64);
    let (faults, other) = (faults.to_vec(), place.other.cloned());
    let settings =
        ClusterSettings { workload, rounds, faults, nodes: 3, other, to_coordinator, seed: place.seed };
    let report = cluster::run(&settings, place.progress)?;
    let told = report.rounds.iter().map(|round| {
        let witness = round.witness.as_deref().filter(|_| round.was_coordinator || !to_coordinator)?;
        let who = if round.was_coordinator { ", the coordinator" } else { "" };
        Some(format!("{} of {}{who}: {witness}", round.fault.name(), round.node))
    });
    // One that nothing shows makes all of it invalid.
    let witness = told.collect::<Option<Vec<_>>>().unwrap_or_default().join("; ");
    let compared = Compared { datasets: report.datasets.len(), feeds: 0 };
    let problems = [report.problems, report.comparison.problems].concat();
    Ok(Findings { witness: (!witness.is_empty()).then_some(witness), problems, compared })
}

fn run_regions(faults: &[regions::Fault], place: Place<'_>) -> Result<Findings, ExperimentError> {
    let rounds = place.profile.rounds(faults.len());
    let outage = place.profile.outage();
    let (slot_ledgers, regions) = (16, 3);
    let seconds = 90 + outage.map_or(0, |outage| u32::try_from(outage.as_secs()).unwrap_or(u32::MAX));
    let workload =
        place.workload(Workload::whole_slots((rounds + 1) * seconds + 16, slot_ledgers), slot_ledgers);
    let settings = RegionsSettings {
        workload,
        rounds,
        faults: faults.to_vec(),
        regions,
        nodes: 1,
        store: StoreKind::Folder,
        mode: "both".to_owned(),
        outage,
        readers: regions,
        history: 16,
        line: None,
        mib_per_second: 0,
        victim: None,
        seed: place.seed,
    };
    let report = regions::run(&settings, place.progress)?;
    let done = report.rounds.iter().map(|round| {
        // Each of these is what the fault is about.
        let what = match (round.was_writing, round.dropped_packets) {
            (Some(false), _) | (_, Some(0)) => return None,
            (Some(true), _) => ", in the middle of a write".to_owned(),
            (None, Some(dropped)) => format!(", {dropped} packets were dropped"),
            (None, None) => String::new(),
        };
        Some(format!(
            "{} of region {} for {:.1} s{what}",
            round.fault.name(),
            round.region,
            round.away_seconds
        ))
    });
    let witness = done.collect::<Option<Vec<_>>>().unwrap_or_default().join("; ");
    let compared = Compared { datasets: report.comparisons.len(), feeds: 2 * regions };
    let differences = report.comparisons.into_iter().flat_map(|region| {
        let name = region.region;
        region.comparison.problems.into_iter().map(move |problem| format!("{name}: {problem}"))
    });
    let problems = report.problems.into_iter().chain(differences).collect();
    Ok(Findings { witness: (!witness.is_empty()).then_some(witness), problems, compared })
}
