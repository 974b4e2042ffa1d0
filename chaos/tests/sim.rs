//! Simulated runs: nothing is found, and the same seed is the same run.

#![expect(clippy::unwrap_used, reason = "tests say why they fail")]

#[cfg(not(feature = "seeded-bugs"))]
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use orrery_chaos::sim::{Protocol, Simulation};
use serde_json::{Value, json};

/// Seeds that every change is tried on; more are tried by `orrery-chaos sim`.
const SEEDS: u64 = 50;

#[test]
fn no_invariant_is_broken_on_some_seeds() {
    let simulation = Arc::new(Simulation::new().unwrap());
    let next = AtomicU64::new(1);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        break;
                    }
                    for protocol in Protocol::ALL {
                        let run = simulation.run(seed, protocol, false).unwrap();
                        assert!(
                            run.findings.is_empty(),
                            "orrery-chaos sim --seed {seed} --seeds 1 --protocol {}: {:#?}",
                            protocol.as_str(),
                            run.findings
                        );
                    }
                }
            });
        }
    });
}

/// In other processes too. `orrery-chaos sim --seed 7 --seeds 1 --repeat 100` does it for all as often.
#[test]
fn the_same_seed_has_the_same_trace_hash_a_hundred_times() {
    let simulation = Simulation::new().unwrap();
    for protocol in Protocol::ALL {
        let times = if protocol == Protocol::Cluster { 100 } else { 4 };
        let hashes: Vec<_> =
            (0..times).map(|_| simulation.run(7, protocol, false).unwrap().trace_hash).collect();
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{protocol:?}");
        let other = simulation.run(8, protocol, false).unwrap().trace_hash;
        assert_ne!(hashes[0], other, "{protocol:?}: another seed is another run");
        let report = sim(&["--seed", "7", "--seeds", "1", "--repeat", "2", "--protocol", protocol.as_str()]);
        assert_eq!(report["repeated"][0]["traces"], json!({ hashes[0].clone(): 2 }), "{protocol:?}");
    }
}

/// The report of a run without findings.
fn sim(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    let output = command.arg("sim").args(arguments).args(["--output", "json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_run_shows_what_it_did() {
    let simulation = Simulation::new().unwrap();
    for protocol in Protocol::ALL {
        let run = simulation.run(3, protocol, true).unwrap();
        assert!(run.history.len() > 10, "{protocol:?}: {} entries", run.history.len());
        assert_eq!(run.trace.len() as u64, run.trace_lines);
        assert!(run.simulated_us > 0);
    }
}

/// As of `orrery_supervisor::seeded_bugs::MARKER`, which does not exist here.
#[cfg(not(feature = "seeded-bugs"))]
#[test]
fn no_program_that_is_shipped_has_a_seeded_bug() {
    let chaos = Path::new(env!("CARGO_BIN_EXE_orrery-chaos"));
    let orrery = chaos.with_file_name("orrery");
    if !orrery.is_file() {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        cargo.args(["build", "--workspace", "--bin", "orrery", "--locked"]);
        let built = cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).status();
        assert!(built.is_ok_and(|status| status.success()), "orrery cannot be built");
    }
    for program in [chaos, orrery.as_path()] {
        // These are hundreds of megabytes, for which a search of our own is too slow unoptimised.
        let has = |text: &str| {
            let found = Command::new("grep")
                .args(["--quiet", "--text", "--fixed-strings", text])
                .arg(program)
                .status();
            found.expect("grep is there").success()
        };
        assert!(has("orrery"), "{} was searched", program.display());
        assert!(!has("this program was built with seeded bugs"), "{}", program.display());
    }
}
