//! What nodes said to a coordinator last, and whether it has heard enough to decide.
//!
//! An assignment ends what is not in it. So nobody gets one who has not said what it is at, and a coordinator that takes over
//! gives nothing out before it knows what is in work: otherwise each would begin anew what is half done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_supervisor::MonotonicTime;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::membership::{MemberState, Members};

/// A new coordinator waits no longer than this for others to join it and to answer: a node that has just started meets
/// them, and has links to them, in half of it.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// Rounds without an answer, which without a link are 200 ms each, after which a node's tasks are given to others though
/// the membership has it.
pub const SILENT_ROUNDS_MAX: u32 = 15;

/// Of one term of a coordinator: reports `R` of nodes.
#[derive(Debug)]
pub struct Hearing<R> {
    since: MonotonicTime,
    /// No coordinator was before this one: nobody can be at anything.
    is_first: bool,
    /// What was said last, and how often there was no answer since.
    heard: BTreeMap<NodeName, (R, u32)>,
}

impl<R> Hearing<R> {
    /// Of a term that begins now.
    pub fn new(now: MonotonicTime, is_first: bool) -> Self {
        Self { since: now, is_first, heard: BTreeMap::new() }
    }

    /// Whether it can be decided who is to do what.
    pub fn is_enough(&self, members: &Members, now: MonotonicTime) -> bool {
        let is_alone = members.others().next().is_none();
        let all_told = self.unheard(members).is_empty();
        let waits = !all_told || (is_alone && !self.is_first);
        !waits || now.since(self.since) >= SETTLES_WITHIN
    }

    /// Those who are there and have said nothing yet. A suspect may be unable to.
    pub fn unheard(&self, members: &Members) -> Vec<NodeName> {
        let alive = members.iter().filter(|member| member.state == MemberState::Alive);
        let names = alive.map(|member| &member.identity.name);
        names.filter(|name| !self.has_heard(name)).cloned().collect()
    }

    /// Whether a node has said anything.
    pub fn has_heard(&self, name: &NodeName) -> bool {
        self.heard.contains_key(name)
    }

    /// What a node said last.
    pub fn of(&self, name: &NodeName) -> Option<&R> {
        self.heard.get(name).map(|(report, _)| report)
    }

    /// What each said last.
    pub fn reports(&self) -> impl Iterator<Item = (&NodeName, &R)> {
        self.heard.iter().map(|(name, (report, _))| (name, report))
    }

    /// Whether a node answers, or has only just begun not to.
    pub fn answers(&self, name: &NodeName) -> bool {
        self.heard.get(name).is_some_and(|(_, silent)| *silent < SILENT_ROUNDS_MAX)
    }

    /// Whether it did when it was asked last.
    pub fn has_answered(&self, name: &NodeName) -> bool {
        self.heard.get(name).is_some_and(|(_, silent)| *silent == 0)
    }

    /// A node has answered.
    pub fn note(&mut self, name: NodeName, report: R) {
        self.heard.insert(name, (report, 0));
    }

    /// A node has not.
    pub fn note_silence(&mut self, name: &NodeName) {
        if let Some((_, silent)) = self.heard.get_mut(name) {
            *silent += 1;
        }
    }

    /// Forgets who is not among these.
    pub fn keep(&mut self, present: &BTreeSet<NodeName>) {
        self.heard.retain(|name, _| present.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use orrery_supervisor::cluster::membership::{Member, Profile};
    use orrery_supervisor::cluster::role::Roles;

    use super::*;

    fn members(others: &[(&str, MemberState)]) -> Members {
        let member = |(name, state): &(&str, MemberState)| Member {
            identity: format!("{name}.1").parse().unwrap(),
            profile: Profile {
                address: "127.0.0.1:1".parse().unwrap(),
                roles: Roles::all(),
                version: String::new(),
                protocol: 1,
                capacity: 2,
            },
            load: 0.0,
            draining: false,
            state: *state,
        };
        let all = [&[("me", MemberState::Alive)], others].concat();
        Members::new("me.1".parse().unwrap(), all.iter().map(member))
    }

    fn after(milliseconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_new_coordinator_waits_for_others_and_for_what_they_say_but_not_for_long() {
        let check = |is_first, others: &[(&str, MemberState)], heard: &[&str], at, expect: bool| {
            let mut hearing = Hearing::new(after(0), is_first);
            heard.iter().for_each(|name| hearing.note(name.parse().unwrap(), ()));
            let enough = hearing.is_enough(&members(others), after(at));
            assert_eq!(enough, expect, "{is_first} {others:?} {heard:?} {at}");
        };
        let (alive, suspect) = (("a", MemberState::Alive), ("a", MemberState::Suspect));
        check(true, &[], &["me"], 0, true);
        check(true, &[], &[], 0, false);
        check(true, &[alive], &["me"], 0, false);
        check(true, &[alive], &["me", "a"], 0, true);
        check(false, &[], &["me"], 999, false);
        check(false, &[], &["me"], 1000, true);
        check(false, &[alive], &["me"], 999, false);
        check(false, &[alive], &["me"], 1000, true);
        check(false, &[alive], &["me", "a"], 0, true);
        check(false, &[suspect], &["me"], 0, true);
    }

    #[test]
    fn a_node_answers_until_it_was_silent_for_too_long() {
        let mut hearing = Hearing::new(after(0), true);
        let a: NodeName = "a".parse().unwrap();
        assert!(!hearing.answers(&a) && !hearing.has_heard(&a));
        hearing.note_silence(&a);
        assert!(!hearing.has_heard(&a), "silence is no answer");
        hearing.note(a.clone(), ());
        assert!(hearing.has_answered(&a));
        (1..SILENT_ROUNDS_MAX).for_each(|_| hearing.note_silence(&a));
        assert!(hearing.answers(&a) && !hearing.has_answered(&a));
        hearing.note_silence(&a);
        assert!(!hearing.answers(&a) && hearing.has_heard(&a));
        hearing.note(a.clone(), ());
        assert!(hearing.answers(&a));
        hearing.keep(&BTreeSet::new());
        assert_eq!(hearing.of(&a), None);
    }
}
