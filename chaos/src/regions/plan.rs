//! What is done to which region and for how long, drawn from a seed.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::Random;

/// One round in so many hits the region that has traffic.
const ACTIVE_ONE_IN: usize = 2;

/// A region is away for this long at least, and this long at most, if nothing else is asked for.
const AWAY_MIN: Duration = Duration::from_secs(4);
const AWAY_MAX: Duration = Duration::from_secs(12);

/// A link that flaps changes after this long at least, and this long at most.
const FLAPS_MIN: Duration = Duration::from_millis(200);
const FLAPS_MAX: Duration = Duration::from_secs(5);

/// What is done to a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL to its nodes and its store; all are started again some time later.
    #[default]
    Kill,
    /// SIGSTOP to its nodes, and SIGCONT some time later.
    Stop,
    /// SIGSTOP to its nodes and its store in the middle of a write, and SIGCONT some time later.
    Pause,
    /// Packets from and to it are dropped, silently, for some time.
    Cut,
    /// Packets from it are dropped, and none to it.
    Mute,
    /// Packets to it are dropped, and none from it.
    Deaf,
    /// Packets between it and the other regions are dropped, and none of readers: two sides that both go on.
    Split,
    /// Packets from it to one other region are dropped, and none that come back.
    OneWay,
    /// As `Split`, on and off every 0.2 to 5 s.
    Flap,
    /// As `Kill`, and all that it had is gone: its store and what its nodes noted.
    Empty,
    /// As `Kill`, and an earlier state of its disks comes back: its store and what its nodes noted.
    Old,
    /// As `Kill`, and the newest slot of a table says something else: it must be found, park that region, and be mended.
    Differ,
    /// No fault: traffic is moved from the region that has it to another one, by plan, and back some time later.
    Failover,
    /// As `Split`, and meanwhile an operator of another region moves traffic there, without asking the one that has it.
    Parted,
    /// Long packets from and to it are dropped, silently, and short ones are not.
    DropLong,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Cut,
        Self::Mute,
        Self::Deaf,
        Self::Split,
        Self::OneWay,
        Self::Flap,
        Self::Empty,
        Self::Old,
        Self::Differ,
        Self::Failover,
        Self::Parted,
        Self::DropLong,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Cut => "cut",
            Self::Mute => "mute",
            Self::Deaf => "deaf",
            Self::Split => "split",
            Self::OneWay => "one-way",
            Self::Flap => "flap",
            Self::Empty => "empty",
            Self::Old => "old",
            Self::Differ => "differ",
            Self::Failover => "failover",
            Self::Parted => "parted",
            Self::DropLong => "drop-long",
        }
    }

    /// Whether packets are dropped.
    pub(crate) const fn is_of_network(self) -> bool {
        matches!(self, Self::Cut | Self::Mute | Self::Deaf | Self::Split | Self::OneWay)
            || matches!(self, Self::Flap | Self::Parted | Self::DropLong)
    }

    /// Whether the region's nodes answer nobody while it lasts.
    pub(super) const fn is_down(self) -> bool {
        matches!(self, Self::Kill | Self::Stop | Self::Pause | Self::Empty | Self::Old | Self::Differ)
    }

    /// Whether other regions do not hear it while it lasts, if that is long enough.
    pub(super) const fn is_unheard(self) -> bool {
        !matches!(self, Self::Flap | Self::Failover | Self::DropLong)
    }
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) fault: Fault,
    /// `None` for whichever has traffic.
    pub(super) victim: Option<usize>,
    /// Added to the victim's number, another region.
    pub(super) other: usize,
    /// From the fault until it is ended.
    pub(super) away: Duration,
    /// For whatever the fault draws while it lasts.
    pub(super) seed: u64,
}

/// Draws rounds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    random: Random,
    faults: Vec<Fault>,
    regions: usize,
    /// For how long a region is away, if that is not drawn.
    outage: Option<Duration>,
    number: usize,
}

