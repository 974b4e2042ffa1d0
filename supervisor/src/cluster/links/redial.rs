//! Whom to dial now: decided by who is wanted and who is linked, whatever happened before.
//!
//! Both sides of a missing link may dial. ractor_cluster keeps the connection that the node whose name sorts last opened,
//! so the other waits a little longer, and most links are opened once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::MonotonicTime;
use crate::cluster::name::NodeName;
use crate::random::SeededRandom;

/// How much longer the node waits whose connection would lose.
const GIVES_WAY: Duration = Duration::from_millis(300);

/// How long a connection may take from its TLS handshake to a link, before it is dialled once more.
const SETTLES: Duration = Duration::from_secs(5);

/// Dials in work at once: after a partition all peers come back together.
const DIALS_MAX: usize = 16;

/// A peer that is wanted.
#[derive(Debug)]
struct Peer {
    address: String,
    /// Since it was linked last.
    attempts: u32,
    due: MonotonicTime,
    is_dialled: bool,
    was_linked: bool,
}

/// Dials to begin, and the state that decides.
#[derive(Debug)]
pub(super) struct Redial {
    me: NodeName,
    backoff: Backoff,
    random: SeededRandom,
    peers: BTreeMap<NodeName, Peer>,
}

impl Redial {
    pub(super) const fn new(me: NodeName, backoff: Backoff, seed: u64) -> Self {
        Self { me, backoff, random: SeededRandom::new(seed), peers: BTreeMap::new() }
    }

    /// Peers to dial now, with their addresses. Tell [`Self::dialled`] how each ended.
    pub(super) fn step(
        &mut self,
        now: MonotonicTime,
        wanted: &BTreeMap<NodeName, String>,
        linked: &BTreeSet<NodeName>,
    ) -> Vec<(NodeName, String)> {
        self.peers.retain(|name, peer| wanted.contains_key(name) || peer.is_dialled);
        for (name, address) in wanted {
            if *name == self.me {
                continue;
            }
            let is_linked = linked.contains(name);
            let known = self.peers.get(name).map(|peer| (peer.address == *address, peer.was_linked));
            // New, moved, or lost just now: begin anew.
            if known.is_none_or(|(is_same, was_linked)| !is_same || was_linked && !is_linked) {
                let due = now.after(self.delay(name, 1));
                let is_dialled = self.peers.get(name).is_some_and(|peer| peer.is_dialled);
                let address = address.clone();
                let peer = Peer { address, attempts: 0, due, is_dialled, was_linked: is_linked };
                self.peers.insert(name.clone(), peer);
            } else if let Some(peer) = self.peers.get_mut(name) {
                peer.was_linked = is_linked;
                if is_linked {
                    peer.attempts = 0;
                }
            }
        }
        let mut in_work = self.peers.values().filter(|peer| peer.is_dialled).count();
        let mut dials = Vec::new();
        for (name, peer) in &mut self.peers {
            let is_wanted = wanted.contains_key(name) && !linked.contains(name);
            if is_wanted && !peer.is_dialled && peer.due <= now && in_work < DIALS_MAX {
                (peer.is_dialled, in_work) = (true, in_work + 1);
                dials.push((name.clone(), peer.address.clone()));
            }
        }
        dials
    }

    /// A dial ended, with a connection or without.
    pub(super) fn dialled(&mut self, name: &NodeName, now: MonotonicTime, is_connected: bool) {
        let attempts = self.peers.get(name).map_or(1, |peer| peer.attempts.saturating_add(1));
        let delay = self.delay(name, attempts.saturating_add(1));
        if let Some(peer) = self.peers.get_mut(name) {
            let settles = if is_connected { SETTLES } else { Duration::ZERO };
            peer.is_dialled = false;
            peer.attempts = attempts;
            peer.due = now.after(settles.saturating_add(delay));
        }
    }

    /// A connection ended that never became a link: dial again without waiting for it to settle.
    pub(super) fn ended(&mut self, name: &NodeName, now: MonotonicTime) {
        let attempts = self.peers.get(name).map_or(1, |peer| peer.attempts);
        let delay = self.delay(name, attempts.saturating_add(1));
        if let Some(peer) = self.peers.get_mut(name) {
            peer.due = peer.due.min(now.after(delay));
        }
    }

    /// Attempts since the peer was linked last.
    pub(super) fn attempts(&self, name: &NodeName) -> u32 {
        self.peers.get(name).map_or(0, |peer| peer.attempts)
    }

