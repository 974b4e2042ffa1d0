//! One fault: done, watched until readers have new ledgers and the region has caught up, and noted.

use std::time::Duration;

use super::Experiment;
use super::plan::{Fault, Flapping, Round};
use super::report::RoundReport;
use crate::cluster::progress::load_average;
use crate::experiment::ExperimentError;

/// Readers without a new ledger, or a region that has not caught up, after this are stuck.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(120);

/// A region has caught up when what it serves is behind by no more than this.
const LAG_MAX: u32 = 2;

/// Between two rounds at least, so that traffic is where it belongs for some time.
const CALM: Duration = Duration::from_secs(2);

/// Between two looks at what regions say of each other.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A region that is back is heard again within this.
const HEARD_WITHIN: Duration = Duration::from_secs(8);

/// Away for longer than this, a region is not heard: that is the fault's witness.
const UNHEARD_AFTER: Duration = Duration::from_secs(5);

/// What is seen while a fault lasts and after it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) round: Round,
    pub(super) victim: usize,
    /// Another region.
    pub(super) other: usize,
    /// When the fault began, and the newest ledger then.
    pub(super) began: Duration,
    newest: u32,
    /// When it was ended.
    pub(super) returned: Option<Duration>,
    caught_up: Option<Duration>,
    equal: Option<Duration>,
    looked: Duration,
    pub(super) flapping: Option<Flapping>,
    /// Packets that were dropped before.
    pub(super) dropped: u64,
    pub(super) report: RoundReport,
}

impl Experiment<'_> {
    /// One fault, until it is overcome. What is not is a problem.
    pub(super) fn round(&mut self) -> Result<(), ExperimentError> {
        let round = self.plan.round();
        self.wait(CALM)?;
        let active = self.regions.iter().position(|region| region.has_traffic(self.network));
        let victim = match round.fault {
            // Traffic moves from where it is.
            Fault::Failover | Fault::Parted => active,
            _ => self.settings.victim.or(round.victim).or(active),
        };
        let victim = victim.unwrap_or_default();
        self.prepare(round.fault, victim)?;
        let mut watch = self.watch(round, victim, active == Some(victim));
        self.begin_fault(&mut watch)?;
        loop {
            self.pause()?;
            if watch.returned.is_none() {
                self.keep_on(&mut watch)?;
                if self.now() - watch.began >= round.away {
                    self.end_fault(&mut watch)?;
                    watch.returned = Some(self.now());
                }
            }
            self.look(&mut watch);
            if self.is_over(&watch) || !self.lake.goes_on() {
                break;
            }
            if self.now().saturating_sub(watch.returned.unwrap_or(watch.began + round.away)) > STUCK_AFTER {
                self.stuck(&watch);
                break;
            }
        }
        self.conclude(watch)
    }

    fn watch(&self, round: Round, victim: usize, had_traffic: bool) -> Watch {
        let (began, newest) = (self.now(), self.lake.newest());
        let report = RoundReport {
            number: self.report.rounds.len() + 1,
            fault: round.fault,
            region: victim + 1,
            had_traffic,
            load_average: load_average(),
            ..RoundReport::default()
        };
        let other = (victim + round.other) % self.regions.len().max(1);
        let (returned, caught_up, equal, flapping) = (None, None, None, None);
        Watch {
            round,
            victim,
            other,
            began,
            newest,
            returned,
            caught_up,
            equal,
            looked: began,
            flapping,
            dropped: 0,
            report,
        }
    }

    /// Whether readers and regions are as before.
    fn is_over(&self, watch: &Watch) -> bool {
        let all_went_on = self.roaming.iter().all(|reader| reader.came_after(watch.newest).is_some());
        all_went_on && watch.caught_up.is_some() && watch.equal.is_some()
    }

    /// Looks at the region's reader and, now and then, at what regions say.
    fn look(&mut self, watch: &mut Watch) {
        let now = self.now();
        if let Some(returned) = watch.returned
            && watch.caught_up.is_none()
            && self.has_caught_up(watch.victim)
        {
            watch.caught_up = Some(now - returned);
        }
        if now < watch.looked + LOOK_EVERY {
            return;
        }
        watch.looked = now;
        let is_down = watch.returned.is_none() && watch.round.fault.is_down();
        let views = self.views(Some(watch.victim).filter(|_| is_down));
        let unheard = views.iter().flatten().filter_map(|view| view.unheard_seconds).fold(0.0, f64::max);
        watch.report.unheard_seconds = watch.report.unheard_seconds.max(unheard);
        if watch.returned.is_some_and(|returned| now > returned + HEARD_WITHIN) {
            watch.report.unheard_after_seconds = watch.report.unheard_after_seconds.max(unheard);
        }
        if let Some(returned) = watch.returned
            && watch.equal.is_none()
            && views.iter().all(|view| view.as_ref().is_some_and(|view| view.all_equal))
        {
            watch.equal = Some(now - returned);
        }
    }

    /// Whether what a region serves is new enough. One that copies serves whole slots.
    pub(super) fn has_caught_up(&self, region: usize) -> bool {
        let slots = if self.settings.copies(region) { 2 * self.settings.workload.slot_ledgers } else { 0 };
        self.witnesses.get(region).is_some_and(|it| it.newest() + LAG_MAX + slots >= self.lake.newest())
    }

    fn stuck(&mut self, watch: &Watch) {
        let what = match () {
            () if self.roaming.iter().any(|reader| reader.came_after(watch.newest).is_none()) => {
                "a reader got no new ledger"
            }
            () if watch.caught_up.is_none() => "the region did not catch up",
            () => "the regions do not say that they are equal",
        };
        let (fault, region) = (watch.round.fault.name(), watch.victim + 1);
        self.report.problems.push(format!("{fault} of {region}: {what} in {} s", STUCK_AFTER.as_secs()));
    }

    fn conclude(&mut self, watch: Watch) -> Result<(), ExperimentError> {
        if let Some(region) = self.regions.iter().find(|region| region.has_ended()) {
            let problem = format!("{}: a node ended by itself:\n{}", region.name, region.output());
            self.report.problems.push(problem);
        }
        let Watch { round, victim, began, newest, returned, caught_up, equal, mut report, .. } = watch;
        let lasted = returned.unwrap_or(began) - began;
        if round.fault.is_unheard() && lasted > UNHEARD_AFTER && report.unheard_seconds < 2.0 {
            let problem =
                format!("{} of {}: every region was heard all the time", round.fault.name(), victim + 1);
            self.report.problems.push(problem);
        }
        let outages = self.roaming.iter().filter_map(|reader| reader.came_after(newest));
        let outages = outages.map(|at| at.saturating_sub(began).as_secs_f64());
        report.outage_seconds = outages.fold(0.0, f64::max);
        report.ledger = self.lake.newest();
        report.away_seconds = lasted.as_secs_f64();
        report.caught_up_seconds = caught_up.map(|time| time.as_secs_f64());
        report.equal_seconds = equal.map(|time| time.as_secs_f64());
        self.compare_logs(&report);
        let line = report.line();
        self.report.rounds.push(report);
        self.say(&line)
    }

    /// Lets so much time pass.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), ExperimentError> {
        let until = self.now() + time;
        while self.now() < until {
            self.pause()?;
        }
        Ok(())
    }
}