impl Plan {
    /// `faults` in turn, at least one.
    pub(super) fn new(seed: u64, faults: &[Fault], regions: usize, outage: Option<Duration>) -> Self {
        Self { random: Random::new(seed), faults: faults.to_vec(), regions, outage, number: 0 }
    }

    /// The next round.
    pub(super) fn round(&mut self) -> Round {
        let fault = self.faults.get(self.number % self.faults.len().max(1)).copied().unwrap_or(Fault::Kill);
        self.number += 1;
        let victim = self.random.below(self.regions);
        let victim = (self.random.below(ACTIVE_ONE_IN) != 0).then_some(victim);
        let drawn = between(&mut self.random, AWAY_MIN, AWAY_MAX);
        let other = 1 + self.random.below(self.regions.saturating_sub(1));
        let away = self.outage.unwrap_or(drawn);
        Round { fault, victim, other, away, seed: self.random.next_u64() }
    }
}

/// A time, both included in milliseconds.
fn between(random: &mut Random, min: Duration, max: Duration) -> Duration {
    let span = usize::try_from((max - min).as_millis()).unwrap_or(usize::MAX);
    min + Duration::from_millis(random.below(span.saturating_add(1)) as u64)
}

/// When a link that flaps is cut and when it is not.
#[derive(Clone, Debug)]
pub(super) struct Flapping {
    random: Random,
    changes: Duration,
    is_cut: bool,
}

impl Flapping {
    /// Of a link that is cut at `now`.
    pub(super) fn new(seed: u64, now: Duration) -> Self {
        let mut random = Random::new(seed);
        let changes = now + between(&mut random, FLAPS_MIN, FLAPS_MAX);
        Self { random, changes, is_cut: true }
    }

    /// Whether it is cut from now on, if that changes at `now`.
    pub(super) fn changes(&mut self, now: Duration) -> Option<bool> {
        if now < self.changes {
            return None;
        }
        self.is_cut = !self.is_cut;
        self.changes = now + between(&mut self.random, FLAPS_MIN, FLAPS_MAX);
        Some(self.is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_rounds_and_all_kinds_of_them() {
        let rounds = |seed, outage| {
            let mut plan = Plan::new(seed, &Fault::ALL, 3, outage);
            (0..200).map(|_| plan.round()).collect::<Vec<_>>()
        };
        assert_eq!(rounds(1, None), rounds(1, None));
        assert_ne!(rounds(1, None), rounds(2, None));
        let drawn = rounds(1, None);
        assert!(drawn.iter().any(|round| round.victim.is_none()));
        (0..3).for_each(|region| assert!(drawn.iter().any(|round| round.victim == Some(region))));
        assert!(drawn.iter().all(|round| (AWAY_MIN..=AWAY_MAX).contains(&round.away)));
        (1..3).for_each(|other| assert!(drawn.iter().any(|round| round.other == other)));
        assert!(drawn.iter().all(|round| (1..3).contains(&round.other)));
        Fault::ALL.iter().for_each(|fault| assert!(drawn.iter().any(|round| round.fault == *fault)));
        let minutes = Duration::from_secs(120);
        assert!(rounds(1, Some(minutes)).iter().all(|round| round.away == minutes));
    }

    #[test]
    fn a_link_that_flaps_is_cut_and_whole_in_turn() {
        let mut flapping = Flapping::new(1, Duration::ZERO);
        let mut changes = Vec::new();
        for millis in 0..60_000 {
            let now = Duration::from_millis(millis);
            changes.extend(flapping.changes(now).map(|is_cut| (now, is_cut)));
        }
        assert!(changes.len() >= 12, "{changes:?}");
        let mut before = (Duration::ZERO, true);
        for change in changes {
            assert_eq!(change.1, !before.1);
            let lasted = change.0 - before.0;
            assert!((FLAPS_MIN..=FLAPS_MAX + Duration::from_millis(1)).contains(&lasted), "{lasted:?}");
            before = change;
        }
    }
}
