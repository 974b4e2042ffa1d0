//! One fault: done, watched until everything is as before, and noted.

use std::time::Duration;

use super::Experiment;
use super::disturbance::Disturbance;
use super::log_file::Line;
use super::nodes::Nodes;
use super::plan::{Fault, Round, Victim};
use super::progress::{Pauses, Tip, coordinator, load_average};
use super::report::RoundReport;
use crate::experiment::ExperimentError;
use crate::workload::FIRST_LEDGER;

/// A cluster that has not gone on, or a node that is not back, after this is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(90);

/// A node that is told to stop ends within this: what it says itself, 60 s after 10 s for handing over, and some for a
/// machine that has other things to do.
pub(super) const STOPS_WITHIN: Duration = Duration::from_secs(75);

/// A round while it lasts.
pub(super) struct Watched {
    pub(super) victim: usize,
    pub(super) fault: Fault,
    pub(super) began: Duration,
    pauses: Pauses,
    /// The slot with which everything is written that the victim had in work.
    passed_at: u32,
    /// When the fault was ended.
    returned: Option<Duration>,
    joined: Option<Duration>,
    works: Option<Duration>,
    /// What the fault did, and what shows it.
    pub(super) disturbance: Disturbance,
}

impl Watched {
    fn is_over(&self, tip: u32, slots: u32) -> bool {
        let is_complete = tip >= slots;
        let has_gone_on = tip >= self.passed_at && self.pauses.first_commit.is_some();
        let is_back = self.joined.is_some() && self.works.is_some();
        self.returned.is_some() && (is_complete || (has_gone_on && is_back))
    }

    /// Notes what logs say about the victim after its return.
    fn hear(&mut self, now: Duration, name: &str, lines: &[(usize, Line)]) {
        let Some(returned) = self.returned else { return };
        for (node, line) in lines {
            match line {
                Line::Joined(joined) if *node != self.victim && joined == name => {
                    self.joined.get_or_insert(now - returned);
                }
                Line::TaskBegins(_) | Line::SlotCommitted if *node == self.victim => {
                    self.works.get_or_insert(now - returned);
                }
                _ => {}
            }
        }
    }
}

impl Experiment<'_> {
    /// One fault, until it is overcome. What is not is a problem.
    pub(super) fn round(
        &mut self,
        nodes: &mut Nodes<'_>,
        tip: &mut Tip,
        round: &Round,
    ) -> Result<(), ExperimentError> {
        let slots = self.settings.workload.slots();
        nodes.read_logs();
        let leader = coordinator(nodes.dataset());
        let index_of = |name: &String| nodes.nodes.iter().position(|node| node.name == *name);
        let leads = leader.as_ref().and_then(index_of);
        let victim = match round.victim {
            Victim::Node(index) => index,
            Victim::Coordinator(index) => leads.unwrap_or(index),
        };
        let (load_average, at) = (load_average(), tip.look());
        let tasks = self.unwritten(nodes, victim, at);
        let began = self.now();
        let disturbance = self.begin(nodes, victim, round)?;
        let passed_at = tasks.iter().copied().max().unwrap_or(at + 1);
        let pauses = Pauses::from(began, at);
        let (fault, returned, works) = (round.fault, None, None);
        // Nobody need have noticed a fault that leaves the node where it is.
        let joined = (!fault.is_away()).then_some(Duration::ZERO);
        let mut watched =
            Watched { victim, fault, began, pauses, passed_at, returned, joined, works, disturbance };
        self.watch(nodes, tip, &mut watched, round.away)?;
        let name = nodes.nodes.get(victim).map(|node| node.name.clone()).unwrap_or_default();
        let seconds = |time: Duration| time.as_secs_f64();
        let report = RoundReport {
            number: self.report.rounds.len() + 1,
            fault: round.fault,
            was_coordinator: leads == Some(victim),
            tasks: tasks.len(),
            slots: at,
            away_seconds: watched.returned.map_or(0.0, |returned| seconds(returned - began)),
            first_commit_seconds: watched.pauses.first_commit.map(seconds),
            longest_pause_seconds: seconds(watched.pauses.longest),
            joined_seconds: watched.joined.map(seconds),
            works_seconds: watched.works.map(seconds),
            load_average,
            witness: watched.disturbance.witness.take(),
            node: name,
        };
        self.say(&line(&report, slots))?;
        self.report.rounds.push(report);
        Ok(())
    }

    /// Last slots of the tasks that a node has begun and that are not written yet.
    fn unwritten(&self, nodes: &Nodes<'_>, victim: usize, tip: u32) -> Vec<u32> {
        let width = self.settings.workload.slot_ledgers;
        let slot = |ledger: &u32| ledger / width - FIRST_LEDGER / width + 1;
        let begun = nodes.nodes.get(victim).map(|node| node.tasks.as_slice()).unwrap_or_default();
        let mut slots: Vec<u32> = begun.iter().map(slot).filter(|slot| *slot > tip).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn watch(
        &mut self,
        nodes: &mut Nodes<'_>,
        tip: &mut Tip,
        watched: &mut Watched,
        away: Duration,
    ) -> Result<(), ExperimentError> {
        let slots = self.settings.workload.slots();
        let name = nodes.nodes.get(watched.victim).map(|node| node.name.clone()).unwrap_or_default();
        loop {
            // Lines of before its return say nothing about it.
            let lines = nodes.read_logs();
            let (now, has) = (self.now(), tip.look());
            watched.pauses.see(now, has);
            watched.hear(now, &name, &lines);
            if watched.returned.is_none() && self.ends_fault(nodes, watched, away)? {
                watched.returned = Some(self.now());
            }
            let but = watched.returned.is_none().then_some(watched.victim);
            self.note_ends(nodes, but, has >= slots)?;
            if watched.is_over(has, slots) || !self.report.problems.is_empty() {
                return Ok(());
            }
            if has < slots && watched.pauses.lasts(now) > STUCK_AFTER {
                let problem =
                    format!("nothing was committed in {} s after slot {has}", STUCK_AFTER.as_secs());
                self.report.problems.push(problem);
            }
            if let Some(returned) = watched.returned
                && now.saturating_sub(returned) > STUCK_AFTER
                && (watched.joined.is_none() || watched.works.is_none())
            {
                let (joined, works) = (watched.joined, watched.works);
                let problem = format!(
                    "node {name} is not back after {} s: joined {joined:?}, works {works:?}",
                    STUCK_AFTER.as_secs()
                );
                self.report.problems.push(problem);
            }
            self.pause();
        }
    }
}

/// For the progress.
fn line(report: &RoundReport, slots: u32) -> String {
    let RoundReport { number, fault, node, tasks, slots: at, away_seconds, .. } = report;
    let who = if report.was_coordinator { ", the coordinator," } else { "" };
    let seconds = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1} s"));
    format!(
        "{number}: {} {node}{who} with {tasks} tasks at slot {at} of {slots}, away {away_seconds:.1} s: first commit {}, \
         longest pause {:.1} s; joined {}, works {}; load {:.0}",
        fault.name(),
        seconds(report.first_commit_seconds),
        report.longest_pause_seconds,
        seconds(report.joined_seconds),
        seconds(report.works_seconds),
        report.load_average.unwrap_or_default()
    )
}
