//! What nodes said to the coordinator last, beside their tasks.

use orrery_actors::coordinator;
use orrery_supervisor::cluster::NodeName;

use super::message::Report;

/// What nodes said in this term.
pub(crate) type Hearing = coordinator::Hearing<Report>;

/// Whether a cluster serves readers: any node that does is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readers {
    /// Nodes that do.
    pub(crate) ready: usize,
    /// Nodes that do not, and why.
    pub(crate) unready: Vec<String>,
}

/// What is made of reports.
pub(crate) trait Reports {
    /// Nodes that say that they may do nothing at all, and why.
    fn parked(&self) -> impl Iterator<Item = (&NodeName, &str)>;

    /// Which nodes that answer serve readers, and why the others do not.
    fn readers(&self) -> Readers;

    /// Whether more nodes refuse what this coordinator says than do it. A tie says nothing: each side thinks the other wrong.
    fn is_outvoted(&self) -> bool;

    /// Whether a node leaves and has nothing in work: there is nothing to tell it, and it may be gone before it answers.
    fn has_left_off(&self, name: &NodeName) -> bool;
}

impl Reports for Hearing {
    fn parked(&self) -> impl Iterator<Item = (&NodeName, &str)> {
        self.reports().filter_map(|(name, report)| Some((name, report.parked.as_deref()?)))
    }

    fn readers(&self) -> Readers {
        let mut readers = Readers::default();
        for (name, report) in self.reports().filter(|(name, _)| self.answers(name)) {
            match &report.unready {
                None => readers.ready += 1,
                Some(why) => readers.unready.push(format!("{name} is not ready: {why}")),
            }
        }
        readers
    }

    fn is_outvoted(&self) -> bool {
        let answering = || self.reports().filter(|(name, _)| self.answers(name)).map(|(_, report)| report);
        let refusing = answering().filter(|report| report.refuses).count();
        refusing > answering().count() - refusing
    }

    fn has_left_off(&self, name: &NodeName) -> bool {
        self.of(name).is_some_and(|report| report.is_draining && report.tasks.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use orrery_actors::coordinator::SILENT_ROUNDS_MAX;
    use orrery_supervisor::MonotonicTime;

    use super::*;
    use crate::cluster::message::TaskReport;

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

    #[test]
    fn a_coordinator_is_outvoted_by_most_of_those_that_answer() {
        let check = |follow: usize, refuse: usize, silent: usize, expect: bool| {
            let mut hearing = Hearing::new(MonotonicTime::ORIGIN, true);
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
            let mut hearing = Hearing::new(MonotonicTime::ORIGIN, true);
            hearing.note("a".parse().unwrap(), report);
            assert_eq!(hearing.has_left_off(&"a".parse().unwrap()), expect, "{is_draining} {tasks:?}");
        };
        check(false, &[], false);
        check(false, &["until-9"], false);
        check(true, &["until-9"], false);
        check(true, &[], true);
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
