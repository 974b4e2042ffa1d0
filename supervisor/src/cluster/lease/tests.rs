mod simulation;

use super::electorate::Eligibility;
use super::*;
use crate::clock::MonotonicTime;

const TICK: Duration = Duration::from_millis(100);

fn id(text: &str) -> NodeIdentity {
    text.parse().unwrap()
}

fn lease(epoch: u64, holder: &str) -> Lease {
    Lease { epoch: Epoch::new(epoch).unwrap(), holder: id(holder) }
}

fn electorate(nodes: &[(&str, Eligibility)]) -> Event {
    Event::Members(Electorate::from_parts(nodes.iter().map(|(node, eligibility)| (id(node), *eligibility))))
}

/// One node whose store answers at once with what the test says.
struct Bench {
    core: LeaseCore,
    now: MonotonicTime,
    stored: Option<Lease>,
    store_fails: bool,
    log: Vec<String>,
}

impl Bench {
    fn new(me: &str, stored: Option<Lease>) -> Self {
        let core = LeaseCore::new(id(me), LeaseTimings::default());
        Self { core, now: MonotonicTime::ORIGIN, stored, store_fails: false, log: Vec::new() }
    }

    fn event(&mut self, event: Event) {
        let mut actions = self.core.step(event, self.now);
        while !actions.is_empty() {
            let mut answers = Vec::new();
            for action in actions.drain(..) {
                answers.extend(match action {
                    Action::Read if self.store_fails => Some(Event::Failed),
                    Action::Read => Some(Event::Read(self.stored.clone())),
                    Action::Create(lease) => {
                        self.log.push(format!("create {}", lease.epoch));
                        let exists = self.stored.as_ref().is_some_and(|stored| stored.epoch >= lease.epoch);
                        if !exists {
                            self.stored = Some(lease);
                        }
                        Some(Event::Created(if exists { Created::Exists } else { Created::Created }))
                    }
                    Action::Activate(epoch) => {
                        self.log.push(format!("active {epoch}"));
                        None
                    }
                    Action::StandDown { epoch, reason } => {
                        self.log.push(format!("down {epoch} {reason:?}"));
                        None
                    }
                });
            }
            for answer in answers {
                actions.extend(self.core.step(answer, self.now));
            }
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while self.now < end {
            self.now = self.now.after(TICK);
            self.event(Event::Tick);
        }
    }

    /// What happened since it was asked last.
    fn happened(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }
}

use Eligibility::{Candidate, Never, Suspect};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_lease_is_taken_when_its_holder_is_gone() {
    let check = |stored: Option<Lease>,
                 before: &[(&str, Eligibility)],
                 after: &[(&str, Eligibility)],
                 expect: &str| {
        let mut bench = Bench::new("me.5", stored);
        bench.event(electorate(before));
        bench.run(5 * SECOND);
        bench.event(electorate(after));
        bench.run(5 * SECOND);
        assert_eq!(bench.happened(), expect, "{before:?} {after:?}");
    };
    let alone = [("me.5", Candidate)];
    let both = [("me.5", Candidate), ("a.1", Candidate)];
    check(None, &alone, &alone, "create 1, active 1");
    check(Some(lease(7, "a.1")), &both, &both, "");
    check(Some(lease(7, "a.1")), &both, &alone, "create 8, active 8");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Candidate), ("a.1", Suspect)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Candidate), ("a.1", Never)], "create 8, active 8");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Candidate), ("a.2", Candidate)], "create 8, active 8");
    // Its own former life is over, whoever else is there.
    check(Some(lease(7, "me.4")), &alone, &alone, "create 8, active 8");
    // Its own lease, of which it did not hear: it is active.
    check(Some(lease(7, "me.5")), &alone, &alone, "active 7");
    // A stranger, unknown to others too.
    check(Some(lease(7, "x.1")), &both, &both, "create 8, active 8");
    check(Some(lease(7, "x.1")), &alone, &alone, "");
    // Who may not hold it does not take it.
    check(None, &[("me.5", Never)], &[("me.5", Never)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Never)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.5", Suspect)], "");
    check(Some(lease(7, "a.1")), &both, &[("me.6", Candidate)], "");
}

