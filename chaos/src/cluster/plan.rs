//! What is done to whom and when, drawn from a seed.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::Random;

/// One round in so many hits the active coordinator.
const COORDINATOR_ONE_IN: u32 = 3;

/// Longest time between two faults.
const DELAY_MAX: Duration = Duration::from_secs(2);

/// A killed node is started again after this at the latest: sometimes before others notice, sometimes after.
const KILLED_MAX: Duration = Duration::from_secs(6);

/// A paused or cut node is so for this long at least: long enough to be taken for dead.
const AWAY_MIN: Duration = Duration::from_secs(3);

/// And this long at most.
const AWAY_MAX: Duration = Duration::from_secs(8);

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL, and a start some time later.
    Kill,
    /// SIGSTOP, and SIGCONT some time later.
    Stop,
    /// Its packets are dropped both ways, silently, for some time.
    Cut,
    /// SIGTERM to one node after the other, each started again as soon as it has ended: a rolling restart.
    Term,
    /// SIGKILL to all nodes at once, as when power fails; all are started again some time later.
    KillAll,
    /// What it sends to the next node is dropped, and nothing that comes back.
    OneWay,
    /// Its connections are answered by resets, and everything else is dropped.
    Refuse,
    /// One of five packets to any node is dropped.
    Lose,
    /// It has a line of 16 kbit a second.
    Narrow,
    /// Links to nodes are clogged one after the other, and freed in another order.
    Clog,
    /// All of its connections are reset, some times a second.
    Reset,
    /// Long packets to it are dropped, and short ones are not.
    DropLong,
    /// Packets to it come late, in another order, twice, or with other bytes.
    Mangle,
    /// As `Term`, and started again as another version of the program (`--other`), and the next time as this one.
    Replace,
}

impl Fault {
    /// Those that need no more than what `cluster --fault all` always did: a node, or its network, is gone.
    pub const ALL: [Self; 4] = [Self::Kill, Self::Stop, Self::Cut, Self::Term];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cut => "cut",
            Self::Term => "term",
            Self::KillAll => "kill-all",
            Self::OneWay => "one-way",
            Self::Refuse => "refuse",
            Self::Lose => "lose",
            Self::Narrow => "narrow",
            Self::Clog => "clog",
            Self::Reset => "reset",
            Self::DropLong => "drop-long",
            Self::Mangle => "mangle",
            Self::Replace => "replace",
        }
    }

    /// Whether others must find out that the node is away, and take it in again.
    pub(super) const fn is_away(self) -> bool {
        matches!(self, Self::Kill | Self::Stop | Self::Cut | Self::KillAll | Self::Refuse) || self.is_stop()
    }

    /// Whether it is done to a network of its own.
    pub(crate) const fn is_of_network(self) -> bool {
        !matches!(self, Self::Kill | Self::Stop | Self::KillAll) && !self.is_stop()
    }

    /// Whether a node is told to stop, one after the other, and started again as soon as it has ended.
    pub(super) const fn is_stop(self) -> bool {
        matches!(self, Self::Term | Self::Replace)
    }
}

/// Who is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    /// The node with this number, from 0.
    Node(usize),
    /// Whoever holds the newest lease; this node if nobody does.
    Coordinator(usize),
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// From 1.
    pub(super) number: u32,
    pub(super) fault: Fault,
    pub(super) victim: Victim,
    /// From the end of the round before.
    pub(super) delay: Duration,
    /// From the fault until it is ended; a node that is told to stop takes the time that it takes.
    pub(super) away: Duration,
}

/// Draws rounds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    random: Random,
    faults: Vec<Fault>,
    nodes: usize,
    number: u32,
    /// Who is next in a rolling restart.
    rolling: usize,
    /// Whether every round hits the coordinator.
    to_coordinator: bool,
}

impl Plan {
    /// `faults` in turn, at least one.
    pub(super) fn new(seed: u64, faults: &[Fault], nodes: usize, to_coordinator: bool) -> Self {
        let random = Random::new(seed);
        Self { random, faults: faults.to_vec(), nodes, number: 0, rolling: 0, to_coordinator }
    }

