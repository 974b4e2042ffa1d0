//! Faults to the process of a node.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::world::World;

/// P1 and P11: SIGKILL; the node is started again when the fault ends.
#[derive(Debug, Default)]
pub(in crate::run) struct Kill {
    witness: Option<String>,
}

impl Fault for Kill {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let ended = world.kill()?.filter(|ended| ended.was_killed());
        self.witness = ended.map(|ended| format!("the node ended by {}", ended.status));
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        self.witness.clone()
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.start()
    }
}

/// P5: SIGSTOP, and SIGCONT when the fault ends.
#[derive(Debug, Default)]
pub(in crate::run) struct Pause;

impl Fault for Pause {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        world.signal(Signal::SIGSTOP);
        Ok(())
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let state = process_state(world)?;
        (state == 'T').then(|| "the node's state is T, stopped".to_owned())
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.signal(Signal::SIGCONT);
        Ok(())
    }
}

/// The letter by which the system describes what the node does.
fn process_state(world: &World) -> Option<char> {
    let id = world.node_id()?.to_string();
    let stat = std::fs::read_to_string(std::path::Path::new("/proc").join(id).join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// P9: SIGTERM in the middle of work; the node must end by itself and well, and is started again.
#[derive(Debug, Default)]
pub(in crate::run) struct Stop {
    witness: Option<String>,
    problem: Option<String>,
}

impl Fault for Stop {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let Some(ended) = world.stop(Duration::from_secs(75))? else { return Ok(()) };
        self.witness = Some(format!("told to stop, the node ended with {}", ended.status));
        self.problem = (!ended.status.success()).then(|| format!("it did not end well: {}", ended.output));
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        self.witness.clone()
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.start()
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        self.problem.take().into_iter().collect()
    }
}

/// Starts with what the node cannot run with.
const BAD_STARTS: usize = 4;

/// The exit code of a node that cannot run with its settings.
const CONFIGURATION: i32 = 78;

/// P10: the node is started again and again with a setting that it does not know. Each time it must say so and end, and
/// nothing of the dataset may change.
#[derive(Debug, Default)]
pub(in crate::run) struct BadStarts {
    ends: Vec<String>,
    problems: Vec<String>,
}

impl Fault for BadStarts {
    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        world.stop(Duration::from_secs(75))?;
        let config = world.setup.folder.join("orrery.toml");
        let write = |text: &str| std::fs::write(&config, text).map_err(ExperimentError::io("write", &config));
        write("[source]\nno_such_key = 1\n")?;
        let before = world.committed();
        for _ in 0..BAD_STARTS {
            world.start()?;
            let Some(ended) = world.end(Duration::from_secs(30))? else { continue };
            match ended.status.code() {
                Some(CONFIGURATION) if ended.output.contains("no_such_key") => {
                    self.ends.push(ended.status.to_string());
                }
                _ => self
                    .problems
                    .push(format!("with a bad key it ended with {}: {}", ended.status, ended.output)),
            }
        }
        if world.committed() != before {
            self.problems.push("a node that cannot run has written".to_owned());
        }
        let good = world.setup.configuration.clone();
        write(&good)
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let last = self.ends.last()?;
        Some(format!("{} starts ended with {last}, and named the key", self.ends.len()))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.start()
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}
