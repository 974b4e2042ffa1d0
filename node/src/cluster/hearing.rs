//! What nodes said to the coordinator last, and whether it has heard enough to decide.
//!
//! An assignment ends what is not in it. So nobody gets one who has not said what it is at, and a coordinator that takes over
//! gives nothing out before it knows what is in work: otherwise each would begin anew what is half done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_supervisor::MonotonicTime;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::membership::{MemberState, Members};

use super::message::Report;

/// A new coordinator waits no longer than this for others to join it and to answer: a node that has just started meets
/// them, and has links to them, in half of it.
const SETTLES_WITHIN: Duration = Duration::from_secs(1);

/// Rounds without an answer, which without a link are 200 ms each, after which a node's tasks are given to others though
/// the membership has it.
const SILENT_ROUNDS_MAX: u32 = 15;

/// Whether a cluster serves readers: any node that does is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readers {
    /// Nodes that do.
    pub(crate) ready: usize,
    /// Nodes that do not, and why.
    pub(crate) unready: Vec<String>,
}

/// Of one term of a coordinator.
#[derive(Debug)]
pub(crate) struct Hearing {
    since: MonotonicTime,
    /// No coordinator was before this one: nobody can be at anything.
    is_first: bool,
    /// What was said last, and how often there was no answer since.
    heard: BTreeMap<NodeName, (Report, u32)>,
}

impl Hearing {
    /// Of a term that begins now.
    pub(crate) fn new(now: MonotonicTime, is_first: bool) -> Self {
        Self { since: now, is_first, heard: BTreeMap::new() }
    }

    /// Whether it can be decided who is to do what.
    pub(crate) fn is_enough(&self, members: &Members, now: MonotonicTime) -> bool {
        let is_alone = members.others().next().is_none();
        let all_told = self.unheard(members).is_empty();
        let waits = !all_told || (is_alone && !self.is_first);
        !waits || now.since(self.since) >= SETTLES_WITHIN
    }

    /// Those who are there and have said nothing yet. A suspect may be unable to.
    pub(crate) fn unheard(&self, members: &Members) -> Vec<NodeName> {
        let alive = members.iter().filter(|member| member.state == MemberState::Alive);
        let names = alive.map(|member| &member.identity.name);
        names.filter(|name| !self.has_heard(name)).cloned().collect()
    }

    /// Whether a node has said anything.
    pub(crate) fn has_heard(&self, name: &NodeName) -> bool {
        self.heard.contains_key(name)
    }

    /// What a node said last.
    pub(crate) fn of(&self, name: &NodeName) -> Option<&Report> {
        self.heard.get(name).map(|(report, _)| report)
    }

    /// Nodes that say that they may do nothing at all, and why.
    pub(crate) fn parked(&self) -> impl Iterator<Item = (&NodeName, &str)> {
        self.heard.iter().filter_map(|(name, (report, _))| Some((name, report.parked.as_deref()?)))
    }

    /// Which nodes that answer serve readers, and why the others do not.
    pub(crate) fn readers(&self) -> Readers {
        let mut readers = Readers::default();
        for (name, (report, _)) in self.heard.iter().filter(|(name, _)| self.answers(name)) {
            match &report.unready {
                None => readers.ready += 1,
                Some(why) => readers.unready.push(format!("{name} is not ready: {why}")),
            }
        }
        readers
    }

    /// Whether more nodes refuse what this coordinator says than do it. A tie says nothing: each side thinks the other wrong.
    pub(crate) fn is_outvoted(&self) -> bool {
        let reports = || self.heard.keys().filter(|name| self.answers(name)).filter_map(|name| self.of(name));
        let refusing = reports().filter(|report| report.refuses).count();
        refusing > reports().count() - refusing
    }

    /// Whether a node answers, or has only just begun not to.
    pub(crate) fn answers(&self, name: &NodeName) -> bool {
        self.heard.get(name).is_some_and(|(_, silent)| *silent < SILENT_ROUNDS_MAX)
    }

    /// Whether it did when it was asked last.
    pub(crate) fn has_answered(&self, name: &NodeName) -> bool {
        self.heard.get(name).is_some_and(|(_, silent)| *silent == 0)
    }

    /// Whether it leaves and has nothing in work: there is nothing to tell it, and it may be gone before it answers.
    pub(crate) fn has_left_off(&self, name: &NodeName) -> bool {
        self.of(name).is_some_and(|report| report.is_draining && report.tasks.is_empty())
    }

    /// A node has answered.
    pub(crate) fn note(&mut self, name: NodeName, report: Report) {
        self.heard.insert(name, (report, 0));
    }