#[test]
fn a_holder_of_whom_nothing_is_known_is_waited_for() {
    let mut bench = Bench::new("me.5", Some(lease(7, "x.1")));
    bench.event(electorate(&[("me.5", Candidate)]));
    bench.run(29 * SECOND);
    bench.stored = Some(lease(8, "x.1"));
    bench.run(29 * SECOND);
    assert_eq!(bench.happened(), "");
    bench.run(4 * SECOND);
    assert_eq!(bench.happened(), "create 9, active 9");
}

#[test]
fn a_holder_stands_down_when_it_is_deposed_blind_or_was_paused() {
    let mut bench = Bench::new("me.5", None);
    bench.event(electorate(&[("me.5", Candidate)]));
    bench.run(SECOND);
    assert_eq!(bench.happened(), "create 1, active 1");
    bench.store_fails = true;
    bench.run(11 * SECOND);
    assert_eq!(bench.happened(), "down 1 Blind");
    bench.store_fails = false;
    bench.run(3 * SECOND);
    assert_eq!(bench.happened(), "active 1");
    bench.now = bench.now.after(5 * SECOND);
    bench.event(Event::Tick);
    assert_eq!(bench.happened(), "down 1 Paused, active 1");
    bench.stored = Some(lease(2, "a.1"));
    bench.now = bench.now.after(5 * SECOND);
    bench.event(Event::Tick);
    assert_eq!(bench.happened(), "down 1 Paused");
    bench.stored = Some(lease(3, "me.5"));
    bench.run(3 * SECOND);
    bench.stored = Some(lease(4, "a.1"));
    bench.run(3 * SECOND);
    assert_eq!(bench.happened(), "active 3, down 3 Deposed");
}

#[test]
fn an_answer_from_before_a_pause_is_not_believed() {
    let mut core = LeaseCore::new(id("me.5"), LeaseTimings::default());
    let at = |seconds: u64| MonotonicTime::ORIGIN.after(SECOND * u32::try_from(seconds).unwrap());
    assert_eq!(core.step(Event::Tick, at(0)), [Action::Read]);
    let mine = Event::Read(Some(lease(1, "me.5")));
    assert_eq!(core.step(mine.clone(), at(60)), [Action::Read]);
    assert_eq!(core.step(mine, at(60)), [Action::Activate(Epoch::FIRST)]);
}

#[test]
fn who_ranks_later_waits_for_its_turn() {
    let nodes = ["a.1", "b.1", "c.1", "me.5"];
    let members: Vec<_> = nodes.iter().map(|node| (*node, Candidate)).collect();
    let mut turns = Vec::new();
    for me in nodes {
        let mut bench = Bench::new(me, Some(lease(7, "x.1")));
        bench.event(electorate(&[members.clone(), vec![("x.1", Candidate)]].concat()));
        bench.run(5 * SECOND);
        bench.event(electorate(&members));
        let begin = bench.now;
        while bench.core.active().is_none() {
            bench.run(TICK);
        }
        turns.push(bench.now.since(begin));
    }
    turns.sort_unstable();
    assert_eq!(turns, [100, 300, 600, 900].map(Duration::from_millis));
}

#[test]
fn a_contested_lease_is_taken_back_ever_later() {
    let mut bench = Bench::new("me.5", None);
    bench.event(electorate(&[("me.5", Candidate), ("a.1", Candidate)]));
    let mut waits = Vec::new();
    for _ in 0..9 {
        let begin = bench.now;
        while bench.core.active().is_none() {
            bench.run(TICK);
        }
        waits.push(bench.now.since(begin).as_millis());
        // Somebody whom this node does not see takes it at once.
        let next = bench.core.newest().unwrap().epoch.next();
        bench.stored = Some(Lease { epoch: next, holder: id("x.1") });
        while bench.core.active().is_some() {
            bench.run(TICK);
        }
    }
    let first = waits.remove(1);
    assert!(first <= 3000, "{first}");
    assert!(waits[1..].is_sorted(), "{waits:?}");
    assert!(*waits.last().unwrap() >= 16_000, "{waits:?}");
}

#[test]
fn a_store_that_forgets_is_not_believed() {
    let mut bench = Bench::new("me.5", Some(lease(7, "a.1")));
    bench.event(electorate(&[("me.5", Candidate), ("a.1", Candidate)]));
    bench.run(SECOND);
    bench.stored = None;
    bench.run(60 * SECOND);
    assert_eq!(bench.core.newest(), Some(&lease(7, "a.1")));
    assert_eq!(bench.happened(), "");
}
