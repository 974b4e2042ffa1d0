//! All faults, as data: what each is, what it is a danger to, what the machine must allow, and how it is done.
//!
//! A fault without a way is not implemented, and is reported so: it never counts as survived.

mod client;
mod clock;
mod disk;
mod message;
mod network;
mod process;
mod region;
mod store;
mod upstream;

use super::doctor::Need;
use super::experiments::Experiment;
use super::fault::Fault;
use super::simulated::Simulated;

/// One fault.
#[derive(Debug)]
pub struct Entry {
    /// Its name, as `P1`: a letter for its class and a number.
    pub id: &'static str,
    /// What is done.
    pub sentence: &'static str,
    /// What must hold all the same; [`crate::checkers`] says what each is.
    pub invariants: &'static [&'static str],
    /// What the machine must allow.
    pub needs: &'static [Need],
    /// How it is done, each way by itself; none if it is not implemented.
    pub ways: &'static [Way],
}

/// How a fault is done.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// To one node that follows a source, with a reader at its feed.
    World(fn() -> Box<dyn Fault>),
    /// By an experiment that is a command of its own too.
    Experiment(Experiment),
    /// By a scenario of the simulation.
    Simulation(Simulated),
    /// Not at all, for this reason.
    NotYet(&'static str),
}

impl Entry {
    /// Name of its class.
    pub fn class(&self) -> &'static str {
        match self.id.as_bytes().first() {
            Some(b'P') => "processes",
            Some(b'N') => "networks",
            Some(b'C') => "clocks",
            Some(b'D') => "disks",
            Some(b'O') => "object stores",
            Some(b'U') => "sources",
            Some(b'M') => "messages",
            Some(b'W') => "readers",
            _ => "regions",
        }
    }

    /// Why it is not implemented; `None` if it is.
    pub fn missing(&self) -> Option<&'static str> {
        let is_way = |way: &Way| !matches!(way, Way::NotYet(_));
        if self.ways.iter().any(is_way) {
            return None;
        }
        let why = self.ways.iter().find_map(|way| match way {
            Way::NotYet(why) => Some(*why),
            _ => None,
        });
        Some(why.unwrap_or("nothing does it yet"))
    }
}

/// Every fault, by class and number.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    const CLASSES: [&[Entry]; 9] = [
        &process::FAULTS,
        &network::FAULTS,
        &clock::FAULTS,
        &disk::FAULTS,
        &store::FAULTS,
        &upstream::FAULTS,
        &message::FAULTS,
        &client::FAULTS,
        &region::FAULTS,
    ];
    CLASSES.into_iter().flatten()
}

/// The fault of this name, however it is written.
pub fn find(id: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn there_are_81_faults_and_each_has_a_name_of_its_own() {
        let mut classes: BTreeMap<char, u32> = BTreeMap::new();
        for entry in all() {
            let class = entry.id.chars().next().unwrap();
            let number = classes.entry(class).or_default();
            *number += 1;
            assert_eq!(entry.id, format!("{class}{number}"));
            assert!(!entry.invariants.is_empty() && !entry.sentence.ends_with('.'), "{}", entry.id);
        }
        let expect =
            [('C', 5), ('D', 10), ('M', 6), ('N', 12), ('O', 12), ('P', 12), ('R', 8), ('U', 11), ('W', 5)];
        assert_eq!(classes.into_iter().collect::<Vec<_>>(), expect);
        assert_eq!(all().count(), 81);
    }

    #[test]
    fn a_fault_is_found_by_its_name() {
        assert_eq!(find("p1").map(|entry| entry.id), Some("P1"));
        assert!(find("P13").is_none());
    }

    #[test]
    fn a_fault_without_a_way_is_missing() {
        let entry = |ways| Entry { id: "P1", sentence: "", invariants: &[], needs: &[], ways };
        assert_eq!(entry(&[]).missing(), Some("nothing does it yet"));
        assert_eq!(entry(&[Way::NotYet("no")]).missing(), Some("no"));
        assert_eq!(entry(&[Way::NotYet("no"), Way::Experiment(Experiment::Crash)]).missing(), None);
    }
}