    /// A node has not.
    pub(crate) fn note_silence(&mut self, name: &NodeName) {
        if let Some((_, silent)) = self.heard.get_mut(name) {
            *silent += 1;
        }
    }

    /// Forgets who is not among these.
    pub(crate) fn keep(&mut self, present: &BTreeSet<NodeName>) {
        self.heard.retain(|name, _| present.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use orrery_supervisor::cluster::membership::{Member, Profile};
    use orrery_supervisor::cluster::role::Roles;

    use super::*;
    use crate::cluster::message::TaskReport;

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

    fn nothing() -> Report {
        Report {
            tasks: Vec::new(),
            parked: None,
            refuses: false,
            parked_tasks: Vec::new(),
            is_draining: false,
            unready: None,
        }
    }

    fn after(milliseconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_new_coordinator_waits_for_others_and_for_what_they_say_but_not_for_long() {
        let check = |is_first, others: &[(&str, MemberState)], heard: &[&str], at, expect: bool| {
            let mut hearing = Hearing::new(after(0), is_first);
            heard.iter().for_each(|name| hearing.note(name.parse().unwrap(), nothing()));
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
    fn a_coordinator_is_outvoted_by_most_of_those_that_answer() {
        let check = |follow: usize, refuse: usize, silent: usize, expect: bool| {
            let mut hearing = Hearing::new(after(0), true);
            let name = |index: usize| format!("n{index}").parse::<NodeName>().unwrap();
            for index in 0..follow + refuse + silent {
                hearing.note(name(index), Report { refuses: index >= follow, ..nothing() });
            }
            for index in follow + refuse..follow + refuse + silent {
                (0..SILENT_ROUNDS_MAX).for_each(|_| hearing.note_silence(&name(index)));
            }
            assert_eq!(hearing.is_outvoted(), expect, "{follow} {refuse} {silent}");
        };
        check(0, 0, 0, false);
        check(1, 2, 0, true);
        check(2, 1, 0, false);
        check(1, 1, 0, false);
        check(1, 1, 3, false);
    }

    #[test]
    fn a_node_has_left_off_when_it_drains_and_has_nothing_in_work() {
        let check = |is_draining, tasks: &[&str], expect: bool| {
            let task = |id: &&str| TaskReport { id: id.parse().unwrap(), state: "running".to_owned() };
            let report = Report { is_draining, tasks: tasks.iter().map(task).collect(), ..nothing() };
            let mut hearing = Hearing::new(after(0), true);
            hearing.note("a".parse().unwrap(), report);
            assert_eq!(hearing.has_left_off(&"a".parse().unwrap()), expect, "{is_draining} {tasks:?}");
        };
        check(false, &[], false);
        check(false, &["until-9"], false);
        check(true, &["until-9"], false);
        check(true, &[], true);
    }

    #[test]
    fn a_node_answers_until_it_was_silent_for_too_long() {
        let mut hearing = Hearing::new(after(0), true);
        let a: NodeName = "a".parse().unwrap();
        assert!(!hearing.answers(&a) && !hearing.has_heard(&a));
        hearing.note_silence(&a);
        assert!(!hearing.has_heard(&a), "silence is no answer");
        hearing.note(a.clone(), nothing());
        assert!(hearing.has_answered(&a));
        (1..SILENT_ROUNDS_MAX).for_each(|_| hearing.note_silence(&a));
        assert!(hearing.answers(&a) && !hearing.has_answered(&a));
        hearing.note_silence(&a);
        assert!(!hearing.answers(&a) && hearing.has_heard(&a));
        hearing.note(a.clone(), nothing());
        assert!(hearing.answers(&a));
        hearing.keep(&BTreeSet::new());
        assert_eq!(hearing.of(&a), None);
    }

    #[test]
    fn a_cluster_serves_readers_as_long_as_one_node_that_answers_does() {
        let mut hearing = Hearing::new(MonotonicTime::ORIGIN, false);
        let name = |name: &str| -> NodeName { name.parse().unwrap() };
        hearing.note(name("a"), Report { unready: Some("draining".to_owned()), ..nothing() });
        let unready = vec!["a is not ready: draining".to_owned()];
        assert_eq!(hearing.readers(), Readers { ready: 0, unready: unready.clone() });
        hearing.note(name("b"), nothing());
        assert_eq!(hearing.readers(), Readers { ready: 1, unready: unready.clone() });
        (0..SILENT_ROUNDS_MAX).for_each(|_| hearing.note_silence(&name("b")));
        assert_eq!(hearing.readers(), Readers { ready: 0, unready });
    }
}
