//! Which of several servers a reader goes to. Pure.
//!
//! Those that answer come before those that do not, those that have not failed since the reader was served last before those
//! that have, those that have traffic before those that have not, and then the order in which they were given counts. A
//! server that has no traffic is better than none: what it serves is the same.

/// What a server says of itself before anybody reads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Traffic belongs there.
    Traffic,
    /// It was not asked, or does not know: a proxy may stand before it.
    Unknown,
    /// It lives, and wants its readers to go elsewhere.
    Elsewhere,
    /// It does not answer.
    Silent,
}

/// Servers, by their place in the order in which they were given.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    /// Who has failed since somebody served.
    failed: Vec<bool>,
    /// Who has said since then that it has not what comes next for the reader.
    without: Vec<bool>,
    /// How often all that could be asked had failed since then.
    rounds: u32,
}

impl Endpoints {
    /// Of so many servers.
    pub(crate) fn new(count: usize) -> Self {
        Self { failed: vec![false; count], without: vec![false; count], rounds: 0 }
    }

    /// Whether there is more than one.
    pub(crate) fn are_several(&self) -> bool {
        self.failed.len() > 1
    }

    /// The one to go to, as they stand now.
    pub(crate) fn choose(&self, standings: &[Standing]) -> usize {
        let standing = |at: usize| standings.get(at).copied().unwrap_or(Standing::Unknown);
        let order = |at: &usize| (standing(*at) == Standing::Silent, self.failed[*at], standing(*at), *at);
        (0..self.failed.len()).min_by_key(order).unwrap_or(0)
    }

    /// A server serves: whatever was wrong is over.
    pub(crate) fn begun(&mut self) {
        *self = Self::new(self.failed.len());
    }

    /// The connection to one has ended, or could not be had.
    pub(crate) fn ended(&mut self, at: usize) {
        let is_again = std::mem::replace(&mut self.failed[at], true);
        if is_again || self.failed.iter().all(|failed| *failed) {
            self.rounds = self.rounds.saturating_add(1);
            self.failed.fill(false);
            self.failed[at] = true;
        }
    }

    /// One has not what comes next for the reader. Whether all have said so by now: then waiting is in vain.
    pub(crate) fn is_without(&mut self, at: usize) -> bool {
        self.without[at] = true;
        self.without.iter().all(|without| *without)
    }

    /// How often all had failed: while one may be well, it does not pay to wait for long.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Elsewhere, Silent, Traffic, Unknown};
    use super::*;

    #[test]
    fn the_first_that_is_in_traffic_and_has_not_just_failed_is_chosen() {
        let check = |failed: &[usize], standings: &[Standing], expect: usize| {
            let mut endpoints = Endpoints::new(standings.len());
            failed.iter().for_each(|at| endpoints.ended(*at));
            assert_eq!(endpoints.choose(standings), expect, "{failed:?} {standings:?}");
        };
        check(&[], &[Traffic, Traffic], 0);
        check(&[], &[Elsewhere, Traffic], 1);
        check(&[], &[Unknown, Traffic], 1);
        check(&[], &[Silent, Elsewhere], 1);
        check(&[], &[Silent, Silent], 0);
        check(&[0], &[Traffic, Traffic], 1);
        // It says that traffic belongs there, and does not serve: others may.
        check(&[0], &[Traffic, Elsewhere], 1);
        check(&[0], &[Traffic, Silent], 0);
        check(&[0, 1], &[Traffic, Traffic, Elsewhere], 2);
        // All have failed: only the last one is remembered.
        check(&[0, 1], &[Traffic, Traffic], 0);
        check(&[0], &[Traffic], 0);
    }

    #[test]
    fn rounds_grow_when_all_that_answer_have_failed_and_end_when_one_serves() {
        let mut endpoints = Endpoints::new(2);
        let mut check = |at: usize, rounds: u32| {
            endpoints.ended(at);
            assert_eq!(endpoints.rounds(), rounds);
        };
        check(0, 0);
        check(1, 1);
        check(0, 2);
        // The other one is silent all the while.
        check(0, 3);
        endpoints.begun();
        assert_eq!(endpoints.rounds(), 0);
        assert!(endpoints.are_several() && !Endpoints::new(1).are_several());
    }

    #[test]
    fn a_place_is_lost_when_every_server_says_so() {
        let mut endpoints = Endpoints::new(2);
        assert!(!endpoints.is_without(1) && !endpoints.is_without(1));
        assert!(endpoints.is_without(0));
        endpoints.begun();
        assert!(!endpoints.is_without(0));
    }
}