    fn delay(&mut self, name: &NodeName, attempt: u32) -> Duration {
        let drawn = self.backoff.delay(attempt, &mut || self.random.draw());
        if self.me < *name { drawn.saturating_add(GIVES_WAY) } else { drawn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn at(milliseconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_millis(milliseconds))
    }

    fn wanted(names: &[&str]) -> BTreeMap<NodeName, String> {
        names.iter().map(|text| (name(text), format!("{text}:1"))).collect()
    }

    fn redial() -> Redial {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(2000)).unwrap();
        Redial::new(name("m"), backoff, 7)
    }

    #[test]
    fn who_is_wanted_and_not_linked_is_dialled_once_at_a_time() {
        let mut redial = redial();
        let (wanted, none) = (wanted(&["a", "m"]), BTreeSet::new());
        redial.step(at(0), &wanted, &none);
        assert_eq!(redial.step(at(100), &wanted, &none), [(name("a"), "a:1".to_owned())]);
        assert_eq!(redial.step(at(9000), &wanted, &none), [], "it is in work, and nobody dials itself");
        redial.dialled(&name("a"), at(9000), false);
        assert_eq!(redial.step(at(9200), &wanted, &none).len(), 1, "the second delay is at most 200 ms");
        redial.dialled(&name("a"), at(9200), true);
        assert_eq!(redial.step(at(14_000), &wanted, &none), [], "it may take its time to become a link");
        assert_eq!(redial.step(at(15_000), &wanted, &none).len(), 1);
    }

    #[test]
    fn a_lost_link_is_dialled_again_without_an_event() {
        let mut redial = redial();
        let (wanted, none, linked) = (wanted(&["a"]), BTreeSet::new(), BTreeSet::from([name("a")]));
        for _ in 0..9 {
            redial.step(at(10_000), &wanted, &none);
            redial.dialled(&name("a"), at(10_000), true);
        }
        assert_eq!(redial.step(at(20_000), &wanted, &linked), []);
        assert_eq!(redial.step(at(90_000), &wanted, &linked), []);
        redial.step(at(90_001), &wanted, &none);
        assert_eq!(redial.attempts(&name("a")), 0, "a link that stood begins anew");
        assert_eq!(redial.step(at(90_101), &wanted, &none).len(), 1);
    }

    #[test]
    fn the_side_whose_connection_would_lose_waits_longer() {
        let mut redial = redial();
        let (wanted, none) = (wanted(&["z"]), BTreeSet::new());
        redial.step(at(0), &wanted, &none);
        assert_eq!(redial.step(at(299), &wanted, &none), []);
        assert_eq!(redial.step(at(400), &wanted, &none).len(), 1);
    }

    #[test]
    fn a_new_address_is_tried_at_once_and_a_peer_that_is_not_wanted_no_more() {
        let mut redial = redial();
        let none = BTreeSet::new();
        redial.step(at(0), &wanted(&["a"]), &none);
        redial.step(at(100), &wanted(&["a"]), &none);
        for _ in 0..9 {
            redial.dialled(&name("a"), at(100), true);
        }
        let moved = BTreeMap::from([(name("a"), "elsewhere:2".to_owned())]);
        redial.step(at(101), &moved, &none);
        assert_eq!(redial.step(at(201), &moved, &none), [(name("a"), "elsewhere:2".to_owned())]);
        redial.dialled(&name("a"), at(201), false);
        assert_eq!(redial.step(at(99_000), &BTreeMap::new(), &none), []);
        assert!(redial.peers.is_empty());
    }

    #[test]
    fn a_connection_that_ended_early_does_not_wait_until_it_would_have_settled() {
        let mut redial = redial();
        let (wanted, none) = (wanted(&["a"]), BTreeSet::new());
        redial.step(at(0), &wanted, &none);
        redial.step(at(100), &wanted, &none);
        redial.dialled(&name("a"), at(100), true);
        redial.ended(&name("a"), at(110));
        assert_eq!(redial.step(at(310), &wanted, &none).len(), 1);
    }

    #[test]
    fn few_dials_are_in_work_at_once() {
        let mut redial = redial();
        let names: Vec<_> = (0..40).map(|index| format!("a{index}")).collect();
        let wanted = wanted(&names.iter().map(String::as_str).collect::<Vec<_>>());
        redial.step(at(0), &wanted, &BTreeSet::new());
        let dials = redial.step(at(1000), &wanted, &BTreeSet::new());
        assert_eq!(dials.len(), DIALS_MAX);
        redial.dialled(&dials[0].0, at(1000), false);
        assert_eq!(redial.step(at(1000), &wanted, &BTreeSet::new()).len(), 1);
    }
}
