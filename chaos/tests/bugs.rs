//! Bugs that were put into the product on purpose: each must be caught by a checker, and without them nothing may be found.

#![expect(clippy::unwrap_used, reason = "tests say why they fail")]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use orrery_chaos::sim::{Protocol, Simulation};
use orrery_supervisor::seeded_bugs::{Bug, MARKER, with};

/// A bug, where it shows, the invariants of which one must be broken, and the seeds in which it must be caught.
struct Trial {
    bug: Bug,
    protocol: Protocol,
    invariants: &'static [u8],
    seeds: u64,
}

const fn trial(bug: Bug, protocol: Protocol, invariants: &'static [u8], seeds: u64) -> Trial {
    Trial { bug, protocol, invariants, seeds }
}

const TRIALS: [Trial; 24] = [
    trial(Bug::B1, Protocol::Dataset, &[1, 3, 5, 6, 11], 20),
    trial(Bug::B2, Protocol::Dataset, &[1, 2, 11], 60),
    trial(Bug::B3, Protocol::Dataset, &[3, 6, 11], 60),
    trial(Bug::B4, Protocol::Dataset, &[1], 10),
    trial(Bug::B5, Protocol::Dataset, &[2, 11], 10),
    trial(Bug::B6, Protocol::Dataset, &[1, 3, 11], 20),
    trial(Bug::B7, Protocol::Dataset, &[1, 2, 6, 11], 40),
    trial(Bug::B8, Protocol::Feed, &[9], 20),
    trial(Bug::B9, Protocol::Pipeline, &[11, 12], 40),
    trial(Bug::B10, Protocol::Dataset, &[1], 10),
    trial(Bug::B11, Protocol::Dataset, &[4], 20),
    trial(Bug::B12, Protocol::Pipeline, &[15], 60),
    trial(Bug::B13, Protocol::Pipeline, &[15], 60),
    trial(Bug::B14, Protocol::Disk, &[6, 7], 40),
    trial(Bug::B15, Protocol::Disk, &[6], 40),
    trial(Bug::B16, Protocol::Dataset, &[5], 40),
    trial(Bug::B17, Protocol::Feed, &[9], 40),
    trial(Bug::B18, Protocol::Supervision, &[13], 5),
    trial(Bug::B19, Protocol::Pipeline, &[12], 20),
    trial(Bug::B20, Protocol::Replication, &[2, 6, 11], 40),
    trial(Bug::B21, Protocol::Cluster, &[8], 60),
    trial(Bug::B22, Protocol::Pipeline, &[14], 40),
    trial(Bug::B23, Protocol::Feed, &[9], 40),
    trial(Bug::B24, Protocol::Dataset, &[6, 11], 10),
];

/// The first seed that catches it, and the invariants that were broken then.
fn caught(simulation: &Simulation, trial: &Trial) -> Option<(u64, BTreeSet<u8>)> {
    (1..=trial.seeds).find_map(|seed| {
        let run = with(Some(trial.bug), || simulation.run(seed, trial.protocol, false)).unwrap();
        let broken: BTreeSet<u8> = run.findings.iter().map(|finding| finding.invariant).collect();
        broken.iter().any(|invariant| trial.invariants.contains(invariant)).then_some((seed, broken))
    })
}

/// Does work for each place of a list, two at a time.
fn two_at_a_time(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count {
                        break;
                    }
                    work(place);
                }
            });
        }
    });
}

#[test]
fn every_seeded_bug_is_caught() {
    let simulation = Simulation::new().unwrap();
    let lines = Mutex::new(Vec::new());
    two_at_a_time(TRIALS.len(), |place| {
        let trial = &TRIALS[place];
        let found = caught(&simulation, trial);
        let line = match &found {
            Some((seed, broken)) => format!("{} caught at seed {seed} by {broken:?}", trial.bug),
            None => format!("{} NOT caught in {} seeds: {}", trial.bug, trial.seeds, trial.bug.what()),
        };
        println!("{line}");
        lines.lock().unwrap().push((found.is_some(), line));
    });
    let lines = lines.into_inner().unwrap();
    let missed: Vec<_> = lines.iter().filter(|(is_caught, _)| !is_caught).map(|(_, line)| line).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let bugs: BTreeSet<Bug> = TRIALS.iter().map(|trial| trial.bug).collect();
    assert_eq!(bugs.len(), Bug::ALL.len(), "every bug has its trial");
}

#[test]
fn nothing_is_found_without_them() {
    let simulation = Simulation::new().unwrap();
    two_at_a_time(Protocol::ALL.len(), |place| {
        for seed in 1..=20 {
            let run = simulation.run(seed, Protocol::ALL[place], false).unwrap();
            assert!(run.findings.is_empty(), "seed {seed} {:?}: {:?}", run.protocol, run.findings);
        }
    });
}

/// What `sim.rs` does not find in the product is there to be found.
#[test]
fn the_marker_is_in_programs_that_have_bugs() {
    let search = ["--quiet", "--text", "--fixed-strings", MARKER, env!("CARGO_BIN_EXE_orrery-chaos")];
    assert!(Command::new("grep").args(search).status().unwrap().success());
}