    /// The next round.
    pub(super) fn round(&mut self) -> Round {
        let turn = self.number as usize % self.faults.len().max(1);
        let fault = self.faults.get(turn).copied().unwrap_or(Fault::Kill);
        self.number += 1;
        let number = self.number;
        let delay = self.between(Duration::ZERO, DELAY_MAX);
        let drawn = self.random.below(self.nodes);
        let (victim, away) = match fault {
            Fault::Term | Fault::Replace if !self.to_coordinator => {
                let next = self.rolling;
                self.rolling = (next + 1) % self.nodes.max(1);
                (Victim::Node(next), Duration::ZERO)
            }
            Fault::Term | Fault::Replace => (self.victim(drawn), Duration::ZERO),
            Fault::Kill | Fault::KillAll => (self.victim(drawn), self.between(Duration::ZERO, KILLED_MAX)),
            _ => (self.victim(drawn), self.between(AWAY_MIN, AWAY_MAX)),
        };
        Round { number, fault, victim, delay, away }
    }

    fn victim(&self, drawn: usize) -> Victim {
        match self.to_coordinator || self.number.is_multiple_of(COORDINATOR_ONE_IN) {
            true => Victim::Coordinator(drawn),
            false => Victim::Node(drawn),
        }
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let micros = usize::try_from((most - least).as_micros()).unwrap_or(usize::MAX);
        least + Duration::from_micros(self.random.below(micros) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seed: u64, faults: &[Fault]) -> Vec<Round> {
        let mut plan = Plan::new(seed, faults, 3, false);
        (0..300).map(|_| plan.round()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_rounds_and_another_seed_others() {
        assert_eq!(rounds(1, &Fault::ALL), rounds(1, &Fault::ALL));
        assert_ne!(rounds(1, &Fault::ALL), rounds(2, &Fault::ALL));
    }

    #[test]
    fn every_third_round_hits_the_coordinator_with_every_fault_in_turn() {
        let rounds = rounds(3, &[Fault::Kill, Fault::Stop]);
        let hit = |round: &&Round| matches!(round.victim, Victim::Coordinator(_));
        let numbers: Vec<u32> = rounds.iter().filter(hit).map(|round| round.number).collect();
        assert_eq!(numbers, (1..=100).map(|third| third * 3).collect::<Vec<_>>());
        let killed = rounds.iter().filter(hit).filter(|round| round.fault == Fault::Kill).count();
        assert_eq!(killed, 50);
    }

    #[test]
    fn where_it_is_asked_for_every_round_hits_the_coordinator() {
        let mut plan = Plan::new(1, &[Fault::Term, Fault::Kill], 3, true);
        assert!((0..50).all(|_| matches!(plan.round().victim, Victim::Coordinator(_))));
    }

    #[test]
    fn times_are_within_their_bounds_and_every_node_is_hit() {
        let check = |fault: Fault, least: Duration, most: Duration| {
            let rounds = rounds(4, &[fault]);
            assert!(rounds.iter().all(|round| (least..=most).contains(&round.away)), "{fault:?}");
            assert!(rounds.iter().all(|round| round.delay <= DELAY_MAX));
            for node in 0..3 {
                assert!(rounds.iter().any(|round| round.victim == Victim::Node(node)), "{fault:?} {node}");
            }
        };
        check(Fault::Kill, Duration::ZERO, KILLED_MAX);
        check(Fault::Stop, AWAY_MIN, AWAY_MAX);
        check(Fault::Cut, AWAY_MIN, AWAY_MAX);
        check(Fault::Term, Duration::ZERO, Duration::ZERO);
    }

    #[test]
    fn a_rolling_restart_takes_one_node_after_the_other() {
        let victims: Vec<_> = rounds(5, &[Fault::Term]).iter().take(4).map(|round| round.victim).collect();
        assert_eq!(victims, [0, 1, 2, 0].map(Victim::Node));
    }
}
