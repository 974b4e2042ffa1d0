//! When the next kill comes, and what happens to the node's state before: drawn from a seed, paced by what is left.

use std::time::Duration;

use crate::Random;
use crate::faults::StateDamage;

/// One kill in so many comes right after the start.
const AT_START_ONE_IN: usize = 8;

/// How long that is.
const AT_START: Duration = Duration::from_millis(20);

/// The state is deleted or damaged before one start in so many.
const DAMAGE_ONE_IN: usize = 5;

/// The last kills have shares as if so many were left, so that a dataset outlives them.
const ROUNDS_LEFT_MIN: u32 = 5;

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// From start to kill.
    pub(super) delay: Duration,
    /// Whether that is one of the moments right after the start.
    pub(super) is_at_start: bool,
    /// Before the start.
    pub(super) damage: Option<StateDamage>,
}

/// What is known of how fast a node works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    start: Duration,
    slot: Duration,
}

impl Pace {
    /// From the times of a run that does almost nothing and of one that writes so many slots.
    pub(super) fn new(start: Duration, whole: Duration, slots: u32) -> Self {
        Self { start, slot: whole.saturating_sub(start) / slots.max(1) }
    }

    /// The next round. What is left is shared among the kills that are left: delays are even between zero and twice the
    /// time for a start and one share, so that on average about a share is done.
    pub(super) fn round(self, random: &mut Random, slots_left: u32, rounds_left: u32) -> Round {
        let is_at_start = random.below(AT_START_ONE_IN) == 0;
        let share = self.slot * slots_left / rounds_left.max(ROUNDS_LEFT_MIN);
        let longest = if is_at_start { AT_START } else { (self.start + share) * 2 };
        let micros = usize::try_from(longest.as_micros()).unwrap_or(usize::MAX);
        let delay = Duration::from_micros(random.below(micros) as u64);
        let is_damaged = random.below(DAMAGE_ONE_IN) == 0;
        let damage = StateDamage::ALL[random.below(StateDamage::ALL.len())];
        Round { delay, is_at_start, damage: is_damaged.then_some(damage) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: (Duration, Duration, u32) = (Duration::from_millis(100), Duration::from_millis(1100), 10);

    fn rounds(seed: u64, slots_left: u32, rounds_left: u32) -> Vec<Round> {
        let (mut random, pace) = (Random::new(seed), Pace::new(PACE.0, PACE.1, PACE.2));
        (0..2000).map(|_| pace.round(&mut random, slots_left, rounds_left)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_rounds_and_another_seed_others() {
        assert_eq!(rounds(1, 10, 5), rounds(1, 10, 5));
        assert_ne!(rounds(1, 10, 5), rounds(2, 10, 5));
    }

    #[test]
    fn delays_reach_from_the_start_to_twice_a_share() {
        let check = |slots_left, rounds_left, mean_ms: u128| {
            let rounds: Vec<_> =
                rounds(3, slots_left, rounds_left).into_iter().filter(|round| !round.is_at_start).collect();
            let mean =
                rounds.iter().map(|round| round.delay.as_millis()).sum::<u128>() / rounds.len() as u128;
            assert!(mean.abs_diff(mean_ms) < mean_ms / 10, "{mean} for {mean_ms}");
            assert!(rounds.iter().all(|round| round.delay.as_millis() <= 2 * mean_ms));
        };
        check(10, 5, 300);
        check(10, 10, 200);
        check(0, 10, 100);
        check(10, 0, 300);
    }

    #[test]
    fn some_kills_come_at_the_start_and_every_damage_is_done() {
        let rounds = rounds(4, 10, 5);
        let at_start: Vec<_> = rounds.iter().filter(|round| round.is_at_start).collect();
        assert!((200..300).contains(&at_start.len()), "{}", at_start.len());
        assert!(at_start.iter().all(|round| round.delay <= AT_START));
        for damage in StateDamage::ALL {
            assert!(rounds.iter().any(|round| round.damage == Some(damage)), "{damage:?}");
        }
        let undamaged = rounds.iter().filter(|round| round.damage.is_none()).count();
        assert!((1500..1700).contains(&undamaged), "{undamaged}");
    }
}
