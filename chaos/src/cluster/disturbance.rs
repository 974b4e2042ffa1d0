//! How each fault is done to a node of a cluster, kept on, seen, and ended.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Experiment;
use super::nodes::Nodes;
use super::plan::{Fault, Round};
use super::round::{STOPS_WITHIN, Watched};
use crate::experiment::ExperimentError;
use crate::network::{Mangler, Network};

/// Less than a node says to the others while all is well: with more, nothing would have to wait.
const KILOBITS: u32 = 16;

/// One of five.
const LOST_PERCENT: u32 = 20;

/// Longest packets that pass where long ones do not: less than any link has.
const LENGTH_MAX: u32 = 500;

/// Between two resets of all connections of a node.
const RESETS_EVERY: Duration = Duration::from_millis(300);

/// A fault while it lasts.
#[derive(Debug, Default)]
pub(super) struct Disturbance {
    /// What shows that it happened.
    pub(super) witness: Option<String>,
    /// Packets that were dropped before it.
    dropped: u64,
    /// Ends of connections that were reset.
    resets: usize,
    /// When the next thing is to be done.
    due: Duration,
    /// Nodes that were clogged or freed so far.
    steps: usize,
    /// What takes packets from the system and gives others back.
    mangler: Option<Mangler>,
}

impl Experiment<'_> {
    fn network(&self) -> Option<&Network> {
        self.network.as_ref().map(|(network, _)| *network)
    }

    /// Does it.
    pub(super) fn begin(
        &mut self,
        nodes: &mut Nodes<'_>,
        victim: usize,
        round: &Round,
    ) -> Result<Disturbance, ExperimentError> {
        let mut done = Disturbance { due: self.now(), ..Disturbance::default() };
        done.dropped = self.network().map_or(0, Network::dropped);
        match round.fault {
            Fault::Kill => self.kill(nodes, &[victim], &mut done)?,
            Fault::KillAll => {
                let all: Vec<usize> = (0..self.settings.nodes).collect();
                self.kill(nodes, &all, &mut done)?;
            }
            Fault::Stop => {
                nodes.signal(victim, Signal::SIGSTOP);
                done.witness = state_of(nodes, victim)
                    .filter(|state| *state == 'T')
                    .map(|state| format!("its state is {state}"));
            }
            Fault::Term | Fault::Replace => nodes.signal(victim, Signal::SIGTERM),
            Fault::Mangle => {
                let seed = self.settings.seed ^ u64::from(round.number);
                done.mangler = self.network().map(|network| network.mangle(victim, seed)).transpose()?;
            }
            fault => self
                .network()
                .map_or(Ok(()), |network| disturb(network, fault, victim, self.settings.nodes))?,
        }
        Ok(done)
    }

    /// SIGKILL to all of these, and then a look at how each ended.
    fn kill(
        &mut self,
        nodes: &mut Nodes<'_>,
        victims: &[usize],
        done: &mut Disturbance,
    ) -> Result<(), ExperimentError> {
        victims.iter().for_each(|victim| nodes.signal(*victim, Signal::SIGKILL));
        let mut killed = 0;
        for victim in victims {
            let Some(ended) = nodes.finish(*victim, STOPS_WITHIN)? else { continue };
            match ended.was_killed() {
                true => killed += 1,
                false => {
                    self.report.problems.push(nodes.ended_badly(*victim, "before it was killed", &ended))
                }
            }
        }
        done.witness = (killed > 0).then(|| format!("{killed} ended by SIGKILL"));
        Ok(())
    }

    /// Goes on with a fault, and ends it when its time has come. True if it has ended.
    pub(super) fn ends_fault(
        &mut self,
        nodes: &mut Nodes<'_>,
        watched: &mut Watched,
        away: Duration,
    ) -> Result<bool, ExperimentError> {
        let (victim, lasted) = (watched.victim, self.now() - watched.began);
        if watched.fault.is_stop() {
            return self.ends_stop(nodes, watched, lasted);
        }
        if lasted < away {
            self.keep_on(watched, away)?;
            return Ok(false);
        }
        self.witness(watched);
        match watched.fault {
            Fault::Kill => nodes.start(victim)?,
            Fault::KillAll => (0..self.settings.nodes).try_for_each(|index| nodes.start(index))?,
            Fault::Stop => nodes.signal(victim, Signal::SIGCONT),
            Fault::Narrow => self.network().map_or(Ok(()), |network| network.widen(victim))?,
            Fault::Mangle => drop(watched.disturbance.mangler.take()),
            _ => self.network().map_or(Ok(()), Network::heal)?,
        }
        Ok(true)
    }

    fn ends_stop(
        &mut self,
        nodes: &mut Nodes<'_>,
        watched: &mut Watched,
        lasted: Duration,
    ) -> Result<bool, ExperimentError> {
        let victim = watched.victim;
        if !nodes.has_ended(victim) && lasted < STOPS_WITHIN {
            return Ok(false);
        }
        if let Some(ended) = nodes.finish(victim, Duration::ZERO)? {
            let seconds = lasted.as_secs_f64();
            watched.disturbance.witness = Some(match ended.status.signal() {
                Some(signal) => format!("ended by signal {signal} after {seconds:.1} s"),
                None => format!("told to stop, ended with {} after {seconds:.1} s", ended.status),
            });
            if !ended.status.success() {
                let when = format!("{seconds:.1} s after it was told to stop");
                self.report.problems.push(nodes.ended_badly(victim, &when, &ended));
            }
        }
        if watched.fault == Fault::Replace {
            let version = nodes.replace(victim)?;
            let ended = watched.disturbance.witness.take();
            watched.disturbance.witness = ended.map(|ended| format!("{ended}, started again as {version}"));
        }
        nodes.start(victim)?;
        Ok(true)
    }

    /// What shows that there was something to disturb.
    fn witness(&self, watched: &mut Watched) {
        let Some(network) = self.network().filter(|_| watched.fault.is_of_network()) else { return };
        let done = &mut watched.disturbance;
        done.witness = match watched.fault {
            Fault::Narrow => {
                let waited = network.waited(watched.victim);
                (waited > 0).then(|| format!("{waited} times something waited for the line"))
            }
            Fault::Mangle => done.mangler.as_ref().and_then(Mangler::witness),
            Fault::Reset => {
                (done.resets > 0).then(|| format!("{} ends of connections were reset", done.resets))
            }
            _ => {
                let dropped = network.dropped().saturating_sub(done.dropped);
                (dropped > 0).then(|| format!("{dropped} packets were dropped"))
            }
        };
    }

    fn keep_on(&self, watched: &mut Watched, away: Duration) -> Result<(), ExperimentError> {
        let (now, nodes) = (self.now(), self.settings.nodes);
        let Some(network) = self.network().filter(|_| now >= watched.disturbance.due) else { return Ok(()) };
        let (victim, done) = (watched.victim, &mut watched.disturbance);
        match watched.fault {
            Fault::Reset => {
                done.resets += network.reset(victim)?;
                done.due = now + RESETS_EVERY;
            }
            Fault::Clog => {
                // One after the other is clogged, and then they are freed, the second one first.
                let step = done.steps;
                let node = (victim + step + usize::from(step >= nodes)) % nodes;
                match step {
                    step if step < nodes => network.deafen(node)?,
                    step if step < 2 * nodes => network.unclog(node)?,
                    _ => {}
                }
                done.steps += 1;
                done.due = now + away / u32::try_from(2 * nodes + 1).unwrap_or(u32::MAX);
            }
            _ => {}
        }
        Ok(())
    }
}

fn disturb(network: &Network, fault: Fault, victim: usize, nodes: usize) -> Result<(), ExperimentError> {
    match fault {
        Fault::Cut => network.cut(victim),
        Fault::OneWay => network.drop_on_the_way(victim, (victim + 1) % nodes.max(1)),
        Fault::Refuse => network.refuse(victim),
        Fault::Lose => network.lose(LOST_PERCENT),
        Fault::Narrow => network.narrow(victim, KILOBITS),
        Fault::DropLong => network.drop_long(victim, LENGTH_MAX),
        // Those that are done again and again begin at once.
        _ => Ok(()),
    }
}

/// The letter by which the system describes what a node does.
fn state_of(nodes: &Nodes<'_>, index: usize) -> Option<char> {
    let id = nodes.nodes.get(index)?.running.as_ref()?.id()?.to_string();
    // The state changes when the signal is handled, not when it is sent.
    (0..100).find_map(|_| {
        let stat = std::fs::read_to_string(Path::new("/proc").join(&id).join("stat")).ok()?;
        let state = stat.rsplit_once(')')?.1.trim_start().chars().next()?;
        if state != 'T' {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        (state == 'T').then_some(state)
    })
}
