//! What is done to which region and for how long, drawn from a seed.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::Random;

/// One round in so many hits the region that has traffic.
const ACTIVE_ONE_IN: usize = 2;

/// A region is away for this long at least, and this long at most.
const AWAY_MIN: Duration = Duration::from_secs(4);
const AWAY_MAX: Duration = Duration::from_secs(12);

/// What is done to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// SIGKILL to its nodes and its store; all are started again some time later.
    Kill,
    /// SIGSTOP to its nodes, and SIGCONT some time later.
    Stop,
    /// Packets from and to it are dropped, silently, for some time.
    Cut,
    /// Packets from it are dropped, and none to it.
    Mute,
    /// As `Kill`, and all that it had is gone: its store and what its nodes noted.
    Empty,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Kill, Self::Stop, Self::Cut, Self::Mute, Self::Empty];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cut => "cut",
            Self::Mute => "mute",
            Self::Empty => "empty",
        }
    }
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) fault: Fault,
    /// `None` for whichever has traffic.
    pub(super) victim: Option<usize>,
    /// From the fault until it is ended.
    pub(super) away: Duration,
}

/// Draws rounds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    random: Random,
    faults: Vec<Fault>,
    regions: usize,
    number: usize,
}

impl Plan {
    /// `faults` in turn, at least one.
    pub(super) fn new(seed: u64, faults: &[Fault], regions: usize) -> Self {
        Self { random: Random::new(seed), faults: faults.to_vec(), regions, number: 0 }
    }

    /// The next round.
    pub(super) fn round(&mut self) -> Round {
        let fault = self.faults.get(self.number % self.faults.len().max(1)).copied().unwrap_or(Fault::Kill);
        self.number += 1;
        let victim = self.random.below(self.regions);
        let victim = (self.random.below(ACTIVE_ONE_IN) != 0).then_some(victim);
        let span = usize::try_from((AWAY_MAX - AWAY_MIN).as_millis()).unwrap_or(usize::MAX);
        let away = AWAY_MIN + Duration::from_millis(self.random.below(span) as u64);
        Round { fault, victim, away }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_rounds_and_all_kinds_of_them() {
        let rounds = |seed| {
            let mut plan = Plan::new(seed, &Fault::ALL, 3);
            (0..200).map(|_| plan.round()).collect::<Vec<_>>()
        };
        assert_eq!(rounds(1), rounds(1));
        assert_ne!(rounds(1), rounds(2));
        let drawn = rounds(1);
        assert!(drawn.iter().any(|round| round.victim.is_none()));
        (0..3).for_each(|region| assert!(drawn.iter().any(|round| round.victim == Some(region))));
        assert!(drawn.iter().all(|round| (AWAY_MIN..=AWAY_MAX).contains(&round.away)));
        Fault::ALL.iter().for_each(|fault| assert!(drawn.iter().any(|round| round.fault == *fault)));
    }
}
