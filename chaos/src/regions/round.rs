//! One fault: done, watched until readers have new ledgers and the region has caught up, and noted.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Experiment;
use super::plan::{Fault, Round};
use super::report::RoundReport;
use crate::cluster::progress::load_average;
use crate::experiment::ExperimentError;

/// Readers without a new ledger, or a region that has not caught up, after this are stuck.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// A region has caught up when what it serves is behind by no more than this.
const LAG_MAX: u32 = 2;

/// Between two rounds at least, so that traffic is where it belongs for some time.
const CALM: Duration = Duration::from_secs(2);

impl Experiment<'_> {
    /// One fault, until it is overcome. What is not is a problem.
    pub(super) fn round(&mut self) -> Result<(), ExperimentError> {
        let round = self.plan.round();
        let calm = self.now() + CALM;
        while self.now() < calm {
            self.pause()?;
        }
        let active = self.regions.iter().position(|region| region.has_traffic(self.network));
        let victim = round.victim.or(active).unwrap_or_default();
        let load_average = load_average();
        let (newest, began) = (self.lake.newest(), self.now());
        self.begin_fault(round.fault, victim)?;
        let (mut returned, mut caught_up) = (None, None);
        loop {
            self.pause()?;
            let now = self.now();
            if returned.is_none() && now - began >= round.away {
                self.end_fault(round.fault, victim)?;
                returned = Some(self.now());
            }
            if let Some(returned) = returned
                && caught_up.is_none()
                && self.witnesses.get(victim).is_some_and(|it| it.newest() + LAG_MAX >= self.lake.newest())
            {
                caught_up = Some(now - returned);
            }
            let all_went_on = self.roaming.iter().all(|reader| reader.came_after(newest).is_some());
            if (all_went_on && caught_up.is_some()) || !self.lake.goes_on() {
                break;
            }
            if now - began > round.away + STUCK_AFTER {
                let what =
                    if all_went_on { "the region did not catch up" } else { "a reader got no new ledger" };
                let problem = format!(
                    "{} of {}: {what} in {} s",
                    round.fault.name(),
                    victim + 1,
                    STUCK_AFTER.as_secs()
                );
                self.report.problems.push(problem);
                break;
            }
        }
        let outages = self.roaming.iter().filter_map(|reader| reader.came_after(newest));
        let outages: Vec<f64> = outages.map(|at| at.saturating_sub(began).as_secs_f64()).collect();
        self.note(&round, victim, active == Some(victim), &outages, caught_up, load_average)
    }

    fn begin_fault(&mut self, fault: Fault, victim: usize) -> Result<(), ExperimentError> {
        match fault {
            Fault::Cut => self.network.cut(victim)?,
            Fault::Mute => self.network.mute(victim)?,
            Fault::Kill | Fault::Stop | Fault::Empty => {}
        }
        let Some(region) = self.regions.get_mut(victim) else { return Ok(()) };
        match fault {
            Fault::Kill => region.kill(),
            Fault::Empty => {
                region.kill()?;
                region.empty()
            }
            Fault::Stop => {
                region.signal(Signal::SIGSTOP);
                Ok(())
            }
            Fault::Cut | Fault::Mute => Ok(()),
        }
    }

    fn end_fault(&mut self, fault: Fault, victim: usize) -> Result<(), ExperimentError> {
        match fault {
            Fault::Kill | Fault::Empty => self.bring_up(victim),
            Fault::Stop => {
                self.regions.iter().skip(victim).take(1).for_each(|region| region.signal(Signal::SIGCONT));
                Ok(())
            }
            Fault::Cut | Fault::Mute => self.network.heal(),
        }
    }

    fn note(
        &mut self,
        round: &Round,
        victim: usize,
        had_traffic: bool,
        outages: &[f64],
        caught_up: Option<Duration>,
        load_average: Option<f64>,
    ) -> Result<(), ExperimentError> {
        if let Some(region) = self.regions.iter().find(|region| region.has_ended()) {
            self.report.problems.push(format!(
                "{}: a node ended by itself:\n{}",
                region.name,
                region.output()
            ));
        }
        let outage_seconds = outages.iter().copied().fold(0.0, f64::max);
        let done = RoundReport {
            number: self.report.rounds.len() + 1,
            fault: round.fault,
            region: victim + 1,
            had_traffic,
            ledger: self.lake.newest(),
            away_seconds: round.away.as_secs_f64(),
            outage_seconds,
            caught_up_seconds: caught_up.map(|time| time.as_secs_f64()),
            load_average,
        };
        let line = format!(
            "{}: {} {}{} at ledger {}, away {:.1} s: a new ledger after {outage_seconds:.1} s, caught up {}; load {:.0}",
            done.number,
            done.fault.name(),
            super::name_of(victim),
            if had_traffic { ", which had traffic," } else { "" },
            done.ledger,
            done.away_seconds,
            done.caught_up_seconds
                .map_or("never".to_owned(), |seconds| format!("{seconds:.1} s after its return")),
            load_average.unwrap_or_default(),
        );
        self.report.rounds.push(done);
        self.say(&line)
    }
}
