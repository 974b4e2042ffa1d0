//! Whether a newcomer may take its name.
//!
//! A node that is told whom to join first listens, and tells nothing of itself: nobody counts it. As soon as anybody is
//! heard, it knows whether others know a former life of its name. One at this node's own address has ended, since two
//! cannot have one port: it is succeeded at once. One elsewhere may be a node that works, whose name was given twice, or
//! one that was killed a moment ago and comes back on another machine: it is called for a second. If it answers, or its
//! heartbeat goes on to rise, it lives, and the newcomer does not start. A killed node's heartbeat may rise once or twice
//! more as old news spreads, but not for long: only the second half of the time counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::MonotonicTime;
use crate::cluster::NodeIdentity;

/// How long a former life is called. A node that is there answers within milliseconds.
const LISTEN: Duration = Duration::from_secs(1);

/// From then on a rise of its heartbeat is no old news.
const NEWS_OLD: Duration = Duration::from_millis(500);

/// Rises after [`NEWS_OLD`] that show it to live: two thirds of what a live one has.
const RISES: u32 = 2;

/// Another life of this node's name, as gossip tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Namesake {
    pub(super) identity: NodeIdentity,
    /// Of its datagrams.
    pub(super) address: SocketAddr,
    pub(super) heartbeat: u64,
    /// It has told what it is: it has arrived.
    pub(super) has_told: bool,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Wait,
    /// Send something to these, who answer if they are there.
    Call(BTreeSet<SocketAddr>),
    /// Tell the others who this node is.
    Announce,
    /// The name is in use there.
    Refuse(SocketAddr),
}

/// A newcomer, until it tells who it is.
#[derive(Debug)]
pub(super) struct Arrival {
    me: NodeIdentity,
    address: SocketAddr,
    listening_since: Option<MonotonicTime>,
    /// Heartbeats, and how often they rose late.
    rises: BTreeMap<NodeIdentity, (u64, u32)>,
}

impl Arrival {
    pub(super) const fn new(me: NodeIdentity, address: SocketAddr) -> Self {
        Self { me, address, listening_since: None, rises: BTreeMap::new() }
    }

    /// What follows from who is known, and from the life of this name of which a datagram came.
    pub(super) fn step(
        &mut self,
        now: MonotonicTime,
        knows_others: bool,
        namesakes: &[Namesake],
        heard: Option<u64>,
    ) -> Step {
        // Of two newcomers the earlier may have the name.
        let counts = |other: &&Namesake| {
            other.address != self.address
                && (other.has_told || other.identity.incarnation < self.me.incarnation)
        };
        let elsewhere: Vec<&Namesake> = namesakes.iter().filter(counts).collect();
        if elsewhere.is_empty() {
            return if knows_others { Step::Announce } else { Step::Wait };
        }
        let listened = now.since(*self.listening_since.get_or_insert(now));
        for namesake in &elsewhere {
            let fresh = || (namesake.heartbeat, 0);
            let (heartbeat, rises) = self.rises.entry(namesake.identity.clone()).or_insert_with(fresh);
            if namesake.heartbeat > *heartbeat {
                *heartbeat = namesake.heartbeat;
                *rises += u32::from(listened >= NEWS_OLD);
            }
            if heard == Some(namesake.identity.incarnation) || *rises >= RISES {
                return Step::Refuse(namesake.address);
            }
        }
        if listened < LISTEN {
            return Step::Call(elsewhere.iter().map(|namesake| namesake.address).collect());
        }
        Step::Announce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(100);

    fn address(last: u8) -> SocketAddr {
        ([127, 0, 0, last], 7100).into()
    }

    fn namesake(life: u64, at: u8, heartbeat: u64, has_told: bool) -> Namesake {
        let identity = format!("a.{life}").parse().unwrap();
        Namesake { identity, address: address(at), heartbeat, has_told }
    }

    /// What is done in the end, and after how many looks, if others are known after `known` of them.
    fn end(
        known: u32,
        mut namesakes: impl FnMut(u32) -> Vec<Namesake>,
        heard: impl Fn(u32) -> Option<u64>,
    ) -> (Step, u32) {
        let mut arrival = Arrival::new("a.5".parse().unwrap(), address(5));
        let mut now = MonotonicTime::ORIGIN;
        for look in 0..100 {
            let knows = look >= known;
            let namesakes = if knows { namesakes(look) } else { Vec::new() };
            match arrival.step(now, knows, &namesakes, heard(look)) {
                Step::Wait | Step::Call(_) => now = now.after(LOOK),
                step => return (step, look),
            }
        }
        (Step::Wait, 100)
    }

    #[test]
    fn a_name_that_nobody_knows_is_taken_as_soon_as_somebody_is_heard() {
        assert_eq!(end(0, |_| vec![], |_| None), (Step::Announce, 0));
        assert_eq!(end(7, |_| vec![], |_| None), (Step::Announce, 7));
        assert_eq!(end(100, |_| vec![], |_| None), (Step::Wait, 100));
    }

    #[test]
    fn a_killed_life_costs_a_second_elsewhere_and_nothing_here() {
        assert_eq!(end(3, |_| vec![namesake(1, 5, 70, true)], |_| None), (Step::Announce, 3));
        assert_eq!(end(3, |_| vec![namesake(1, 1, 70, true)], |_| None), (Step::Announce, 13));
        // Old news of it still spread.
        let late = |look: u32| vec![namesake(1, 1, u64::from(look.min(7)), true)];
        assert_eq!(end(3, late, |_| None), (Step::Announce, 13));
        // One datagram of a still earlier life says nothing about it.
        assert_eq!(end(3, |_| vec![namesake(2, 1, 70, true)], |_| Some(1)), (Step::Announce, 13));
    }

    #[test]
    fn a_life_that_answers_or_goes_on_elsewhere_keeps_its_name() {
        let answers = |look: u32| (look >= 4).then_some(1);
        assert_eq!(end(3, |_| vec![namesake(1, 1, 70, true)], answers), (Step::Refuse(address(1)), 4));
        // Nothing of it comes here, but others hear it every 0.2 s.
        let beats = |look: u32| vec![namesake(1, 1, u64::from(look / 2), true)];
        let (step, look) = end(3, beats, |_| None);
        assert_eq!(step, Step::Refuse(address(1)));
        assert!((8..=12).contains(&look), "{look}");
        // It began later by its clock, but is there already.
        assert_eq!(end(3, |_| vec![namesake(9, 1, 70, true)], |_| Some(9)), (Step::Refuse(address(1)), 3));
    }

    #[test]
    fn of_two_newcomers_the_earlier_has_the_name() {
        assert_eq!(end(0, |_| vec![namesake(4, 1, 70, false)], |_| Some(4)), (Step::Refuse(address(1)), 0));
        assert_eq!(end(0, |_| vec![namesake(6, 1, 70, false)], |_| Some(6)), (Step::Announce, 0));
    }

    #[test]
    fn a_former_life_is_called_until_it_is_given_up() {
        let mut arrival = Arrival::new("a.5".parse().unwrap(), address(5));
        let step = arrival.step(MonotonicTime::ORIGIN, true, &[namesake(1, 1, 70, true)], None);
        assert_eq!(step, Step::Call([address(1)].into()));
    }
}
