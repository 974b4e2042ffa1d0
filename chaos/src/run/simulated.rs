//! Faults that are done in simulation: seeds of one of its protocols, in whose traces the fault is looked for.

use crate::experiment::ExperimentError;
use crate::sim::{Protocol, Simulation};

use super::experiments::Findings;
use super::profile::Profile;
use super::verdict::Compared;

/// A protocol, and the words of a trace that show the fault.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    /// What is simulated.
    pub protocol: Protocol,
    /// The fault was done where traces have all of them.
    pub words: &'static [&'static str],
}

impl Simulated {
    /// Simulates as many seeds as a profile wants, from `seed` on.
    ///
    /// # Errors
    ///
    /// The simulation cannot be made.
    pub(super) fn run(self, seed: u64, profile: Profile) -> Result<Findings, ExperimentError> {
        let failed = |error: &dyn std::fmt::Display| ExperimentError::Undisturbed {
            step: "the simulation".to_owned(),
            problem: error.to_string(),
            output: String::new(),
        };
        let simulation = Simulation::new().map_err(|error| failed(&error))?;
        let (mut done, mut problems) = (vec![0; self.words.len()], Vec::new());
        let seeds = profile.seeds();
        for seed in seed..seed.saturating_add(seeds) {
            let run = simulation.run(seed, self.protocol, true).map_err(|error| failed(&error))?;
            for (words, done) in self.words.iter().zip(&mut done) {
                *done += run.trace.iter().filter(|line| line.contains(words)).count();
            }
            let name = self.protocol.as_str();
            problems.extend(run.findings.iter().map(|finding| format!("seed {seed} of {name}: {finding}")));
        }
        let told = self.words.iter().zip(&done).map(|(words, done)| format!("`{words}` {done} times"));
        let told = told.collect::<Vec<_>>().join(", ");
        let is_done = done.iter().all(|done| *done > 0);
        let witness = is_done.then(|| format!("in the traces of {seeds} seeds {told}"));
        Ok(Findings { witness, problems, compared: Compared::default() })
    }
}
