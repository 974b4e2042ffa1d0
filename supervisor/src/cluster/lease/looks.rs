//! How the newest lease is found: most often by asking whether there is one after it.

use std::time::Duration;

use super::{Epoch, Lease};
use crate::clock::MonotonicTime;

/// Between two listings, which find what asking for the next one cannot: a lease after a gap.
const LIST_EVERY: Duration = Duration::from_secs(60);

/// After a longer time without an answer, the leases that were the next ones may be deleted already.
const TRUSTED: Duration = Duration::from_secs(10);

/// Leases that stay when those before are deleted: for people, and for nodes that were away. Taking this many over lasts
/// much longer than [`TRUSTED`].
const KEPT: u64 = 100;

/// How to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// List all.
    All,
    /// Ask for those after this one.
    After(Lease),
}

/// What was seen, and when it was asked for.
#[derive(Debug, Default)]
pub(super) struct Looks {
    listed_at: Option<MonotonicTime>,
    read_at: Option<MonotonicTime>,
}

impl Looks {
    /// How to look now.
    pub(super) fn next(&self, now: MonotonicTime, newest: Option<&Lease>) -> Look {
        let is_within = |at: Option<MonotonicTime>, limit| at.is_some_and(|at| now.since(at) < limit);
        let is_known = is_within(self.listed_at, LIST_EVERY) && is_within(self.read_at, TRUSTED);
        newest.filter(|_| is_known).cloned().map_or(Look::All, Look::After)
    }

    /// The store answered what it was asked `at` this time.
    pub(super) fn answered(&mut self, look: &Look, at: MonotonicTime) {
        self.read_at = Some(at);
        if *look == Look::All {
            self.listed_at = Some(at);
        }
    }

    /// This node created a lease: whether it is the newest, a listing shows.
    pub(super) const fn created(&mut self) {
        self.listed_at = None;
    }
}

/// Leases before this one may be deleted when the newest is `epoch`.
pub(super) fn forgotten_before(epoch: Epoch) -> Option<Epoch> {
    Epoch::new(epoch.get().saturating_sub(KEPT)).filter(|before| *before > Epoch::FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_lease_is_asked_for_as_long_as_the_last_one_is_known_well() {
        let lease = Lease { epoch: Epoch::FIRST, holder: "a.1".parse().unwrap() };
        let at = |seconds| MonotonicTime::ORIGIN.after(Duration::from_secs(seconds));
        let mut looks = Looks::default();
        let check = |looks: &Looks, seconds, newest: Option<&Lease>, is_list: bool| {
            assert_eq!(looks.next(at(seconds), newest) == Look::All, is_list, "{seconds} s: {looks:?}");
        };
        check(&looks, 0, None, true);
        check(&looks, 0, Some(&lease), true);
        looks.answered(&Look::All, at(0));
        check(&looks, 2, None, true);
        check(&looks, 2, Some(&lease), false);
        check(&looks, 10, Some(&lease), true);
        for seconds in (2..58).step_by(2) {
            looks.answered(&Look::After(lease.clone()), at(seconds));
        }
        check(&looks, 59, Some(&lease), false);
        check(&looks, 60, Some(&lease), true);
        looks.answered(&Look::All, at(60));
        check(&looks, 61, Some(&lease), false);
        looks.created();
        check(&looks, 61, Some(&lease), true);
    }

    #[test]
    fn the_last_hundred_leases_stay() {
        let check = |epoch: u64, expect: Option<u64>| {
            assert_eq!(forgotten_before(Epoch::new(epoch).unwrap()).map(Epoch::get), expect, "{epoch}");
        };
        check(1, None);
        check(101, None);
        check(102, Some(2));
        check(5000, Some(4900));
    }
}
